//! What goes wrong with bare streams: peers that vanish, and places that cannot be listened on.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
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

/// A test of this file, as the program knows it.
fn full_name(test: &str) -> String {
    let (_, module) = module_path!().split_once("::").unwrap();
    format!("{module}::{test}")
}

/// Another process that runs `client_process`, killed at the latest when this is dropped.
struct Killed(Child);

impl Killed {
    fn start(server: &str) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args([&*full_name("client_process"), "--exact", "--ignored"])
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
    // Who runs the tests as root is forbidden nothing: then somebody else has to try.
    // They may not be let into the folder of this program, and a copy that this process has open
    // for writing could not be started.
    let program = dir.path().join("test");
    let copy = Command::new("cp")
        .arg(std::env::current_exe().unwrap())
        .arg(&program)
        .status();
    assert!(copy.unwrap().success());
    mode(0o555);
    if std::fs::write(dir.path().join("probe"), "").is_ok() {
        let mut nobody = Command::new(&program);
        nobody.uid(NOBODY).gid(NOBODY);
        runs(&mut nobody, "forbidden_process", &dir.url());
    } else {
        expect_failure(&dir.url(), io::ErrorKind::PermissionDenied).await;
    }
    mode(0o755);
}

#[tokio::test]
#[ignore = "started by another test, as another user"]
async fn forbidden_process() {
    if let Ok(url) = std::env::var("SERVER") {
        expect_failure(&url, io::ErrorKind::PermissionDenied).await;
    }
}

/// A file system without room for a file, which takes a name space of its own for mounts.
#[cfg(target_os = "linux")]
#[test]
fn full_disk_is_an_error_that_names_the_path() {
    let dir = Dir::new("failures-full");
    let mount = format!(
        "mount -t tmpfs -o size=4k,nr_inodes=1 none {} && exec \"$0\" \"$@\"",
        dir.path().display()
    );
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", script]);
        command
    };
    // Containers often forbid it, and then nothing can be filled.
    let probe = unshare(&mount).arg("true").output();
    if !probe.is_ok_and(|output| output.status.success()) {
        eprintln!("left out: no file system can be mounted here");
        return;
    }
    let mut full = unshare(&mount);
    full.arg(std::env::current_exe().unwrap());
    runs(&mut full, "full_disk_process", &dir.url());
}

#[cfg(target_os = "linux")]
#[tokio::test]
#[ignore = "started by another test, on a full file system"]
async fn full_disk_process() {
    if let Ok(url) = std::env::var("SERVER") {
        expect_failure(&url, io::ErrorKind::StorageFull).await;
    }
}

/// Runs an ignored test in a process of its own, in which it must pass.
fn runs(program: &mut Command, test: &str, server: &str) {
    let program = program.args([&*full_name(test), "--exact", "--ignored"]);
    let output = program.env("SERVER", server).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{output:?}"
    );
}

/// The user that owns nothing.
const NOBODY: u32 = 65534;

async fn expect_failure(url: &str, kind: io::ErrorKind) {
    let (text, source) = failure(url).await;
    assert!(text.contains(url), "{text}");
    assert_eq!(source.kind(), kind, "{source}");
}
