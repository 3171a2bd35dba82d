//! A server that plays its part by hand: packets in length-prefixed frames. Virtual time takes
//! sockets that deliver at once: of the Unix domain.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// One connection of the server.
pub(crate) struct Peer(pub(crate) UnixStream);

impl Peer {
    pub(crate) async fn accept(listener: &UnixListener) -> Self {
        let (stream, _) = listener.accept().await.unwrap();
        let mut peer = Self(stream);
        assert!(peer.receive().await.starts_with('0'));
        peer.send(r#"0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#)
            .await;
        peer
    }

    pub(crate) async fn receive(&mut self) -> String {
        let len = self.0.read_u8().await.unwrap();
        assert!(len < 126, "the packets of this test are short");
        let mut packet = vec![0; usize::from(len)];
        self.0.read_exact(&mut packet).await.unwrap();
        String::from_utf8(packet).unwrap()
    }

    pub(crate) async fn send(&mut self, packet: &str) {
        let mut frame = match u8::try_from(packet.len()) {
            Ok(len) if len < 126 => vec![len],
            _ => {
                let [high, low] = u16::try_from(packet.len()).unwrap().to_be_bytes();
                vec![126, high, low]
            }
        };
        frame.extend_from_slice(packet.as_bytes());
        self.0.write_all(&frame).await.unwrap();
    }
}

/// A place for the server to listen, and its URL.
pub(crate) fn listen() -> (UnixListener, String) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("sockeye-by-hand-{}-{next}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let listener = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();
    listener.set_nonblocking(true).unwrap();
    (
        UnixListener::from_std(listener).unwrap(),
        format!("unix:@{name}"),
    )
}
