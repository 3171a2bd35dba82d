//! The end of an engine and of its listeners: what is left of them then, and how long it takes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use sockeye_engine::{CloseReason, Connection, Incoming, SessionHandle};
use sockeye_listen::{
    Application, Engine, EngineConfig, Handshake, ListenError, ListenOptions, WeakEngine,
};
use sockeye_testkit::{Case, Client, EngineRig, Net, SocketDir, StreamPeer};
use tokio::net::TcpStream;
use tokio::time::Instant;

fn config() -> EngineConfig {
    EngineConfig::default()
}

/// The time that an engine takes to close by default, give or take the tenth of it that is allowed.
const GRACE: Duration = Duration::from_millis(1150);

/// Opens a session on a bare stream.
async fn open(peer: &mut StreamPeer) {
    peer.write(b"\x010").await;
    assert!(peer.text().await.starts_with('0'));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn socket_file_is_gone_when_closing_returns() {
    let dir = SocketDir::new("closing-file");
    let url = dir.url();
    for round in 0..200 {
        let rig = EngineRig::memory(config());
        let listening = rig.engine.listen(&url, ListenOptions::default()).await;
        listening.unwrap_or_else(|error| panic!("round {round}: {error:?}"));
        let mut peer = StreamPeer::unix(&dir).await;
        if round % 2 == 0 {
            open(&mut peer).await;
        }
        // Hangs up when the server does.
        let hearing = tokio::spawn(async move { while peer.fill().await {} });
        rig.engine.close().await;
        hearing.await.unwrap();
        assert!(!dir.socket().exists(), "round {round}");
        assert_eq!(rig.engine.session_count(), 0);
        assert_eq!(rig.engine.connection_count(), 0);
    }
}

/// Notes how many sessions and connections there are when a session's transport is gone.
#[derive(Clone, Default)]
struct Counting {
    engine: Arc<OnceLock<WeakEngine<Self>>>,
    counts: Arc<Mutex<Vec<(usize, usize)>>>,
}

impl Application for Counting {
    type Connection = Self;

    fn connect(&self, _: SessionHandle, _: Arc<Handshake>) -> Self {
        self.clone()
    }
}

impl Connection for Counting {
    fn handle_message(&mut self, _: Incoming<'_>, _: &mut Context<'_>) {}

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn handle_close(&mut self, _: CloseReason, _: &mut Context<'_>) {}

    fn handle_gone(&mut self, _: &mut Context<'_>) {
        let engine = self.engine.get().and_then(WeakEngine::upgrade);
        let counts = engine.map(|engine| (engine.session_count(), engine.connection_count()));
        if let Ok(mut all) = self.counts.lock() {
            all.extend(counts);
        }
    }
}

#[tokio::test]
async fn session_counts_until_its_connection_is_gone() {
    let dir = SocketDir::new("closing-last");
    let application = Counting::default();
    let engine = Engine::new(config(), application.clone()).unwrap();
    application.engine.set(engine.downgrade()).unwrap();
    let listening = engine.listen(&dir.url(), ListenOptions::default()).await;
    let _listener = listening.unwrap();
    let mut peer = StreamPeer::unix(&dir).await;
    open(&mut peer).await;
    assert_eq!((engine.session_count(), engine.connection_count()), (1, 1));
    let hearing = tokio::spawn(async move { while peer.fill().await {} });
    engine.close().await;
    hearing.await.unwrap();
    assert_eq!(*application.counts.lock().unwrap(), [(1, 0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn port_is_free_when_closing_returns() {
    let first = EngineRig::tcp(config()).await;
    let address = first.net.address();
    first.engine.close().await;
    let url = format!("http://{address}");
    for round in 0..200 {
        assert!(TcpStream::connect(address).await.is_err(), "round {round}");
        // Sessions on long-polling are waited for.
        let rig = EngineRig::memory(config().shutdown_timeout(Duration::from_millis(20)));
        let listener = rig.engine.listen(&url, ListenOptions::default()).await;
        listener.unwrap_or_else(|error| panic!("round {round}: {error:?}"));
        let net = Net::tcp(address, rig.net.path());
        let idle = net.connect().await;
        let mut client = Client::open(&net, [Case::WEBSOCKET, Case::POLLING][round % 2]).await;
        let hearing = tokio::spawn(async move {
            client.hung_up().await;
        });
        rig.engine.close().await;
        hearing.await.unwrap();
        assert_eq!(rig.engine.session_count(), 0);
        assert_eq!(rig.engine.connection_count(), 0);
        drop(idle);
    }
}

#[tokio::test]
async fn engine_that_closes_when_idle_takes_its_listeners_along() {
    let dir = SocketDir::new("closing-idle");
    let mut rig = EngineRig::memory(config());
    let url = dir.url();
    let listening = rig.engine.listen(&url, ListenOptions::default()).await;
    listening.unwrap();
    let mut peer = StreamPeer::unix(&dir).await;
    open(&mut peer).await;
    let mut session = rig.session().await;
    let engine = rig.engine.clone();
    let closing = tokio::spawn(async move { engine.close_when_idle().await });
    let is_closing = || rig.engine.is_closing();
    rig.net.until("a closing engine", is_closing).await;
    peer.send_text("4still here").await;
    assert_eq!(peer.text().await, "4still here");
    assert!(dir.socket().exists());
    drop(peer);
    rig.net.within("the end", closing).await.unwrap();
    assert!(!dir.socket().exists());
    assert_eq!(session.closed().await, CloseReason::TransportClose);
    let again = rig.engine.listen(&url, ListenOptions::default()).await;
    let error = again.unwrap_err();
    assert!(matches!(error, ListenError::Closed { .. }), "{error:?}");
}

/// An application that panics whenever a session is opened, and counts that.
#[derive(Default)]
struct Panicking(AtomicUsize);

impl Application for Panicking {
    type Connection = Self;

    fn connect(&self, _: SessionHandle, _: Arc<Handshake>) -> Self {
        self.0.fetch_add(1, Ordering::Relaxed);
        panic!("as the test wants it");
    }
}

impl Connection for Panicking {
    fn handle_message(&mut self, _: Incoming<'_>, _: &mut Context<'_>) {}

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn handle_close(&mut self, _: CloseReason, _: &mut Context<'_>) {}
}

#[tokio::test(start_paused = true)]
async fn session_that_the_application_panics_at_is_not_waited_for() {
    let dir = SocketDir::new("closing-panic");
    let engine = Engine::new(config(), Panicking::default()).unwrap();
    engine
        .listen(&dir.url(), ListenOptions::default())
        .await
        .unwrap();
    let net = Net::memory(engine.service(), "/engine.io/");
    for case in [Case::POLLING, Case::WEBSOCKET] {
        let mut request = net.to_get(&case.query());
        if !case.is_polling() {
            for (name, value) in [
                ("connection", "Upgrade"),
                ("upgrade", "websocket"),
                ("sec-websocket-version", "13"),
                ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ] {
                request = request.header(name, value);
            }
        }
        let mut http = net.http().await;
        http.send(&request).await;
        // A WebSocket opens before the application is asked.
        while http.response().await.is_some() {}
        assert_eq!(engine.session_count(), 0, "{case:?}");
    }
    let mut peer = StreamPeer::unix(&dir).await;
    peer.write(b"\x010").await;
    while peer.fill().await {}
    assert_eq!(engine.application().0.load(Ordering::Relaxed), 3);
    let start = Instant::now();
    engine.close().await;
    assert!(start.elapsed() <= GRACE, "{:?}", start.elapsed());
    assert_eq!(engine.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn abandoned_handshake_does_not_hold_up_closing() {
    let mut rig = EngineRig::memory(config());
    let (_client, mut session) = rig.open(Case::POLLING).await;
    let start = Instant::now();
    rig.engine.close().await;
    assert!(start.elapsed() <= GRACE, "{:?}", start.elapsed());
    assert_eq!(session.closed().await, CloseReason::ForcedClose);
    assert_eq!(rig.engine.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn stalled_websocket_does_not_hold_up_closing() {
    let mut rig = EngineRig::memory(config());
    let (_client, mut session) = rig.open(Case::WEBSOCKET).await;
    while session.handle.queued() == 0 {
        session.text(&"x".repeat(10_000));
        tokio::task::yield_now().await;
    }
    let start = Instant::now();
    rig.engine.close().await;
    assert!(start.elapsed() <= GRACE, "{:?}", start.elapsed());
    assert_eq!(session.closed().await, CloseReason::ForcedClose);
    assert_eq!(session.handle.queued(), 0, "what waited is freed");
}

#[tokio::test(start_paused = true)]
async fn closing_has_the_time_that_it_is_given() {
    let time = Duration::from_secs(40);
    let mut rig = EngineRig::memory(config().shutdown_timeout(time));
    let (client, mut session) = rig.open(Case::POLLING).await;
    session.text("last words");
    let engine = rig.engine.clone();
    let closing = tokio::spawn(async move { engine.close().await });
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(client.get().await.brief(), (200, "4last words"));
    assert_eq!(client.get().await.brief(), (200, "6\u{1e}1"));
    rig.net.within("the end", closing).await.unwrap();
    assert_eq!(session.closed().await, CloseReason::ForcedClose);
}

#[tokio::test]
async fn half_of_a_request_does_not_hold_up_closing() {
    let options = ListenOptions::default().header_timeout(Duration::from_secs(3600));
    let rig = EngineRig::tcp_with(config(), options).await;
    let mut half = rig.net.http().await;
    half.write(b"GET /engine.io/?EIO=4&tra").await;
    let mut posting = rig.net.http().await;
    let client = Client::open(&rig.net, Case::POLLING).await;
    let head = rig.net.to_get(&client.query()).method("POST");
    let head = head.header("content-length", "1000").to_bytes();
    posting.write(&head).await;
    rig.net.within("the end", rig.engine.close()).await;
    assert_eq!(rig.engine.connection_count(), 0);
}

#[tokio::test]
async fn listener_ends_although_a_request_goes_on() {
    let options = ListenOptions::default().drain_timeout(Duration::from_millis(20));
    let mut rig = EngineRig::tcp_with(config(), options).await;
    let (client, mut session) = rig.open(Case::POLLING).await;
    let mut listener = rig.listener.take().unwrap();
    let before = session.polls();
    let mut polling = client.begin_get().await;
    rig.net.until("a poll", || session.polls() > before).await;
    listener.close();
    rig.net
        .within("the listener's end", listener.closed())
        .await;
    assert!(polling.response().await.is_none());
    assert_eq!(session.closed().await, CloseReason::TransportError);
}
