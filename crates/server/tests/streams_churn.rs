//! Nothing is left of connections that have come and gone. A process of its own, because it counts
//! what the process has open.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use sockeye_server::{Server, Socket};
use sockeye_testkit::{SocketDir, StreamPeer};

/// How many connections of each dialect.
const EACH: usize = 5000;

/// How many at a time.
const AT_ONCE: usize = 50;

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

async fn settled(io: &Server) {
    while io.connection_count() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(io.sockets().is_empty() && io.room_names().is_empty());
}

async fn churn(io: &Server, dir: &SocketDir, count: usize, native: bool) {
    for _ in 0..count / AT_ONCE {
        let mut peers = Vec::new();
        for _ in 0..AT_ONCE {
            let mut peer = StreamPeer::unix(dir).await;
            if native {
                peer.open().await;
                assert_eq!(peer.text().await, r#"42["welcome"]"#);
            } else {
                peer.write("{\"eventName\":\"hello\"}\n").await;
                assert_eq!(peer.line().await.unwrap(), r#"{"eventName":"welcome"}"#);
            }
            peers.push(peer);
        }
        drop(peers);
        settled(io).await;
    }
}

#[tokio::test]
async fn ten_thousand_connections_leave_nothing() {
    let dir = SocketDir::new("churn");
    let io = Server::new();
    io.on_connect(|socket: Socket| {
        socket.join(["room", socket.id()]);
        socket.emit("welcome", ())
    });
    let mut listener = io.listen(dir.url()).await.unwrap();
    // What is made once is there before it is counted.
    churn(&io, &dir, AT_ONCE, true).await;
    let before = descriptors();
    churn(&io, &dir, EACH, true).await;
    churn(&io, &dir, EACH, false).await;
    assert_eq!(descriptors(), before);
    io.close().await;
    listener.closed().await;
    assert_eq!(descriptors(), before - 1, "the listening socket is gone");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
