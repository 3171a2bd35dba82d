use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use sockeye_events::{Data, DisconnectReason};
use sockeye_server::{ListenOptions, Server};
use tokio::sync::mpsc;
use tracing::{Level, Metadata, Subscriber, span};

use crate::{Client, Dialect};

#[tokio::test(start_paused = true)]
async fn heartbeat_does_not_count_for_a_connection_that_is_paused() {
    let (_io, url, mut numbers) = serve("paused").await;
    let socket = Client::connect(&url).await.unwrap();
    socket.pause();
    socket.inner().heartbeat.lapse();
    socket.emit("number", 1).unwrap();
    socket.resume();
    socket.emit("number", 2).unwrap();
    assert_eq!(numbers.recv().await, Some(1));
    assert_eq!(numbers.recv().await, Some(2));
    assert!(socket.connected());
}

async fn serve(name: &str) -> (Server, String, mpsc::UnboundedReceiver<u32>) {
    let url = format!("unix:@sockeye-{name}-{}", std::process::id());
    let (sender, numbers) = mpsc::unbounded_channel();
    let io = Server::new();
    io.on("number", move |Data(n): Data<u32>| sender.send(n).unwrap());
    io.listen(&url).await.unwrap();
    (io, url, numbers)
}

/// Counts warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicUsize>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn auth_that_the_server_does_not_see_is_warned_of_once() {
    let (_io, url, _numbers) = serve("auth").await;
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    for (dialect, expected) in [(Dialect::Packets, 0), (Dialect::Lines, 1)] {
        let socket = Client::builder(&url)
            .config(|config| config.connector(|connector| connector.dialect(dialect)))
            .auth(json!({ "token": "t" }))
            .build()
            .unwrap();
        for _ in 0..2 {
            socket.connect().await.unwrap();
            socket.client().close().await;
        }
        assert_eq!(warnings.0.load(Ordering::Relaxed), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn event_after_a_long_sleep_goes_over_the_next_connection() {
    let (_io, url, mut numbers) = serve("sleep").await;
    let socket = Client::connect(&url).await.unwrap();
    let (sender, mut reasons) = mpsc::unbounded_channel();
    socket.on_disconnect(move |reason: DisconnectReason| sender.send(reason).unwrap());
    socket.inner().heartbeat.lapse();
    socket.emit("number", 1).unwrap();
    socket.emit("number", 2).unwrap();
    assert_eq!(socket.waiting_events(), 2);
    assert_eq!(reasons.recv().await, Some(DisconnectReason::PingTimeout));
    assert_eq!(numbers.recv().await, Some(1));
    assert_eq!(numbers.recv().await, Some(2));
    assert!(numbers.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn what_a_server_does_wrong_is_no_warning() {
    let (io, url, _numbers) = serve("wrong").await;
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let socket = Client::connect(&url).await.unwrap();
    let (sender, mut done) = mpsc::unbounded_channel();
    socket.on("number", |_: Data<u32>| {});
    socket.on("fail", || Err::<(), _>("told of"));
    socket.on("done", move || sender.send(()).unwrap());
    for (event, expected) in [("number", 0), ("fail", 1)] {
        io.emit(event, "text").unwrap();
        io.emit("done", ()).unwrap();
        done.recv().await.unwrap();
        assert_eq!(warnings.0.load(Ordering::Relaxed), expected, "{event}");
    }
}

#[tokio::test(start_paused = true)]
async fn heartbeat_does_not_count_once_this_side_has_ended() {
    let url = format!("unix:@sockeye-ended-{}", std::process::id());
    let io = Server::new();
    io.on_end(|peer: sockeye_server::Socket| peer.emit("number", 1));
    let options = ListenOptions::default().allow_half_open(true);
    io.listen_with(&url, options).await.unwrap();
    let socket = Client::connect(&url).await.unwrap();
    let (sender, mut heard) = mpsc::unbounded_channel();
    let tell = sender.clone();
    socket.on("number", move |Data(n): Data<u32>| {
        tell.send(n.to_string()).unwrap();
    });
    socket.on_disconnect(move |reason: DisconnectReason| {
        sender.send(reason.to_string()).unwrap();
    });
    socket.end();
    // The driver has read one of the server's heartbeats before it was told of the end.
    socket.inner().heartbeat.lapse();
    socket.emit("number", 2).unwrap();
    assert_eq!(socket.waiting_events(), 1);
    assert_eq!(heard.recv().await.as_deref(), Some("1"));
    io.sockets()[0].end();
    assert_eq!(heard.recv().await.as_deref(), Some("transport close"));
}

#[tokio::test(start_paused = true)]
async fn heartbeat_does_not_count_while_this_side_does_not_read() {
    let (io, url, mut numbers) = serve("deaf").await;
    let socket = Client::builder(&url)
        .config(|config| config.inbox(|inbox| inbox.max_handlers(1).max_queued_events(1)))
        .on("stuck", std::future::pending::<()>)
        .connect()
        .await
        .unwrap();
    for _ in 0..3 {
        io.emit("stuck", ()).unwrap();
    }
    socket.inner().heartbeat.lapse();
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    socket.emit("number", 1).unwrap();
    assert_eq!(numbers.recv().await, Some(1));
    assert!(socket.connected());
}
