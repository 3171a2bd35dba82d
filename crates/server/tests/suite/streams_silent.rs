//! Peers on bare streams that say nothing at first, and listeners for one dialect only.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::time::Duration;

use sockeye_server::{Data, Dialect, DisconnectReason, ListenOptions, Listener, Server, Socket};
use sockeye_testkit::{Log, StreamPeer as Peer};

/// A server that notes who comes and goes, and what is said.
fn server() -> (Server, Log<String>) {
    let io = Server::new();
    let log = Log::virtual_time();
    let note = log.clone();
    io.on_connect(move |_: Socket| note.push("connect".to_owned()));
    let note = log.clone();
    io.on_disconnect(move |reason: DisconnectReason| note.push(format!("disconnect {reason}")));
    let note = log.clone();
    io.on_close(move || note.push("close".to_owned()));
    let note = log.clone();
    io.on_error(move |_, error| note.push(format!("{error:#}")));
    let note = log.clone();
    io.on("say", move |Data(text): Data<String>| note.push(text));
    (io, log)
}

async fn listen(io: &Server, options: ListenOptions) -> Listener {
    io.listen_with("tcp://127.0.0.1:0", options).await.unwrap()
}

fn only(dialect: Dialect) -> ListenOptions {
    ListenOptions::default().dialect(dialect)
}

async fn expect(log: &Log<String>, entries: &[&str]) {
    for entry in entries {
        assert_eq!(log.next().await, *entry);
    }
}

/// A peer that has been silent for so long that it was connected as a plain one.
async fn taken_for_a_plain_one() -> (Server, Log<String>, Peer) {
    let (io, log) = server();
    let listener = listen(&io, ListenOptions::default()).await;
    let peer = Peer::tcp(&listener).await;
    expect(&log, &["connect"]).await;
    (io, log, peer)
}

#[tokio::test(start_paused = true)]
async fn peer_that_only_listens_is_connected_after_a_short_silence() {
    let (io, log) = server();
    let listener = listen(&io, ListenOptions::default()).await;
    let begun = tokio::time::Instant::now();
    let mut peer = Peer::tcp(&listener).await;
    expect(&log, &["connect"]).await;
    assert!(begun.elapsed() < Duration::from_secs(1));
    // Far beyond the time that a peer has to open a session.
    tokio::time::sleep(Duration::from_secs(3600)).await;
    io.emit("news", 1).unwrap();
    let line = peer.line().await;
    assert_eq!(line.unwrap(), r#"{"eventName":"news","args":[1]}"#);
    // It may speak after all.
    peer.write("{\"eventName\":\"say\",\"args\":[\"thanks\"]}\n")
        .await;
    expect(&log, &["thanks"]).await;
    drop(peer);
    expect(&log, &["disconnect transport close", "close"]).await;
    assert_eq!(io.connection_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn listener_for_lines_connects_peers_at_once() {
    let (io, log) = server();
    let listener = listen(&io, only(Dialect::Lines)).await;
    let begun = tokio::time::Instant::now();
    let mut peer = Peer::tcp(&listener).await;
    expect(&log, &["connect"]).await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    peer.write("{\"eventName\":\"say\",\"args\":[\"hello\"]}\n")
        .await;
    expect(&log, &["hello"]).await;
}

#[tokio::test(start_paused = true)]
async fn time_of_silence_can_be_chosen() {
    let (io, log) = server();
    let silence = Duration::from_secs(7);
    let options = ListenOptions::default().plain_after(Some(silence));
    let listener = listen(&io, options).await;
    let begun = tokio::time::Instant::now();
    let _peer = Peer::tcp(&listener).await;
    expect(&log, &["connect"]).await;
    assert_eq!(begun.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn native_peer_that_begins_late_is_received_if_nothing_was_sent_to_it() {
    let (io, log, mut peer) = taken_for_a_plain_one().await;
    // All in one piece, so that what follows the opening must not be lost.
    peer.write(b"\x010\x0240\x1042[\"say\",\"late\"]").await;
    assert!(peer.text().await.starts_with("0{"));
    assert!(peer.text().await.starts_with("40{"));
    let as_native = ["disconnect transport close", "close", "connect", "late"];
    expect(&log, &as_native).await;
    assert_eq!(io.connection_count(), 1);
    io.emit("news", 2).unwrap();
    assert_eq!(peer.text().await, r#"42["news",2]"#);
}

#[tokio::test(start_paused = true)]
async fn late_opening_may_come_in_pieces() {
    let (_io, log, mut peer) = taken_for_a_plain_one().await;
    peer.write(b"\x01").await;
    expect(&log, &["disconnect transport close", "close"]).await;
    peer.write(b"0\x0240").await;
    assert!(peer.text().await.starts_with("0{"));
    assert!(peer.text().await.starts_with("40{"));
    expect(&log, &["connect"]).await;
}

#[tokio::test(start_paused = true)]
async fn native_peer_that_was_sent_lines_is_refused() {
    let (io, log) = server();
    io.on_connect(|socket: Socket| socket.emit("hello", ()));
    let listener = listen(&io, ListenOptions::default()).await;
    let mut peer = Peer::tcp(&listener).await;
    assert_eq!(peer.line().await.unwrap(), r#"{"eventName":"hello"}"#);
    peer.write(b"\x010\x0240").await;
    let last = peer.line().await.unwrap();
    assert_eq!(
        last,
        r#"{"error":{"message":"lines are spoken here already, as nothing was said in time"}}"#
    );
    assert_eq!(peer.line().await, None);
    expect(&log, &["connect"]).await;
    let error = log.next().await;
    assert!(error.contains("taken for one that speaks lines"), "{error}");
    expect(&log, &["disconnect parse error", "close"]).await;
}

#[tokio::test(start_paused = true)]
async fn http_request_that_comes_late_is_told_what_this_is() {
    let (_io, _log, mut peer) = taken_for_a_plain_one().await;
    peer.write("GET / HTTP/1.1\r\n\r\n").await;
    let status = peer.line().await;
    assert_eq!(status.unwrap(), "HTTP/1.1 400 Bad Request");
}

#[tokio::test(start_paused = true)]
async fn listener_for_lines_refuses_others_in_their_words() {
    let (io, log) = server();
    let listener = listen(&io, only(Dialect::Lines)).await;
    let mut native = Peer::tcp(&listener).await;
    native.write(b"\x010").await;
    let refused = r#"1{"code":4,"message":"this listener takes lines only"}"#;
    assert_eq!(native.text().await, refused);
    assert_eq!(native.frame().await, None);
    let mut browser = Peer::tcp(&listener).await;
    browser.write("GET / HTTP/1.1\r\n\r\n").await;
    let status = browser.line().await;
    assert_eq!(status.unwrap(), "HTTP/1.1 400 Bad Request");
    while browser.fill().await {}
    drop((native, browser));
    while io.connection_count() > 0 {
        log.next().await;
    }
}

#[tokio::test(start_paused = true)]
async fn listener_for_packets_refuses_lines() {
    let (io, log) = server();
    let listener = listen(&io, only(Dialect::Packets)).await;
    let mut plain = Peer::tcp(&listener).await;
    plain.write("{\"eventName\":\"say\"}\n").await;
    let refused = r#"{"error":{"message":"this listener takes packets only"}}"#;
    assert_eq!(plain.line().await.unwrap(), refused);
    assert_eq!(plain.line().await, None);
    let mut silent = Peer::tcp(&listener).await;
    assert_eq!(silent.line().await, None);
    let mut native = Peer::tcp(&listener).await;
    native.open().await;
    expect(&log, &["connect"]).await;
    assert_eq!(io.connection_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn server_that_closes_does_not_receive_anybody_again() {
    let (io, log, mut peer) = taken_for_a_plain_one().await;
    // The beginning of an opening: it is received again, and the rest is waited for.
    peer.write(b"\x01").await;
    expect(&log, &["disconnect transport close", "close"]).await;
    io.close().await;
    assert_eq!(peer.frame().await, None);
}
