//! The listeners: what they bind, what they refuse, and how they end.

use std::error::Error;
use std::time::Duration;

use sockeye_engine::CloseReason;
use sockeye_listen::{EngineConfig, ListenError, ListenOptions};
use sockeye_testkit::{Case, Client, EngineRig, Net};
use tokio::net::TcpStream;

fn config() -> EngineConfig {
    EngineConfig::default()
}

#[tokio::test]
async fn taken_port_is_an_error_that_names_the_url() {
    let first = EngineRig::tcp(config()).await;
    let second = EngineRig::memory(config());
    let url = format!("http://127.0.0.1:{}", first.net.address().port());
    let failed = second.engine.listen(&url, ListenOptions::default()).await;
    let error = failed.unwrap_err();
    assert!(matches!(error, ListenError::Bind { .. }), "{error:?}");
    assert!(error.to_string().contains(&url), "{error}");
    let cause = error.source().unwrap().downcast_ref::<std::io::Error>();
    assert_eq!(cause.unwrap().kind(), std::io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn senseless_urls_are_errors_that_show_them() {
    let rig = EngineRig::memory(config());
    for url in ["", "70000", "ftp://localhost:1", "http://localhost:port"] {
        let failed = rig.engine.listen(url, ListenOptions::default()).await;
        let error = failed.unwrap_err();
        assert!(matches!(error, ListenError::Url { .. }), "{url}: {error:?}");
        assert!(error.to_string().contains(&format!("{url:?}")), "{error}");
    }
}

#[tokio::test]
async fn https_needs_a_tls_configuration() {
    let rig = EngineRig::memory(config());
    let url = "https://127.0.0.1:0";
    let failed = rig.engine.listen(url, ListenOptions::default()).await;
    let error = failed.unwrap_err();
    assert!(matches!(error, ListenError::MissingTls { .. }), "{error:?}");
}

#[tokio::test]
async fn url_has_the_actual_port() {
    let rig = EngineRig::tcp(config()).await;
    let listener = rig.listener.as_ref().unwrap();
    let address = listener.local_addr().unwrap();
    assert_ne!(address.port(), 0);
    assert_eq!(listener.addresses(), [address]);
    assert_eq!(listener.url(), format!("http://{address}"));
}

#[tokio::test]
async fn one_engine_serves_several_listeners() {
    let rig = EngineRig::tcp(config()).await;
    let url = "http://127.0.0.1:0";
    let second = rig.engine.listen(url, ListenOptions::default()).await;
    let second = second.unwrap();
    let net = Net::tcp(second.local_addr().unwrap(), "/engine.io/");
    let one = Client::open(&rig.net, Case::WEBSOCKET).await;
    let other = Client::open(&net, Case::POLLING).await;
    assert_eq!(rig.engine.session_count(), 2);
    drop((one, other));
}

#[tokio::test]
async fn dropped_listener_goes_on_accepting() {
    let mut rig = EngineRig::tcp(config()).await;
    drop(rig.listener.take());
    let (mut client, _session) = rig.open(Case::WEBSOCKET).await;
    client.send_text("hello").await;
    assert_eq!(client.text().await, "hello");
}

#[tokio::test]
async fn closed_listener_accepts_no_more() {
    let mut rig = EngineRig::tcp(config()).await;
    let (mut client, _session) = rig.open(Case::WEBSOCKET).await;
    rig.listener.take().unwrap().close();
    let refused = || async { TcpStream::connect(rig.net.address()).await.is_err() };
    let waiting = async { while !refused().await {} };
    rig.net.within("a refused connection", waiting).await;
    // A WebSocket belongs to its session by now, which goes on.
    client.send_text("still here").await;
    assert_eq!(client.text().await, "still here");
}

#[tokio::test]
async fn closing_engine_ends_its_listeners_and_connections() {
    let mut rig = EngineRig::tcp(config()).await;
    let (mut client, mut session) = rig.open(Case::WEBSOCKET).await;
    let idle = rig.net.http().await;
    let mut polling = rig.net.http().await;
    let opened = polling
        .request(&rig.net.to_get(&Case::POLLING.query()))
        .await;
    assert_eq!(opened.status, 200);
    let mut polled = rig.session().await;
    let query = format!(
        "{}&sid={}",
        Case::POLLING.query(),
        polled.handle.id().as_str()
    );
    polling.send(&rig.net.to_get(&query)).await;

    let engine = rig.engine.clone();
    let closing = tokio::spawn(async move { engine.close().await });
    assert_eq!(client.websocket().closed().await, Some(None));
    let last = polling.response().await.unwrap();
    assert!(last.text().ends_with('1'), "{last:?}");
    rig.net.within("the end", closing).await.unwrap();
    let mut listener = rig.listener.take().unwrap();
    rig.net
        .within("the listener's end", listener.closed())
        .await;
    assert_eq!(session.closed().await, CloseReason::ForcedClose);
    assert_eq!(polled.closed().await, CloseReason::ForcedClose);
    assert!(TcpStream::connect(rig.net.address()).await.is_err());
    drop(idle);
}

#[tokio::test]
async fn session_between_two_polls_is_told_of_the_closing() {
    let rig = EngineRig::tcp(config()).await;
    let client = Client::open(&rig.net, Case::POLLING).await;
    let mut idle = rig.net.http().await;
    let engine = rig.engine.clone();
    let closing = tokio::spawn(async move { engine.close().await });
    rig.net
        .until("a closing engine", || rig.engine.is_closing())
        .await;
    assert_eq!(client.get().await.brief(), (200, "6\u{1e}1"));
    rig.net.within("the end", closing).await.unwrap();
    assert!(idle.response().await.is_none(), "the connection ends");
}

#[tokio::test]
async fn slow_head_of_a_request_ends_the_connection() {
    let options = ListenOptions::default().header_timeout(Duration::from_millis(50));
    let rig = EngineRig::tcp_with(config(), options).await;
    for head in ["", "GET /engine.io/?EIO=4&tra"] {
        let mut http = rig.net.http().await;
        http.write(head.as_bytes()).await;
        let answer = http.response().await;
        assert!(answer.is_none_or(|answer| answer.status == 408), "{head}");
    }
    // Those who are quick are served, for longer than that.
    let mut client = Client::open(&rig.net, Case::WEBSOCKET).await;
    client.send_text("quick").await;
    assert_eq!(client.text().await, "quick");
}

#[tokio::test]
async fn too_large_head_of_a_request_is_refused() {
    let options = ListenOptions::default().max_header_bytes(8192);
    let rig = EngineRig::tcp_with(config(), options).await;
    let request = rig.net.to_get(&Case::POLLING.query());
    let fine = request.clone().header("x-filler", "x".repeat(7000));
    assert_eq!(rig.net.request(&fine).await.status, 200);
    let mut http = rig.net.http().await;
    let large = request.header("x-filler", "x".repeat(20_000));
    // The refusal may come while the request is still being written.
    http.send(&large).await;
    let answer = http.response().await;
    assert!(
        answer.as_ref().is_none_or(|answer| answer.status == 431),
        "{answer:?}"
    );
}

#[tokio::test]
async fn garbage_is_refused_and_harms_nobody() {
    let mut rig = EngineRig::tcp(config()).await;
    let (mut client, _session) = rig.open(Case::WEBSOCKET).await;
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00"[..],
        b"\0\0\0\0\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut http = rig.net.http().await;
        http.write(garbage).await;
        let answer = http.response().await;
        assert!(
            answer.as_ref().is_none_or(|answer| answer.status == 400),
            "{answer:?}"
        );
    }
    client.send_text("fine").await;
    assert_eq!(client.text().await, "fine");
}

#[tokio::test]
async fn garbage_behind_a_websocket_handshake_is_a_protocol_error() {
    let mut rig = EngineRig::tcp(config()).await;
    let request = rig
        .net
        .to_get(&Case::WEBSOCKET.query())
        .header("upgrade", "websocket")
        .header("connection", "upgrade")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let mut bytes = request.to_bytes();
    bytes.extend_from_slice(b"test\r\n\r\ntest");
    let mut http = rig.net.http().await;
    http.write(&bytes).await;
    assert_eq!(http.response().await.unwrap().status, 101);
    drop(http);
    let mut session = rig.session().await;
    assert_eq!(session.closed().await, CloseReason::TransportError);
}
