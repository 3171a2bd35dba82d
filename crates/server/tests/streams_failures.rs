//! What goes wrong with bare streams: peers that vanish, and places that cannot be listened on.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::error::Error;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sockeye_server::{DisconnectReason, ListenError, Server, Socket};
use sockeye_testkit::{Log, SocketDir as Dir, StreamPeer as Peer};
use tokio::net::TcpStream;

/// Notes what happens to sockets, which all join one room.
fn server() -> (Server, Log<String>) {
    let io = Server::new();
    let log = Log::<String>::new();
    let (connects, left, closed) = (log.clone(), log.clone(), log.clone());
    io.on_connect(move |socket: Socket| {
        socket.join("room");
        connects.push("connect".to_owned());
    });
    io.on_disconnect(move |reason: DisconnectReason| left.push(reason.to_string()));
    io.on_close(move || closed.push("close".to_owned()));
    (io, log)
}

/// Another process that runs `client_process`, killed at the latest when this is dropped.
struct Killed(Child);

impl Killed {
    fn start(server: &str) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["client_process", "--exact", "--ignored"])
            .env("SERVER", server)
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    /// What `kill -9` does.
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A client that says something and waits for ever.
#[test]
#[ignore = "started by other tests, in a process of its own"]
fn client_process() {
    trait Both: Read + Write {}
    impl<T: Read + Write> Both for T {}
    let Ok(server) = std::env::var("SERVER") else {
        return;
    };
    let mut stream: Box<dyn Both> = match server.strip_prefix("unix:") {
        Some(path) => Box::new(std::os::unix::net::UnixStream::connect(path).unwrap()),
        None => Box::new(std::net::TcpStream::connect(server).unwrap()),
    };
    stream.write_all(b"{\"eventName\":\"hello\"}\n").unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
}

#[tokio::test]
async fn killed_client_is_disconnected_once_and_leaves_nothing() {
    let dir = Dir::new("failures-killed");
    let (io, log) = server();
    let _listener = io.listen(dir.url()).await.unwrap();
    let tcp = io.listen("tcp://127.0.0.1:0").await.unwrap();
    for url in [dir.url(), tcp.local_addr().unwrap().to_string()] {
        let mut client = Killed::start(&url);
        assert_eq!(log.next().await, "connect");
        let socket = io.sockets().remove(0);
        // It has something to lose.
        socket.emit("unread", "x".repeat(3_000_000)).unwrap();
        client.kill();
        let reason = log.next().await;
        let expected = ["transport close", "transport error"];
        assert!(expected.contains(&reason.as_str()), "{reason}");
        assert_eq!(log.next().await, "close");
        assert!(io.sockets().is_empty() && io.room_names().is_empty());
        assert!(socket.net_socket().local_addr().is_none() && socket.rooms().is_empty());
        assert_eq!(io.connection_count(), 0);
    }
    assert!(log.rest().is_empty());
}

#[tokio::test]
async fn reset_connection_is_a_transport_error() {
    let (io, log) = server();
    let listener = io.listen("tcp://127.0.0.1:0").await.unwrap();
    for native in [true, false] {
        let stream = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        socket2::SockRef::from(&stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        let mut peer = Peer::new(stream);
        if native {
            peer.open().await;
        } else {
            peer.write("{\"eventName\":\"hello\"}\n").await;
        }
        assert_eq!(log.next().await, "connect");
        drop(peer);
        assert_eq!(log.next().await, "transport error");
        assert_eq!(log.next().await, "close");
        assert!(io.room_names().is_empty());
    }
}

#[tokio::test]
async fn frame_that_breaks_off_is_the_end_of_its_connection_only() {
    let dir = Dir::new("failures-half-frame");
    let (io, log) = server();
    let _listener = io.listen(dir.url()).await.unwrap();
    let mut other = Peer::unix(&dir).await;
    other.open().await;
    assert_eq!(log.next().await, "connect");
    let mut peer = Peer::unix(&dir).await;
    peer.open().await;
    assert_eq!(log.next().await, "connect");
    peer.write(b"\x7e\x01\x2c42[\"never fini").await;
    drop(peer);
    assert_eq!(log.next().await, "transport close");
    assert_eq!(log.next().await, "close");
    io.emit("news", ()).unwrap();
    assert_eq!(other.text().await, r#"42["news"]"#);
}

async fn failure(url: &str) -> (String, io::Error) {
    let error = Server::new().listen(url).await.unwrap_err();
    let text = error.to_string();
    match error {
        ListenError::Bind { source, .. } => (text, source),
        other => panic!("{other:?}"),
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn too_long_path_is_an_error_that_names_path_and_limit() {
    let dir = Dir::new("failures-long");
    let name = "x".repeat(107 - dir.path().as_os_str().len() - 1);
    let fits = dir.path().join(&name);
    let io = Server::new();
    let _listener = io.listen(format!("unix:{}", fits.display())).await.unwrap();
    assert!(fits.exists());
    let url = format!("unix:{}x", fits.display());
    let (text, source) = failure(&url).await;
    assert!(text.contains(&url), "{text}");
    let limit = "the path has 108 bytes, and may have 107";
    assert_eq!(source.to_string(), limit);
}

#[tokio::test]
async fn missing_directory_is_an_error_that_names_the_path() {
    let dir = Dir::new("failures-missing");
    let url = format!("unix:{}/none/app.sock", dir.path().display());
    let (text, source) = failure(&url).await;
    assert!(text.contains(&url), "{text}");
    assert_eq!(source.kind(), io::ErrorKind::NotFound);
}

#[tokio::test]
async fn forbidden_directory_is_an_error_that_names_the_path() {
    let dir = Dir::new("failures-forbidden");
    let mode = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(dir.path(), permissions).unwrap();
    };
    mode(0o500);
    if std::fs::write(dir.path().join("probe"), "").is_ok() {
        // Whoever runs this, nothing is forbidden to them.
        mode(0o700);
        return;
    }
    let (text, source) = failure(&dir.url()).await;
    mode(0o700);
    assert!(text.contains(&dir.url()), "{text}");
    assert_eq!(source.kind(), io::ErrorKind::PermissionDenied);
}

#[test]
fn full_disk_is_an_error_that_names_the_path() {
    // No test can fill a disk; this is what the system says then.
    const NO_SPACE: i32 = 28;
    let error = ListenError::Bind {
        url: "unix:/run/app.sock".parse().unwrap(),
        source: io::Error::from_raw_os_error(NO_SPACE),
    };
    assert_eq!(error.to_string(), "cannot listen on unix:/run/app.sock");
    let cause = error.source().unwrap().to_string();
    assert!(cause.starts_with("No space left on device"), "{cause}");
}
