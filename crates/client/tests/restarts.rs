//! A server that is restarted again and again under a client that must not lose anything.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "all of this is test code")]

mod memory;

use std::time::Duration;

use memory::resident_kib;
use sockeye_client::{AckError, Client, Reconnection, SocketConfig};
use sockeye_server::{Data, Server};
use tokio::sync::mpsc;

const RESTARTS: u32 = 50;
const EVENTS_PER_RUN: u32 = 20;

async fn serve(url: &str, numbers: &mpsc::UnboundedSender<u32>) -> Server {
    let io = Server::new();
    let numbers = numbers.clone();
    io.on("number", move |Data(n): Data<u32>| {
        numbers.send(n).unwrap();
        n
    });
    io.listen(url).await.unwrap();
    io
}

#[tokio::test(start_paused = true)]
async fn every_event_arrives_in_order_through_fifty_restarts() {
    let url = format!("unix:@sockeye-restarts-{}", std::process::id());
    let (sender, mut numbers) = mpsc::unbounded_channel();
    let client = Client::builder(&url)
        .reconnection(Reconnection::default().delay_max(Duration::from_secs(1)))
        .socket_config(|socket| socket.retries(100).ack_timeout(Duration::from_secs(1)))
        .build()
        .unwrap();
    client.connect_lazy();
    let mut answers = Vec::new();
    let mut seen = Vec::new();
    let mut next = 0_u32;
    let mut warm = 0;
    for run in 0..RESTARTS {
        let io = serve(&url, &sender).await;
        for _ in 0..EVENTS_PER_RUN {
            answers.push(client.emit_with_ack::<u32>("number", next));
            next += 1;
        }
        // The server goes while events are on their way, each time at another of them.
        let enough = run * EVENTS_PER_RUN + run % EVENTS_PER_RUN;
        while seen.last().is_none_or(|last| *last < enough) {
            seen.push(numbers.recv().await.unwrap());
        }
        io.close().await;
        if run + 1 == 10 {
            warm = resident_kib();
        }
    }
    // What was restarted leaves nothing behind.
    let kib = resident_kib();
    assert!(kib < warm + 1024, "{kib} KiB after {warm} KiB");
    let _io = serve(&url, &sender).await;
    for (n, answer) in (0..).zip(answers) {
        assert_eq!(answer.await.unwrap(), n);
    }
    while let Ok(n) = numbers.try_recv() {
        seen.push(n);
    }
    // At least once, and in order: what is repeated is the one before.
    assert!(
        seen.iter()
            .zip(&seen[1..])
            .all(|(a, b)| *b == *a || *b == *a + 1),
        "{seen:?}"
    );
    assert_eq!((seen.first(), seen.last()), (Some(&0), Some(&(next - 1))));
    assert_eq!(client.waiting_events(), 0);
}

#[tokio::test(start_paused = true)]
async fn event_that_outlives_its_retries_fails_by_name_and_the_next_one_goes_on() {
    let url = format!("unix:@sockeye-outlived-{}", std::process::id());
    let (sender, mut numbers) = mpsc::unbounded_channel();
    let config = |socket: SocketConfig| socket.retries(1).ack_timeout(Duration::from_secs(1));
    let socket = Client::builder(&url).socket_config(config).build().unwrap();
    let io = Server::new();
    // It never answers, and takes the connection down with it.
    io.on(
        "number",
        |peer: sockeye_server::Socket, _: sockeye_server::Ack<u32>| {
            peer.namespace().close_sockets();
        },
    );
    io.listen(&url).await.unwrap();
    socket.connect().await.unwrap();
    let first = socket.emit_with_ack::<u32>("number", 1);
    let second = socket.emit_with_ack::<u32>("number", 2);
    let client = socket.client();
    // The server means it, so the application has to ask for the second try.
    client.closed().await;
    socket.connect().await.unwrap();
    assert!(matches!(first.await, Err(AckError::Disconnected)));
    io.close().await;
    drop(io);
    client.closed().await;
    let _io = serve(&url, &sender).await;
    socket.connect().await.unwrap();
    assert_eq!(second.await.unwrap(), 2);
    assert_eq!(numbers.recv().await, Some(2));
}
