//! What holds for a session whatever carries it.

use std::time::Duration;

use sockeye_dial::ConnectorConfig;
use sockeye_engine::{CloseReason, Message, Revision, TransportKind};
use sockeye_listen::EngineConfig;
use sockeye_testkit::{EngineRig, Seen, Session};

use crate::rig::{Peer, connector, serve, until};

/// What carries a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Tcp,
    Unix,
    WebSocket(Revision),
    Polling(Revision),
    Upgrade(Revision),
    Base64(Revision),
}

/// An engine, and one session of a client with it.
struct Pair {
    rig: EngineRig,
    peer: Peer,
    server: Session,
    #[expect(dead_code, reason = "it holds the socket's file")]
    folder: Option<tempdir::Folder>,
}

mod tempdir {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A folder that is gone when this is dropped.
    pub(super) struct Folder(pub(super) PathBuf);

    impl Folder {
        #[expect(clippy::unwrap_used, reason = "what fails here fails the test")]
        pub(super) fn new() -> Self {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("sockeye-client-{}-{count}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

impl Way {
    fn config(self) -> ConnectorConfig {
        let config = ConnectorConfig::default();
        match self {
            Self::Tcp | Self::Unix => config,
            Self::WebSocket(revision) => config
                .transports([TransportKind::WebSocket])
                .revision(revision),
            Self::Polling(revision) => config.upgrade(false).revision(revision),
            Self::Upgrade(revision) => config.revision(revision),
            Self::Base64(revision) => config.force_base64(true).revision(revision),
        }
    }

    #[expect(clippy::unwrap_used, reason = "what fails here fails the test")]
    async fn open_with(self, server: EngineConfig, client: ConnectorConfig) -> Pair {
        let folder = (self == Self::Unix).then(tempdir::Folder::new);
        let url = match self {
            Self::Tcp => "tcp://127.0.0.1:0".to_owned(),
            Self::Unix => format!("unix:{}/s", folder.as_ref().unwrap().0.display()),
            _ => "http://127.0.0.1:0".to_owned(),
        };
        let (mut rig, url) = serve(server, &url).await;
        let peer = Peer::open(&connector(client), &url).await.unwrap();
        let server = rig.session().await;
        Pair {
            rig,
            peer,
            server,
            folder,
        }
    }

    async fn open(self) -> Pair {
        self.open_with(EngineConfig::default(), self.config()).await
    }

    /// Whether the session ends up on another transport than it began on.
    fn moves(self) -> bool {
        matches!(self, Self::Upgrade(_) | Self::Base64(_))
    }
}

impl Pair {
    /// Waits until the session is where it is to stay.
    async fn settle(&self, way: Way) {
        if way.moves() {
            let (client, server) = (&self.peer.opened.session, &self.server.handle);
            until(|| client.transport() == TransportKind::WebSocket).await;
            until(|| server.transport() == TransportKind::WebSocket).await;
        }
    }
}

fn messages(count: usize) -> [Message; 3] {
    [
        Message::text(&format!("{count} né😀")),
        Message::binary(vec![7; count % 300]),
        // Larger than what is copied together, and than what one read takes.
        Message::text(&"x".repeat(count * 997 % 70_000)),
    ]
}

fn seen(message: &Message) -> Seen {
    match message.as_text() {
        Some(text) => Seen::Text(text.to_owned()),
        None => Seen::Binary(
            message
                .as_binary()
                .map(|data| data.to_vec())
                .unwrap_or_default(),
        ),
    }
}

async fn messages_come_back_in_order(way: Way) {
    let mut pair = way.open().await;
    let mut count = 0;
    // At least this many, and some behind an upgrade.
    let mut left = 40;
    while left > 0 {
        let batch = messages(count);
        pair.peer.send(&batch);
        pair.peer.send(&messages(count + 1));
        for message in batch.iter().chain(&messages(count + 1)) {
            assert_eq!(pair.peer.seen().await, seen(message));
        }
        count += 2;
        let transport = pair.peer.opened.session.transport();
        if !way.moves() || transport == TransportKind::WebSocket {
            left -= 1;
        }
    }
    assert!(pair.peer.is_quiet());
}

async fn server_close_is_a_transport_close(way: Way) {
    let mut pair = way.open().await;
    pair.settle(way).await;
    pair.server.text("last words");
    pair.server.handle.close();
    assert_eq!(pair.peer.seen().await, Seen::Text("last words".into()));
    let ended = pair.peer.ended().await;
    assert_eq!(ended.reason, CloseReason::TransportClose);
    assert!(ended.detail.is_some());
    assert_eq!(pair.server.closed().await, CloseReason::ForcedClose);
}

async fn close_lets_what_was_sent_arrive(way: Way) {
    let mut pair = way.open().await;
    for count in 0..100 {
        pair.peer.text(&format!("{count} {}", "x".repeat(3000)));
    }
    pair.peer.opened.session.close();
    for count in 0..100 {
        let seen = pair.server.seen().await;
        let Some(Seen::Text(text)) = seen else {
            panic!("{seen:?} for message {count}")
        };
        assert!(text.starts_with(&format!("{count} ")));
    }
    assert_eq!(pair.server.closed().await, CloseReason::TransportClose);
    let ended = pair.peer.ended().await;
    assert_eq!(ended.reason, CloseReason::ForcedClose);
    assert_eq!(ended.detail, None);
    assert_eq!(pair.rig.engine.session_count(), 0);
}

async fn large_message_is_a_transport_error(way: Way) {
    let config = way.config().limits(|limits| limits.max_payload(10_000));
    let pair = way.open_with(EngineConfig::default(), config).await;
    pair.settle(way).await;
    pair.server.text(&"x".repeat(20_000));
    let ended = pair.peer.ended().await;
    assert_eq!(ended.reason, CloseReason::TransportError);
    assert!(ended.detail.is_some());
}

async fn heartbeats_keep_the_session(way: Way) {
    let config = EngineConfig::default().session(|session| {
        session
            .ping_interval(Duration::from_millis(20))
            .ping_timeout(Duration::from_millis(500))
    });
    let mut pair = way.open_with(config, way.config()).await;
    pair.settle(way).await;
    // Each of these is longer than what either side waits for the other's heartbeat.
    let (client, server) = (&pair.peer.opened.session, &pair.server.handle);
    let begun = tokio::time::Instant::now();
    until(|| {
        assert!(client.is_open() && server.is_open());
        begun.elapsed() > Duration::from_millis(1200)
    })
    .await;
    pair.peer.text("still there");
    assert_eq!(pair.peer.seen().await, Seen::Text("still there".into()));
}

async fn vanished_client_is_noticed(way: Way) {
    let config = EngineConfig::default().session(|session| {
        session
            .ping_interval(Duration::from_millis(100))
            .ping_timeout(Duration::from_millis(200))
    });
    let mut pair = way.open_with(config, way.config()).await;
    pair.settle(way).await;
    pair.peer.vanish();
    let reason = pair.server.closed().await;
    // On polling there may be no request on its way whose end could tell.
    let polling = matches!(way, Way::Polling(_)) && reason == CloseReason::PingTimeout;
    assert!(
        polling || reason == CloseReason::TransportClose || reason == CloseReason::TransportError,
        "{reason}"
    );
}

async fn unready_connection_is_not_given_more(way: Way) {
    let mut pair = way.open().await;
    pair.settle(way).await;
    pair.peer.set_ready(false);
    for count in 0..50 {
        pair.server.text(&count.to_string());
    }
    // What the peer sends goes out nevertheless.
    pair.peer.text("out");
    assert_eq!(pair.server.seen().await, Some(Seen::Text("out".into())));
    assert!(pair.peer.is_quiet());
    pair.peer.set_ready(true);
    for count in 0..50 {
        assert_eq!(pair.peer.seen().await, Seen::Text(count.to_string()));
    }
}

#[tokio::test]
async fn heartbeats_keep_a_session_on_a_stream() {
    heartbeats_keep_the_session(Way::Tcp).await;
}

#[tokio::test]
async fn heartbeats_keep_a_session_on_polling() {
    tokio::join!(
        heartbeats_keep_the_session(Way::Polling(Revision::V3)),
        heartbeats_keep_the_session(Way::Polling(Revision::V4)),
    );
}

#[tokio::test]
async fn heartbeats_keep_a_session_that_has_moved() {
    tokio::join!(
        heartbeats_keep_the_session(Way::Upgrade(Revision::V3)),
        heartbeats_keep_the_session(Way::Upgrade(Revision::V4)),
    );
}

/// Runs each behaviour over everything that can carry a session.
macro_rules! over_all {
    ($($test:ident)*) => {$(
        mod $test {
            use super::*;

            #[tokio::test]
            async fn tcp() {
                super::$test(Way::Tcp).await;
            }

            #[cfg(unix)]
            #[tokio::test]
            async fn unix() {
                super::$test(Way::Unix).await;
            }

            #[tokio::test]
            async fn websocket_v4() {
                super::$test(Way::WebSocket(Revision::V4)).await;
            }

            #[tokio::test]
            async fn websocket_v3() {
                super::$test(Way::WebSocket(Revision::V3)).await;
            }

            #[tokio::test]
            async fn polling_v4() {
                super::$test(Way::Polling(Revision::V4)).await;
            }

            #[tokio::test]
            async fn polling_v3() {
                super::$test(Way::Polling(Revision::V3)).await;
            }

            #[tokio::test]
            async fn upgrade_v4() {
                super::$test(Way::Upgrade(Revision::V4)).await;
            }

            #[tokio::test]
            async fn upgrade_v3() {
                super::$test(Way::Upgrade(Revision::V3)).await;
            }

            #[tokio::test]
            async fn base64_v4() {
                super::$test(Way::Base64(Revision::V4)).await;
            }

            #[tokio::test]
            async fn base64_v3() {
                super::$test(Way::Base64(Revision::V3)).await;
            }
        }
    )*};
}

over_all! {
    messages_come_back_in_order
    server_close_is_a_transport_close
    close_lets_what_was_sent_arrive
    large_message_is_a_transport_error
    vanished_client_is_noticed
    unready_connection_is_not_given_more
}
