//! What the options of a listener do to its sockets, as the operating system has it.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::error::Error;
use std::io;
use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use socket2::{Domain, SockAddr, Socket, Type};
use sockeye_listen::{EngineConfig, ListenError, ListenOptions};
use sockeye_testkit::{Case, Client, EngineRig, Net, SocketDir};
use tokio::net::TcpStream;

fn rig() -> EngineRig {
    EngineRig::memory(EngineConfig::default())
}

fn kind(error: &ListenError) -> io::ErrorKind {
    let cause = error.source().unwrap().downcast_ref::<io::Error>();
    cause.unwrap().kind()
}

/// How many connect before the queue of those that nobody has accepted is full.
///
/// Nothing here awaits, and the runtime has this one thread, so that the listener accepts nobody.
fn queue_len(domain: Domain, address: &SockAddr) -> usize {
    let mut waiting = Vec::new();
    while waiting.len() < 600 {
        let socket = Socket::new(domain, Type::STREAM, None).unwrap();
        // A full queue lets a TCP peer wait, which is to say that it does not answer in time.
        let connected = match domain {
            Domain::UNIX => {
                socket.set_nonblocking(true).unwrap();
                socket.connect(address)
            }
            _ => socket.connect_timeout(address, Duration::from_millis(200)),
        };
        if connected.is_err() {
            break;
        }
        waiting.push(socket);
    }
    waiting.len()
}

#[tokio::test]
async fn backlog_is_how_many_may_wait() {
    let dir = SocketDir::new("options-backlog");
    let rig = rig();
    // One more than the number fits into Linux's queues.
    for backlog in [1, 5] {
        let options = ListenOptions::default().backlog(backlog);
        let fits = usize::from(backlog) + 1;
        let listener = rig.engine.listen(&dir.url(), options.clone()).await;
        let mut listener = listener.unwrap();
        let address = SockAddr::unix(dir.socket()).unwrap();
        assert_eq!(queue_len(Domain::UNIX, &address), fits);
        listener.close();
        listener.closed().await;

        let listener = rig.engine.listen("tcp://127.0.0.1:0", options).await;
        let address = listener.unwrap().local_addr().unwrap();
        assert_eq!(queue_len(Domain::IPV4, &address.into()), fits);
    }
}

#[tokio::test]
async fn shared_port_takes_several_listeners_that_all_say_so() {
    let shared = || ListenOptions::default().shared_port(true);
    let rigs = [rig(), rig()];
    let first = rigs[0].engine.listen("http://127.0.0.1:0", shared()).await;
    let address = first.unwrap().local_addr().unwrap();
    let url = format!("http://{address}");
    rigs[1].engine.listen(&url, shared()).await.unwrap();
    let alone = rigs[1].engine.listen(&url, ListenOptions::default()).await;
    assert_eq!(kind(&alone.unwrap_err()), io::ErrorKind::AddrInUse);

    // The operating system spreads connections by chance, over both sooner or later.
    let net = Net::tcp(address, "/engine.io/");
    let mut clients = Vec::new();
    while rigs.iter().any(|rig| rig.engine.session_count() == 0) {
        assert!(clients.len() < 100, "one of two gets everything");
        clients.push(Client::open(&net, Case::WEBSOCKET).await);
    }
}

#[tokio::test]
async fn exclusive_port_is_not_shared_with_who_would_like_to() {
    let rig = rig();
    let first = rig
        .engine
        .listen("tcp://127.0.0.1:0", ListenOptions::default());
    let url = first.await.unwrap().url();
    let shared = ListenOptions::default().shared_port(true);
    let second = rig.engine.listen(&url, shared).await;
    assert_eq!(kind(&second.unwrap_err()), io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn ipv6_only_leaves_the_port_to_others_on_ipv4() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        eprintln!("left out: there is no IPv6 here");
        return;
    }
    let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = other.local_addr().unwrap().port();
    let url = format!("http://[::]:{port}");
    let rig = rig();
    // `::` means both by default, and one of them is taken.
    let both = rig.engine.listen(&url, ListenOptions::default()).await;
    assert_eq!(kind(&both.unwrap_err()), io::ErrorKind::AddrInUse);
    let options = ListenOptions::default().ipv6_only(true);
    rig.engine.listen(&url, options).await.unwrap();
    let net = Net::tcp((Ipv6Addr::LOCALHOST, port).into(), "/engine.io/");
    let _client = Client::open(&net, Case::WEBSOCKET).await;
    assert_eq!(rig.engine.session_count(), 1);
    let ipv4 = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (_, peer) = other.accept().await.unwrap();
    assert_eq!(peer, ipv4.local_addr().unwrap());
}

#[tokio::test]
async fn every_address_takes_ipv4_and_ipv6() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        eprintln!("left out: there is no IPv6 here");
        return;
    }
    let rig = rig();
    let listener = rig.engine.listen("http://[::]:0", ListenOptions::default());
    let port = listener.await.unwrap().local_addr().unwrap().port();
    for host in ["127.0.0.1", "::1"] {
        let address = SocketAddr::new(host.parse().unwrap(), port);
        let net = Net::tcp(address, "/engine.io/");
        let _client = Client::open(&net, Case::WEBSOCKET).await;
    }
}

/// This process's end of the connection whose other end has this address, as another handle of the
/// same socket; `None` where processes may not do that, as in some containers.
fn accepted(peer: SocketAddr) -> Option<Socket> {
    let this = pidfd_open(getpid(), PidfdFlags::empty()).ok()?;
    let open = std::fs::read_dir("/proc/self/fd").ok()?;
    let mut numbers = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers.find_map(|number| {
        let fd = pidfd_getfd(&this, number, PidfdGetfdFlags::empty()).ok()?;
        let socket = Socket::from(fd);
        let other_end = socket.peer_addr().ok()?.as_socket()?;
        (other_end == peer).then_some(socket)
    })
}

/// Whether small writes leave at once, and the idle time before a probe, of a connection that a listener with
/// these options has accepted.
async fn accepted_with(scheme: &str, options: ListenOptions) -> Option<(bool, Option<Duration>)> {
    let mut rig = rig();
    let url = format!("{scheme}://127.0.0.1:0");
    let listener = rig.engine.listen(&url, options).await;
    let address = listener.unwrap().local_addr().unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let opening: &[u8] = match scheme {
        "tcp" => b"\x010",
        _ => b"GET /engine.io/?EIO=4&transport=polling HTTP/1.1\r\nhost: a\r\n\r\n",
    };
    tokio::io::AsyncWriteExt::write_all(&mut stream, opening)
        .await
        .unwrap();
    rig.session().await;
    let socket = accepted(stream.local_addr().unwrap())?;
    let idle = socket.keepalive().unwrap();
    let idle = idle.then(|| socket.tcp_keepalive_time().unwrap());
    Some((socket.tcp_nodelay().unwrap(), idle))
}

#[tokio::test]
async fn accepted_connections_have_nodelay_and_keep_alive_as_told() {
    for scheme in ["tcp", "http"] {
        let Some(found) = accepted_with(scheme, ListenOptions::default()).await else {
            eprintln!("left out: this process may not look at its own sockets");
            return;
        };
        let minute = Duration::from_secs(60);
        assert_eq!(found, (true, Some(minute)), "{scheme}: the default");
        for idle in [Some(Duration::from_secs(123)), None] {
            let options = ListenOptions::default().nodelay(false).keep_alive(idle);
            let found = accepted_with(scheme, options).await;
            assert_eq!(found, Some((false, idle)), "{scheme}");
        }
    }
}
