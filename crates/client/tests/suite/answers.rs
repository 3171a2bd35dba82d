//! What an acknowledgement says, between both ends and over every kind of connection.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use sockeye_client::{AckError, Client, Dialect, Refusal, Socket, TransportKind};
use sockeye_server::{Data, Server, Socket as Peer};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// A server with handlers that can fail, and one client of each kind.
async fn meet() -> (Server, Vec<Socket>) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let io = Server::new();
    io.on("halve", |Data(n): Data<u32>| match n {
        0 => Err(Refusal::new("zero").with_data(json!({ "n": 0 }))),
        n => Ok(n / 2),
    });
    io.on("check", async |Data(n): Data<u32>| match n {
        0 => Err("zero"),
        _ => Ok(()),
    });
    let unix = format!("unix:@sockeye-answers-{}-{next}", std::process::id());
    io.listen(&unix).await.unwrap();
    let http = io.listen("http://127.0.0.1:0").await.unwrap();
    let http = http.url().to_string();
    let mut sockets = Vec::new();
    for dialect in [Dialect::Packets, Dialect::Lines] {
        let builder = Client::builder(&unix)
            .config(|config| config.connector(|connector| connector.dialect(dialect)));
        sockets.push(builder.connect().await.unwrap());
    }
    for transport in [TransportKind::Polling, TransportKind::WebSocket] {
        let builder = Client::builder(&http)
            .config(|config| config.connector(|connector| connector.transports([transport])));
        sockets.push(builder.connect().await.unwrap());
    }
    (io, sockets)
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), work).await.unwrap()
}

/// A struct that can be read from anything that has braces.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Defaults {
    name: String,
}

#[tokio::test]
async fn nothing_is_an_answer_and_a_refusal_is_none() {
    let (_io, sockets) = meet().await;
    for socket in sockets {
        let zero = async |event| -> [Option<AckError>; 6] {
            [
                soon(socket.emit_with_ack::<()>(event, 0)).await.err(),
                soon(socket.emit_with_ack::<Value>(event, 0)).await.err(),
                soon(socket.emit_with_ack::<HashMap<String, Value>>(event, 0))
                    .await
                    .err(),
                soon(socket.emit_with_ack::<Defaults>(event, 0)).await.err(),
                soon(socket.emit_with_ack::<Option<u32>>(event, 0))
                    .await
                    .err(),
                soon(socket.emit_with_ack::<u32>(event, 0)).await.err(),
            ]
        };
        for error in zero("check").await {
            let error = error.unwrap();
            assert_eq!(error.refusal(), Some(&Refusal::new("zero")), "{error}");
        }
        for error in zero("halve").await {
            let error = error.unwrap();
            let refusal = Refusal::new("zero").with_data(json!({ "n": 0 }));
            assert_eq!(error.refusal(), Some(&refusal), "{error}");
        }
        soon(socket.emit_with_ack::<()>("check", 1)).await.unwrap();
        let half: u32 = soon(socket.emit_with_ack("halve", 4)).await.unwrap();
        assert_eq!(half, 2);
    }
}

#[tokio::test]
async fn broadcast_tells_those_who_refuse_from_those_who_answer() {
    let (io, sockets) = meet().await;
    for (n, socket) in sockets.iter().enumerate() {
        socket.on("ready?", move || match n % 2 {
            0 => Ok(()),
            _ => Err(Refusal::new("not yet").with_data(n as u64)),
        });
        // The server knows one that speaks in lines only now.
        let _: () = soon(socket.emit_with_ack("check", 1)).await.unwrap();
    }
    let summary = soon(io.emit_with_ack::<()>("ready?", ()).unwrap().summary()).await;
    assert_eq!(summary.answers.len(), 2);
    let mut refused: Vec<_> = summary
        .missing
        .iter()
        .map(|(_, error)| error.refusal().unwrap().data().unwrap().as_u64().unwrap())
        .collect();
    refused.sort_unstable();
    assert_eq!(refused, [1, 3]);
}

#[tokio::test]
async fn refusal_of_one_peer_is_not_shown_to_another() {
    let (io, sockets) = meet().await;
    let (sender, mut seen) = mpsc::unbounded_channel();
    io.on("ask them", async |peer: Peer| -> Result<(), AckError> {
        for other in peer.broadcast().sockets() {
            let () = other.emit_with_ack("secret", ()).await?;
        }
        Ok(())
    });
    io.on_error(move |_, error| {
        let refusal = error.downcast_ref::<AckError>().and_then(AckError::refusal);
        sender.send(refusal.cloned()).unwrap();
    });
    for socket in &sockets[1..] {
        socket.on("secret", || Err::<(), _>("my password is 1234"));
    }
    let error = soon(sockets[0].emit_with_ack::<()>("ask them", ())).await;
    let error = error.unwrap_err();
    assert_eq!(error.refusal(), Some(&Refusal::internal()));
    let seen = soon(seen.recv()).await.unwrap();
    assert_eq!(seen, Some(Refusal::new("my password is 1234")));
}

#[tokio::test]
async fn middleware_that_breaks_tells_the_hook_what_and_the_client_nothing() {
    let io = Server::new();
    let (sender, mut errors) = mpsc::unbounded_channel();
    io.on_error(move |_, error| {
        let is_io = error.downcast_ref::<std::io::Error>().is_some();
        sender.send((format!("{error:#}"), is_io)).unwrap();
    });
    io.middleware(async || Err::<(), _>(std::io::Error::other("no database")));
    let url = format!("unix:@sockeye-answers-broken-{}", std::process::id());
    io.listen(&url).await.unwrap();
    let error = soon(Client::connect(&url)).await.unwrap_err();
    assert_eq!(error.refusal(), Some(&Refusal::internal()));
    let (text, is_io) = soon(errors.recv()).await.unwrap();
    assert_eq!(
        text,
        "event \"connect\": a middleware refused it: no database"
    );
    assert!(is_io);
}
