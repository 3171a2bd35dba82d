use std::io::IoSlice;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, UnixListener};

use super::super::UnixProblem;
use super::{ConnectorError, DialConfig, DialError, dialer, url, with};
use sockeye_engine::{Io, Socket};

/// A folder of its own for the sockets of one test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sockeye-dial-{}-{name}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn socket(&self) -> String {
        self.0.join("s.sock").to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Writes to the one end and reads from the other.
async fn assert_joined(mut io: Io, mut server: impl AsyncReadExt + AsyncWriteExt + Unpin) {
    let written = std::future::poll_fn(|cx| io.poll_write(cx, &[IoSlice::new(b"ping")])).await;
    assert_eq!(written.unwrap(), 4);
    let mut buf = [0; 4];
    server.read_exact(&mut buf).await.unwrap();
    assert_eq!(&buf, b"ping");
    server.write_all(b"pong").await.unwrap();
    let read = std::future::poll_fn(|cx| io.poll_read(cx, &mut buf)).await;
    assert_eq!((read.unwrap(), &buf), (4, b"pong"));
}

async fn unix_problem(text: &str) -> UnixProblem {
    match dialer().stream(&url(text)).await {
        Err(DialError::Unix { problem, .. }) => problem,
        other => panic!("{other:?} instead of a problem with the path"),
    }
}

/// A port on which nobody listens, kept as long as the socket.
fn deaf() -> (TcpSocket, u16) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

#[tokio::test]
async fn tcp_stream_is_bare_and_has_no_delay() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = url(&format!("tcp://{}", listener.local_addr().unwrap()));
    let io = dialer().stream(&url).await.unwrap();
    let Some(sockeye_engine::Socket::Tcp(socket)) = io.direct() else {
        panic!("no bare socket")
    };
    assert!(socket.nodelay().unwrap());
    drop(socket);
    assert_joined(io, listener.accept().await.unwrap().0).await;
}

#[tokio::test]
async fn every_address_of_a_host_is_tried() {
    // `localhost` often means `::1` first, where nobody listens.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let io = dialer().stream(&url(&port.to_string())).await.unwrap();
    assert_joined(io, listener.accept().await.unwrap().0).await;
}

#[tokio::test]
async fn ipv6_address_is_connected_to() {
    let Ok(listener) = TcpListener::bind("[::1]:0").await else {
        return;
    };
    let url = url(&format!("tcp://{}", listener.local_addr().unwrap()));
    let io = dialer().stream(&url).await.unwrap();
    assert_joined(io, listener.accept().await.unwrap().0).await;
}

#[tokio::test]
async fn connection_comes_from_the_local_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = DialConfig::default().local_address(Some([127, 0, 0, 1].into()));
    let dialer = with(config).unwrap();
    let _io = dialer.stream(&url(&port.to_string())).await.unwrap();
    let (_, peer) = listener.accept().await.unwrap();
    assert!(peer.ip().is_loopback() && peer.is_ipv4());

    let error = dialer.stream(&url("tcp://[::1]:1")).await.unwrap_err();
    assert!(matches!(error, DialError::Connect { .. }), "{error:?}");
}

#[tokio::test]
async fn refused_connection_names_the_place() {
    let (_socket, port) = deaf();
    let url = url(&format!("tcp://127.0.0.1:{port}/secret?token=secret"));
    let error = dialer().stream(&url).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot connect to 127.0.0.1:{port}")
    );
    let DialError::Connect { source, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(source.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn host_without_address_is_named() {
    // RFC 6761 §6.4: no resolver knows names of this domain.
    let error = dialer().stream(&url("tcp://nobody.invalid:1")).await;
    let Err(DialError::Resolve { host, .. }) = error else {
        panic!("{error:?}")
    };
    assert_eq!(host, "nobody.invalid");
}

#[tokio::test]
async fn unix_socket_is_bare() {
    let folder = Folder::new("bare");
    let listener = UnixListener::bind(folder.socket()).unwrap();
    let io = dialer().stream(&url(&folder.socket())).await.unwrap();
    assert!(matches!(io.direct(), Some(sockeye_engine::Socket::Unix(_))));
    assert_joined(io, listener.accept().await.unwrap().0).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn abstract_name_is_connected_to() {
    let name = format!("sockeye-dial-{}", std::process::id());
    let listener = UnixListener::bind(format!("\0{name}")).unwrap();
    let url = url(&format!("unix:@{name}"));
    let io = dialer().stream(&url).await.unwrap();
    assert_joined(io, listener.accept().await.unwrap().0).await;
    drop(listener);
    assert_eq!(unix_problem(&url.to_string()).await, UnixProblem::Missing);
}

#[tokio::test]
async fn missing_socket_file_is_named() {
    let folder = Folder::new("missing");
    let path = folder.socket();
    let error = dialer().stream(&url(&path)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot connect to unix:{path}: there is no such socket")
    );
    assert!(error.is_retryable());
}

#[tokio::test]
async fn host_without_a_scheme_is_told_to_have_been_taken_for_a_path() {
    for text in ["no-host.example", "no-host.example/admin?token=1"] {
        let error = dialer().stream(&url(text)).await.unwrap_err();
        assert!(
            error.to_string().ends_with(
                ": it was taken for the path of a socket, which is not there; a server's URL begins with http://"
            ),
            "{error}"
        );
    }
    assert_eq!(unix_problem("./no-file.sock").await, UnixProblem::Missing);
}

#[tokio::test]
async fn what_is_wrong_with_a_path_is_told() {
    let folder = Folder::new("wrong");
    let path = folder.socket();
    drop(UnixListener::bind(&path).unwrap());
    assert_eq!(unix_problem(&path).await, UnixProblem::NobodyListens);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "no socket").unwrap();
    assert_eq!(unix_problem(&path).await, UnixProblem::NotASocket);
}

#[tokio::test]
async fn path_that_is_too_long_is_refused_with_its_limit() {
    for text in [
        format!("/tmp/{}", "a".repeat(200)),
        format!("unix:@{}", "a".repeat(205)),
    ] {
        let UnixProblem::TooLong { length, limit } = unix_problem(&text).await else {
            panic!("not too long")
        };
        assert_eq!(length, 205);
        assert!((100..=108).contains(&limit));
    }
}

#[tokio::test]
async fn longest_path_is_connected_to() {
    let folder = Folder::new("long");
    let start = folder.0.to_str().unwrap().to_owned() + "/";
    let Some(rest) = 107_usize.checked_sub(start.len()) else {
        return;
    };
    if cfg!(target_os = "linux") {
        let path = start + &"a".repeat(rest);
        let listener = UnixListener::bind(&path).unwrap();
        let io = dialer().stream(&url(&path)).await.unwrap();
        assert_joined(io, listener.accept().await.unwrap().0).await;
    }
}

#[tokio::test]
async fn socket_without_write_permission_is_denied() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::new("denied");
    let _listener = UnixListener::bind(folder.socket()).unwrap();
    let nobody = std::fs::Permissions::from_mode(0o000);
    std::fs::set_permissions(folder.socket(), nobody).unwrap();
    if std::fs::File::open(folder.socket()).is_err_and(|error| {
        // Whoever may do everything gets another error: sockets cannot be opened.
        error.kind() == std::io::ErrorKind::PermissionDenied
    }) {
        let problem = unix_problem(&folder.socket()).await;
        assert_eq!(problem, UnixProblem::Denied);
    }
}

#[tokio::test]
async fn socket_of_the_application_is_as_good_as_one_of_ours() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = DialConfig::default().open_with(move |_| tokio::net::TcpStream::connect(address));
    let io = with(config).unwrap().stream(&url("tcp://nowhere:1")).await;
    let io = io.unwrap();
    assert!(matches!(io, Io::Bare(Socket::Tcp(_))));
    let (server, _) = listener.accept().await.unwrap();
    assert_joined(io, server).await;

    let (near, far) = tokio::net::UnixStream::pair().unwrap();
    let dialer = with(DialConfig::default().stream(near)).unwrap();
    let io = dialer.stream(&url("ws://nowhere")).await.unwrap();
    assert!(matches!(io, Io::Bare(Socket::Unix(_))));
    assert_joined(io, far).await;

    let (near, far) = tokio::io::duplex(64);
    let dialer = with(DialConfig::default().stream(near)).unwrap();
    let io = dialer.stream(&url("unix:nowhere")).await.unwrap();
    assert!(matches!(io, Io::Boxed(_)));
    assert_joined(io, far).await;
    let error = dialer.stream(&url("unix:nowhere")).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot connect to unix:nowhere");
}

#[test]
fn proxy_is_none_of_the_applications_streams() {
    let (near, _far) = tokio::io::duplex(64);
    let config = DialConfig::default().stream(near);
    let error = with(config.proxy(Some("http://proxy".parse().unwrap())));
    assert!(matches!(error, Err(ConnectorError::ProxyOfStreams)));
}
