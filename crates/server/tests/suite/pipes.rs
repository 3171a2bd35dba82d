//! Named pipes of Windows.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use sockeye_server::{Args, DisconnectReason, ListenError, ListenOptions, Server, Socket};
use sockeye_testkit::{Log, StreamPeer};
use tokio::net::windows::named_pipe::ClientOptions;

fn name(test: &str) -> String {
    format!(r"\\.\pipe\sockeye-{test}-{}", std::process::id())
}

fn connect(name: &str) -> StreamPeer {
    StreamPeer::new(ClientOptions::new().open(name).unwrap())
}

fn server() -> (Server, Log<String>) {
    let io = Server::new();
    let log = Log::<String>::new();
    let left = log.clone();
    io.on("echo", |socket: Socket, args: Args| {
        socket.emit("echo", args)
    });
    io.on("bye", |socket: Socket| {
        socket.emit("bye", ()).unwrap();
        socket.close();
    });
    io.on_disconnect(move |reason: DisconnectReason| left.push(reason.to_string()));
    (io, log)
}

#[tokio::test]
async fn pipe_carries_both_dialects() {
    let name = name("dialects");
    let (io, log) = server();
    let mut listener = io.listen(&name).await.unwrap();
    let mut plain = connect(&name);
    let echo = r#"{"eventName":"echo","args":[1]}"#;
    plain.write(format!("{echo}\n")).await;
    assert_eq!(plain.line().await.unwrap(), echo);
    let mut native = connect(&name);
    native.open().await;
    native.send_text(r#"42["echo","é"]"#).await;
    assert_eq!(native.text().await, r#"42["echo","é"]"#);
    drop(plain);
    assert_eq!(log.next().await, "transport close");
    io.close().await;
    listener.closed().await;
    assert!(ClientOptions::new().open(&name).is_err());
}

#[tokio::test]
async fn last_words_arrive() {
    let name = name("last");
    let (io, log) = server();
    let _listener = io.listen(&name).await.unwrap();
    let mut peer = connect(&name);
    peer.write("{\"eventName\":\"bye\"}\n").await;
    assert_eq!(peer.line().await.unwrap(), r#"{"eventName":"bye"}"#);
    assert_eq!(peer.line().await, None);
    assert_eq!(log.next().await, "server namespace disconnect");
}

#[tokio::test]
async fn taken_names_and_open_modes_are_errors() {
    let name = name("taken");
    let (io, _log) = server();
    let _listener = io.listen(&name).await.unwrap();
    let kind = |error: ListenError| match error {
        ListenError::Bind { source, .. } => source.kind(),
        other => panic!("{other:?}"),
    };
    let taken = Server::new().listen(&name).await.unwrap_err();
    assert_eq!(kind(taken), std::io::ErrorKind::AddrInUse);
    let options = ListenOptions::default().writable_all(true);
    let open = Server::new().listen_with(format!("{name}2"), options).await;
    assert_eq!(kind(open.unwrap_err()), std::io::ErrorKind::Unsupported);
}
