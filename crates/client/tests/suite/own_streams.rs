//! Clients over streams that the application opens.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sockeye_client::{
    Client, ClientBuilder, ConnectError, DialConfig, Dialect, DisconnectReason, Reconnection,
};
use sockeye_server::{ConnectionInfo, Data, ListenOptions, Server, TransportKind};
use std::time::Duration;

use tokio::io::{DuplexStream, copy_bidirectional, duplex};
use tokio::sync::mpsc;

/// A client of the server whose connections are pipes, and how many of them it has opened.
fn client(io: &Server, url: &str) -> (ClientBuilder, Arc<AtomicUsize>) {
    let (io, opened) = (io.clone(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&opened);
    let dial = DialConfig::default().open_with(move |url| {
        let (near, far) = duplex(64 * 1024);
        let (info, options) = (ConnectionInfo::default(), ListenOptions::default());
        match url.is_http() {
            true => io.serve_http(far, info, options),
            false => io.serve_stream(far, info, options),
        }
        count.fetch_add(1, Ordering::Relaxed);
        async { Ok(near) }
    });
    let builder = Client::builder(url);
    let builder = builder.config(|config| config.connector(|connector| connector.dial(|_| dial)));
    (builder, opened)
}

#[tokio::test(start_paused = true)]
async fn every_transport_runs_over_streams_of_the_application() {
    let io = Server::new();
    io.on("echo", |Data(text): Data<String>| text);
    for (url, transport, streams) in [
        ("http://nowhere", TransportKind::WebSocket, 2..4),
        ("tcp://nowhere:1", TransportKind::Unix, 1..2),
        ("unix:nowhere", TransportKind::Unix, 1..2),
    ] {
        let (builder, opened) = client(&io, url);
        let socket = builder.connect().await.unwrap();
        while io.sockets()[0].transport() != transport {
            tokio::task::yield_now().await;
        }
        let answer: String = socket.emit_with_ack("echo", "hello").await.unwrap();
        assert_eq!(answer, "hello");
        assert!(streams.contains(&opened.load(Ordering::Relaxed)), "{url}");
        socket.client().close().await;
        while !io.sockets().is_empty() {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn failure_of_the_application_is_that_of_the_attempt() {
    let dial = DialConfig::default().open_with(|_| async {
        Err::<tokio::io::DuplexStream, _>(io::Error::other("the tunnel is down"))
    });
    let builder = Client::builder("http://nowhere")
        .config(|config| config.connector(|connector| connector.dial(|_| dial)))
        .reconnection(None);
    let error = builder.connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Open(_)), "{error:?}");
    let mut causes = Vec::new();
    let mut next: Option<&dyn std::error::Error> = Some(&error);
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    assert!(
        causes.iter().any(|cause| cause == "the tunnel is down"),
        "{causes:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn client_comes_back_over_another_stream() {
    let io = Server::new();
    io.on("echo", |Data(text): Data<String>| text);
    for url in ["ws://nowhere", "tcp://nowhere:1"] {
        let (tell, mut streams) = mpsc::unbounded_channel();
        let server = io.clone();
        let dial = DialConfig::default().open_with(move |url| {
            // What lies between them can be cut.
            let ((near, mut there), (mut here, far)) = (duplex(4096), duplex(4096));
            let (info, options) = (ConnectionInfo::default(), ListenOptions::default());
            match url.is_http() {
                true => server.serve_http(far, info, options),
                false => server.serve_stream(far, info, options),
            }
            let wire = tokio::spawn(async move { copy_bidirectional(&mut there, &mut here).await });
            tell.send(wire.abort_handle()).unwrap();
            async { Ok(near) }
        });
        let (lost, mut losses) = mpsc::unbounded_channel();
        let socket = Client::builder(url)
            .config(|config| config.connector(|connector| connector.dial(|_| dial)))
            .reconnection(Reconnection::default().delay(Duration::from_millis(10)))
            .listeners(|socket| {
                socket.on_disconnect(move |reason: DisconnectReason| lost.send(reason).unwrap());
            })
            .connect()
            .await
            .unwrap();
        for round in 0..3 {
            let text = format!("{round}");
            let answer: String = socket.emit_with_ack("echo", &text).await.unwrap();
            assert_eq!(answer, text);
            // Polling comes first at `ws`, too, whose streams before the WebSocket's rest.
            while let Ok(wire) = streams.try_recv() {
                wire.abort();
            }
            assert_eq!(losses.recv().await, Some(DisconnectReason::TransportClose));
        }
        socket.client().close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn lines_run_over_them_too() {
    let io = Server::new();
    io.on("echo", |Data(text): Data<String>| text);
    let (builder, _) = client(&io, "unix:nowhere");
    let socket = builder
        .config(|config| config.connector(|connector| connector.dialect(Dialect::Lines)))
        .connect()
        .await
        .unwrap();
    let answer: String = socket.emit_with_ack("echo", "hello").await.unwrap();
    assert_eq!(answer, "hello");
}

#[tokio::test(start_paused = true)]
async fn one_stream_is_enough_for_a_client_that_does_not_come_back() {
    let io = Server::new();
    io.on("echo", |Data(text): Data<String>| text);
    let (near, far) = duplex(4096);
    io.serve_stream(far, ConnectionInfo::default(), ListenOptions::default());
    let dial = DialConfig::default().stream(near);
    let socket = Client::builder("tcp://nowhere:1")
        .config(|config| config.connector(|connector| connector.dial(|_| dial)))
        .reconnection(None)
        .connect()
        .await
        .unwrap();
    let answer: String = socket.emit_with_ack("echo", "hello").await.unwrap();
    assert_eq!(answer, "hello");
    io.disconnect_sockets();
    socket.client().closed().await;
    let error = format!("{:#}", socket.connect().await.unwrap_err());
    assert!(error.ends_with("the one stream is used up"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn panic_of_the_application_fails_the_attempt() {
    for at_once in [true, false] {
        let dial = DialConfig::default().open_with(move |_| {
            assert!(!at_once, "at once");
            async { panic!("later") as std::io::Result<DuplexStream> }
        });
        let builder = Client::builder("http://nowhere")
            .config(|config| config.connector(|connector| connector.dial(|_| dial)))
            .reconnection(None);
        let error = format!("{:#}", builder.connect().await.unwrap_err());
        let text = "the application's function panicked";
        assert!(error.ends_with(text), "{error}");
    }
}
