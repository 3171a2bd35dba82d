//! How a client reaches its server: by which transports, and over whose streams.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

use std::time::Duration;

use sockeye_client::{Client, ClientEvent, Reconnection, TransportKind};
use sockeye_server::{Args, Server, ServerConfig};
use tokio::sync::mpsc;
use tokio::time::timeout;

async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), work).await.unwrap()
}

fn server(transports: &[TransportKind]) -> Server {
    let config =
        ServerConfig::default().engine(|engine| engine.transports(transports.iter().copied()));
    let io = Server::with_config(config).unwrap();
    io.on("echo", |args: Args| args);
    io
}

fn at_once() -> Reconnection {
    Reconnection::default().delay(Duration::from_millis(1))
}

#[tokio::test]
async fn transports_may_change_from_one_attempt_to_the_next() {
    let io = server(&[TransportKind::Polling]);
    let listener = io.listen("http://127.0.0.1:0").await.unwrap();
    let (asked, mut attempts) = mpsc::unbounded_channel();
    let socket = Client::builder(listener.url())
        .reconnection(at_once())
        .config(|config| {
            config
                .connector(|connector| connector.transports([TransportKind::WebSocket]))
                .before_connect(move |mut request| {
                    let configured = request.transports.clone();
                    asked.send((request.attempt, configured)).unwrap();
                    if request.attempt == 2 {
                        request.transports = Some(vec![TransportKind::Polling]);
                    }
                    async { Ok(request) }
                })
        })
        .build()
        .unwrap();
    let (tell, mut told) = mpsc::unbounded_channel();
    socket.client().on_client_event(move |event| {
        if let ClientEvent::Reconnect(attempt) = event {
            tell.send(*attempt).unwrap();
        }
    });
    socket.connect_lazy();
    assert_eq!(soon(told.recv()).await, Some(2));
    for attempt in 0..3 {
        let configured = Some(vec![TransportKind::WebSocket]);
        assert_eq!(attempts.recv().await, Some((attempt, configured)));
    }
    let echo: u32 = soon(socket.emit_with_ack("echo", 7)).await.unwrap();
    assert_eq!(echo, 7);
    assert_eq!(socket.transport(), Some(TransportKind::Polling));
    soon(socket.client().close()).await;
}
