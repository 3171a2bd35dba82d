use http::{HeaderMap, HeaderValue, StatusCode};
use sockeye_testkit::EngineRig;
use sockeye_websocket::handshake::{ResponseError, accept_key};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::http::read_request;
use super::{DialError, dialer, local, url};
use sockeye_engine::{Socket, Upgraded};

/// Answers one handshake; `{accept}` stands for the right key.
async fn answer(listener: &TcpListener, answer: &str) -> tokio::net::TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    let request = read_request(&mut stream).await.unwrap();
    let key = request
        .lines()
        .find_map(|line| line.strip_prefix("sec-websocket-key: "))
        .unwrap();
    let answer = answer.replace("{accept}", &accept_key(key));
    stream.write_all(answer.as_bytes()).await.unwrap();
    stream
}

const AGREED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n";

#[tokio::test]
async fn engine_opens_a_session_on_a_bare_socket() {
    let mut rig = EngineRig::tcp(Default::default()).await;
    let url = url(&format!("ws://{}", rig.net.address()));
    let target = "/engine.io/?EIO=4&transport=websocket";
    let opened = dialer()
        .websocket(&url, target, &HeaderMap::new(), None)
        .await;
    let Upgraded { mut io, read, .. } = opened.unwrap();
    assert!(matches!(io.direct(), Some(Socket::Tcp(_))));
    let mut first = read.to_vec();
    while first.len() < 3 {
        let mut buf = [0; 512];
        let read = std::future::poll_fn(|cx| io.poll_read(cx, &mut buf)).await;
        first.extend_from_slice(&buf[..read.unwrap()]);
    }
    // The frame of the open packet: final, text, not masked.
    assert_eq!((first[0], first[1] & 0x80), (0x81, 0));
    rig.session().await;
}

#[tokio::test]
async fn bytes_behind_the_answer_are_handed_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = local("ws", &listener);
    let frames = format!("{AGREED}\r\n\u{1}\u{2}rest");
    let (opened, _stream) = tokio::join!(
        async { dialer().websocket(&url, "/", &HeaderMap::new(), None).await },
        answer(&listener, &frames)
    );
    assert_eq!(&opened.unwrap().read[..], b"\x01\x02rest");
}

#[tokio::test]
async fn refusal_has_status_and_a_piece_of_the_body() {
    let rig = EngineRig::tcp(Default::default()).await;
    let url = url(&format!("ws://{}", rig.net.address()));
    let target = "/engine.io/?EIO=4&transport=websocket&sid=nobody";
    let error = dialer()
        .websocket(&url, target, &HeaderMap::new(), None)
        .await;
    let error = error.unwrap_err();
    let DialError::Refused { status, body, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(*status, StatusCode::BAD_REQUEST);
    assert_eq!(body, "Session ID unknown");
    assert_eq!(
        error.to_string(),
        format!(
            "{url} answered 400 Bad Request instead of opening a WebSocket: Session ID unknown"
        )
    );
}

#[tokio::test]
async fn redirection_is_named_without_its_secrets() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = local("ws", &listener);
    let to = "https://me:secret@example.org/socket.io/?EIO=4&token=secret";
    let redirection =
        format!("HTTP/1.1 301 Moved Permanently\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
    let (opened, _stream) = tokio::join!(
        async { dialer().websocket(&url, "/", &HeaderMap::new(), None).await },
        answer(&listener, &redirection)
    );
    let error = opened.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{url} answered 301 Moved Permanently, which leads to https://example.org/socket.io/"
        )
    );
    let shown = format!("{error:?}");
    assert!(shown.contains("RedirectLocation(https://example.org/socket.io/…)"));
    assert!(!shown.contains("secret"), "{shown}");
    let DialError::Redirected { location, .. } = error else {
        panic!("{shown}")
    };
    assert_eq!(location.as_str(), to);
}

#[tokio::test]
async fn only_the_beginning_of_a_long_refusal_is_kept() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = local("ws", &listener);
    let page = format!("HTTP/1.1 502 Bad Gateway\r\n\r\n{}", "x".repeat(100_000));
    let (opened, _stream) = tokio::join!(
        async { dialer().websocket(&url, "/", &HeaderMap::new(), None).await },
        async {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await.unwrap();
            // The client hangs up in the middle.
            let _ = stream.write_all(page.as_bytes()).await;
            stream
        }
    );
    let Err(DialError::Refused { status, body, .. }) = opened else {
        panic!("{opened:?}")
    };
    assert_eq!((status, body), (StatusCode::BAD_GATEWAY, "x".repeat(512)));
}

#[tokio::test(start_paused = true)]
async fn refusal_that_never_ends_is_cut_short() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = local("ws", &listener);
    let (opened, _stream) = tokio::join!(
        async { dialer().websocket(&url, "/", &HeaderMap::new(), None).await },
        answer(&listener, "HTTP/1.1 403 Forbidden\r\n\r\nno\n")
    );
    let Err(DialError::Refused { body, .. }) = opened else {
        panic!("{opened:?}")
    };
    assert_eq!(body, "no\n");
}

#[tokio::test]
async fn wrong_accept_key_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = local("ws", &listener);
    let wrong = format!("{}\r\n", AGREED.replace("{accept}", "bm90IHRoZSBrZXk="));
    let (opened, _stream) = tokio::join!(
        async { dialer().websocket(&url, "/", &HeaderMap::new(), None).await },
        answer(&listener, &wrong)
    );
    let Err(DialError::Handshake { source, .. }) = opened else {
        panic!("{opened:?}")
    };
    assert_eq!(source, ResponseError::Accept);
}

#[tokio::test]
async fn only_an_offered_sub_protocol_is_taken() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = local("ws", &listener);
    let picked = format!("{AGREED}Sec-WebSocket-Protocol: b\r\n\r\n");
    for (offer, is_taken) in [("a, b", true), ("a", false)] {
        let mut headers = HeaderMap::new();
        headers.insert("sec-websocket-protocol", HeaderValue::from_static(offer));
        let (opened, _stream) = tokio::join!(
            async { dialer().websocket(&url, "/", &headers, None).await },
            answer(&listener, &picked)
        );
        assert_eq!(opened.is_ok(), is_taken, "{opened:?}");
    }
}
