//! How many connections and sessions there may be, and how long one may take to read its answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sockeye_engine::{CloseReason, Message, SendOptions};
use sockeye_listen::{EngineConfig, ListenOptions, StaticFile};
use sockeye_testkit::{
    Case, Client, EngineRig, Http, Net, Session, SocketDir, StreamPeer, WebSocket,
};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

fn config() -> EngineConfig {
    EngineConfig::default()
}

const SECOND: Duration = Duration::from_secs(1);

/// An engine that lets a peer take nothing for so long.
async fn impatient(config: EngineConfig, patience: Duration) -> EngineRig {
    let options = ListenOptions::default().write_timeout(patience);
    EngineRig::tcp_with(config, options).await
}

/// A connection that takes little before it has to be read from.
async fn narrow(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    let narrowed = socket.set_recv_buffer_size(4096);
    narrowed.expect("a smaller buffer");
    socket.connect(address).await.expect("the server accepts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn handshakes_at_the_same_time_do_not_exceed_the_session_limit() {
    const LIMIT: usize = 5;
    for case in [Case::POLLING, Case::WEBSOCKET] {
        let rig = EngineRig::tcp(config().max_sessions(LIMIT)).await;
        let mut tries = JoinSet::new();
        for _ in 0..40 {
            let net = rig.net.clone();
            tries.spawn(async move {
                if case.is_polling() {
                    let answer = net.get(&case.query()).await;
                    return (answer.status == 200).then_some(None);
                }
                WebSocket::connect(&net, &case.query()).await.ok().map(Some)
            });
        }
        let opened: Vec<_> = tries.join_all().await.into_iter().flatten().collect();
        assert_eq!(opened.len(), LIMIT);
        assert_eq!(rig.engine.session_count(), LIMIT);
    }
}

/// Opens a session on a bare stream.
async fn open(peer: &mut StreamPeer) {
    peer.write(b"\x010").await;
    assert!(peer.text().await.starts_with('0'));
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn streams_at_the_same_time_do_not_exceed_the_session_limit() {
    const LIMIT: usize = 5;
    let dir = SocketDir::new("connections-sessions");
    let rig = EngineRig::memory(config().max_sessions(LIMIT));
    let url = dir.url();
    let listening = rig.engine.listen(&url, ListenOptions::default()).await;
    listening.unwrap();
    let mut tries = JoinSet::new();
    for _ in 0..40 {
        let mut peer = StreamPeer::unix(&dir).await;
        tries.spawn(async move {
            peer.write(b"\x010").await;
            peer.text().await.starts_with('0').then_some(peer)
        });
    }
    let opened: Vec<_> = tries.join_all().await.into_iter().flatten().collect();
    assert_eq!(opened.len(), LIMIT);
    assert_eq!(rig.engine.session_count(), LIMIT);
}

#[tokio::test]
async fn handshake_that_waits_for_its_upgrade_counts() {
    let mut rig = EngineRig::tcp(config().max_sessions(1)).await;
    let client = Client::open(&rig.net, Case::WEBSOCKET).await;
    let refused = WebSocket::connect(&rig.net, &Case::WEBSOCKET.query()).await;
    assert_eq!(refused.unwrap_err().status, 400);
    drop(client);
    rig.session().await.closed().await;
    rig.net
        .until("room", || rig.engine.session_count() == 0)
        .await;
    Client::open(&rig.net, Case::WEBSOCKET).await;
}

#[tokio::test]
async fn idle_connection_makes_room_for_another() {
    let rig = EngineRig::tcp(config().max_connections(2)).await;
    let nothing = rig.net.to_get("");
    let mut first = rig.net.http().await;
    assert_eq!(first.request(&nothing).await.status, 400);
    let mut second = rig.net.http().await;
    assert_eq!(second.request(&nothing).await.status, 400);
    let mut third = rig.net.http().await;
    assert_eq!(third.request(&nothing).await.status, 400);
    assert!(first.response().await.is_none(), "the oldest has to go");
    assert_eq!(second.request(&nothing).await.status, 400);
    assert_eq!(rig.engine.connection_count(), 2);
}

#[tokio::test]
async fn connection_beyond_the_limits_is_refused_while_all_are_in_use() {
    for config in [
        config().max_connections(2),
        config().max_connections_per_address(2),
    ] {
        let mut rig = EngineRig::tcp(config).await;
        let websocket = rig.open(Case::WEBSOCKET).await;
        let (client, session) = rig.open(Case::POLLING).await;
        let before = session.polls();
        let polling = client.begin_get().await;
        rig.net.until("a poll", || session.polls() > before).await;
        let mut refused = rig.net.http().await;
        let answer = refused.response().await;
        assert_eq!(answer.unwrap().status, 503);
        assert_eq!(rig.engine.connection_count(), 2);
        // It goes on when there is room again.
        drop(websocket);
        rig.net
            .until("room", || rig.engine.connection_count() == 1)
            .await;
        assert_eq!(rig.net.get("").await.status, 400);
        drop(polling);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn connection_counts_until_its_socket_is_closed() {
    let dir = SocketDir::new("connections-count");
    let mut rig = EngineRig::tcp(config()).await;
    let url = dir.url();
    let listening = rig.engine.listen(&url, ListenOptions::default()).await;
    listening.unwrap();
    let mut peers = Vec::new();
    for count in 1..=3 {
        let mut peer = StreamPeer::unix(&dir).await;
        open(&mut peer).await;
        peers.push((peer, rig.session().await));
        assert_eq!(rig.engine.connection_count(), count);
    }
    let (mut client, _session) = rig.open(Case::POLLING).await;
    client.upgrade().await;
    client.send_text("upgraded").await;
    assert_eq!(client.text().await, "upgraded");
    // The polls before it came on connections of their own.
    rig.net
        .until("four", || rig.engine.connection_count() == 4)
        .await;
    drop((peers, client));
    rig.net
        .until("none", || rig.engine.connection_count() == 0)
        .await;
}

#[tokio::test]
async fn peer_that_reads_no_answers_is_dropped() {
    let file = StaticFile::new("large.js", "text/javascript", vec![b'x'; 100_000]);
    let config = config().file(Arc::new(file));
    let rig = impatient(config, Duration::from_millis(50)).await;
    let mut stream = narrow(rig.net.address()).await;
    let requests = b"GET /engine.io/large.js HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000);
    // Nothing is read, so that sooner or later nothing is taken; and then comes the end.
    let writing = async { while stream.write_all(&requests).await.is_ok() {} };
    rig.net.within("the end", writing).await;
    rig.net
        .until("none", || rig.engine.connection_count() == 0)
        .await;
}

/// Lets a poll take all that waits.
fn large() -> EngineConfig {
    config().limits(|limits| limits.max_payload(10_000_000))
}

/// Has much more waiting for a session on long-polling than a connection takes by itself.
fn fill(session: &Session) {
    for _ in 0..8 {
        let message = Message::text(&"x".repeat(900_000));
        let sent = session.handle.send(&[message], SendOptions::default());
        sent.expect("there is room");
    }
}

/// Asks for it, and does not read the answer.
async fn poll_without_reading(net: &Net, client: &Client) -> TcpStream {
    let mut stream = narrow(net.address()).await;
    let request = net.to_get(&client.query()).to_bytes();
    let written = stream.write_all(&request).await;
    written.expect("the server reads");
    // The answer has begun.
    stream.readable().await.expect("an answer");
    stream
}

#[tokio::test]
async fn next_poll_waits_until_the_last_answer_was_read() {
    let mut rig = EngineRig::tcp(large()).await;
    let (client, session) = rig.open(Case::POLLING).await;
    fill(&session);
    let first = poll_without_reading(&rig.net, &client).await;
    session.text("later");
    let mut second = client.begin_get().await;
    // A POST behind it is served, and nothing has been taken out of the outbox.
    assert_eq!(client.post("6").await.brief(), (200, "ok"));
    assert!(session.handle.queued() > 0);
    let mut first = Http::new(Box::new(first), rig.net.patience());
    assert_eq!(first.response().await.unwrap().body.len(), 8 * 900_002 - 1);
    assert_eq!(second.response().await.unwrap().brief(), (200, "4later"));
    assert!(session.handle.is_open());
}

#[tokio::test]
async fn two_polls_behind_an_unread_answer_close_the_session() {
    let mut rig = EngineRig::tcp(large()).await;
    let (client, mut session) = rig.open(Case::POLLING).await;
    fill(&session);
    let first = poll_without_reading(&rig.net, &client).await;
    let mut second = client.begin_get().await;
    let mut third = client.begin_get().await;
    // Which one comes first does not matter; the other waits for an answer that is never read.
    let refused = tokio::select! {
        answer = second.response() => answer,
        answer = third.response() => answer,
    };
    assert_eq!(refused.unwrap().status, 400);
    assert_eq!(session.closed().await, CloseReason::TransportError);
    drop(first);
}

#[tokio::test]
async fn answer_that_is_lost_on_its_way_ends_the_session() {
    let mut rig = impatient(large(), Duration::from_millis(50)).await;
    let (client, mut session) = rig.open(Case::POLLING).await;
    fill(&session);
    let first = poll_without_reading(&rig.net, &client).await;
    assert_eq!(session.closed().await, CloseReason::TransportError);
    rig.net
        .until("none", || rig.engine.connection_count() == 0)
        .await;
    drop(first);
}

#[tokio::test]
async fn unread_answer_does_not_outlive_its_session_for_long() {
    let linger = Duration::from_millis(50);
    let mut rig = impatient(
        large().limits(|limits| limits.linger(linger)),
        3600 * SECOND,
    )
    .await;
    let (client, mut session) = rig.open(Case::POLLING).await;
    fill(&session);
    let first = poll_without_reading(&rig.net, &client).await;
    session
        .handle
        .abort(CloseReason::PingTimeout, "by the test");
    assert_eq!(session.closed().await, CloseReason::PingTimeout);
    rig.net
        .until("none", || rig.engine.connection_count() == 0)
        .await;
    drop(first);
}

#[tokio::test]
async fn slow_reader_gets_all_of_a_large_answer() {
    let mut rig = impatient(large(), 20 * SECOND).await;
    let (client, session) = rig.open(Case::POLLING).await;
    let text = "0123456789".repeat(800_000);
    session.text(&text);
    let stream = poll_without_reading(&rig.net, &client).await;
    let mut http = Http::new(Box::new(stream), rig.net.patience());
    let answer = http.response().await.unwrap();
    assert_eq!(answer.text()[1..], text);
}
