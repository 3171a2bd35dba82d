//! Connections that somebody else has accepted.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::time::Duration;

use sockeye_server::{ConnectionInfo, Data, Handshake, ListenOptions, Server, ServerConfig};
use sockeye_testkit::{Http, Request, StreamPeer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

const PIPE: usize = 64 * 1024;

fn server(config: ServerConfig) -> Server {
    let io = Server::with_config(config).unwrap();
    io.on("echo", |Data(text): Data<String>| text);
    io.on("address", |handshake: Handshake| {
        handshake.remote_addr().map(|at| at.to_string())
    });
    io
}

fn at(address: &str) -> ConnectionInfo {
    ConnectionInfo {
        remote_addr: Some(address.parse().unwrap()),
        secure: false,
    }
}

fn http(io: &Server) -> DuplexStream {
    let (near, far) = duplex(PIPE);
    io.serve_http(far, at("192.0.2.7:1000"), ListenOptions::default());
    near
}

fn bare(io: &Server, info: ConnectionInfo) -> StreamPeer {
    let (near, far) = duplex(PIPE);
    io.serve_stream(far, info, ListenOptions::default());
    StreamPeer::new(near)
}

#[tokio::test(start_paused = true)]
async fn bare_stream_is_served() {
    let io = server(ServerConfig::default());
    let mut peer = bare(&io, at("192.0.2.7:1000"));
    peer.open().await;
    peer.send_text(r#"421["echo","hello"]"#).await;
    assert_eq!(peer.text().await, r#"431["hello"]"#);
    peer.send_text(r#"422["address"]"#).await;
    assert_eq!(peer.text().await, r#"432["192.0.2.7:1000"]"#);

    let mut lines = bare(&io, ConnectionInfo::default());
    lines
        .write(b"{\"eventName\":\"echo\",\"args\":[\"hello\"],\"id\":1}\r\n")
        .await;
    assert!(lines.line().await.unwrap().contains("hello"));
    assert_eq!(io.connection_count(), 2);
}

#[tokio::test(start_paused = true)]
async fn http_is_served_until_the_server_closes() {
    let io = server(ServerConfig::default());
    let day = Duration::from_secs(86_400);
    let mut connection = Http::new(Box::new(http(&io)), day);
    let open = Request::get("/socket.io/?EIO=4&transport=polling");
    let answer = connection.request(&open).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("websocket"));
    let elsewhere = connection.request(&Request::get("/elsewhere")).await;
    assert_eq!(elsewhere.status, 404);

    io.close().await;
    let mut rest = Vec::new();
    let (mut stream, _) = connection.into_parts();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
}

#[tokio::test(start_paused = true)]
async fn limits_hold() {
    let config = ServerConfig::default().engine(|engine| engine.max_connections(1));
    let io = server(config);
    let mut first = bare(&io, at("192.0.2.7:1000"));
    first.open().await;
    let mut second = bare(&io, at("192.0.2.7:1001"));
    assert!(!second.fill().await, "it is hung up on");
    drop(first);
    tokio::time::sleep(Duration::from_secs(1)).await;
    bare(&io, at("192.0.2.7:1002")).open().await;
}

#[tokio::test(start_paused = true)]
async fn request_that_does_not_come_is_waited_for_as_the_options_say() {
    let io = server(ServerConfig::default());
    let mut stream = http(&io);
    stream
        .write_all(b"GET /socket.io/ HTTP/1.1\r\n")
        .await
        .unwrap();
    let begin = tokio::time::Instant::now();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(begin.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn closed_server_serves_nobody() {
    let io = server(ServerConfig::default());
    io.close().await;
    assert!(!bare(&io, ConnectionInfo::default()).fill().await);
    assert_eq!(http(&io).read(&mut [0; 1]).await.unwrap(), 0);
}
