//! Typed events between both ends: one type says what a server and its clients tell each other.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

use std::time::Duration;

use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use sockeye::{AckError, Bytes, Client, Event, Server, client};
use tokio::sync::mpsc;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(ack = Receipt)]
struct Chat {
    room: String,
    text: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Receipt {
    seen: usize,
}

#[derive(Debug, PartialEq, Event)]
#[event(ack = (u8, Bytes))]
struct Put(String, Bytes, Option<u8>);

#[derive(Debug, PartialEq, Event)]
struct Bye();

fn chat(text: &str) -> Chat {
    Chat {
        room: "lobby".to_owned(),
        text: text.to_owned(),
    }
}

async fn serve() -> (Server, String) {
    let io = Server::new();
    io.on_event(|peer: sockeye::Socket, chat: Chat| {
        // Back to where it came from.
        peer.emit_event(&chat).map(|()| Receipt {
            seen: chat.text.len(),
        })
    });
    io.on_event(|Put(name, data, mode): Put| {
        (
            mode.unwrap_or_default(),
            [name.into(), data].concat().into(),
        )
    });
    let listener = io.listen("tcp://127.0.0.1:0").await.unwrap();
    let url = listener.url().to_string();
    (io, url)
}

#[tokio::test]
async fn typed_events_go_both_ways_with_their_acknowledgements() {
    let (io, url) = serve().await;
    let (sender, mut heard) = mpsc::unbounded_channel();
    let socket = Client::builder(&url)
        .on_event(move |chat: Chat| {
            let seen = chat.text.len() + 100;
            sender.send(chat).unwrap();
            Receipt { seen }
        })
        .connect()
        .await
        .unwrap();
    let receipt = socket.emit_event_with_ack(chat("hello")).await.unwrap();
    assert_eq!(receipt, Receipt { seen: 5 });
    assert_eq!(heard.recv().await.unwrap(), chat("hello"));
    let again = chat("again");
    socket.emit_event(&again).unwrap();
    assert_eq!(heard.recv().await.unwrap(), again);

    let put = Put("a".to_owned(), Bytes::from_static(b"b"), Some(7));
    let answer = socket
        .timeout(Duration::from_secs(20))
        .emit_event_with_ack(&put)
        .await
        .unwrap();
    assert_eq!(answer, (7, Bytes::from_static(b"ab")));

    let peer = io.sockets().pop().unwrap();
    let receipt = peer.emit_event_with_ack(chat("you")).await.unwrap();
    assert_eq!(receipt, Receipt { seen: 103 });
}

#[tokio::test]
async fn typed_events_are_had_from_a_stream_with_their_acknowledgement() {
    let (io, url) = serve().await;
    let socket = Client::connect(&url).await.unwrap();
    let (sender, mut errors) = mpsc::unbounded_channel();
    let client = socket.client();
    client.on_error(move |_, error| sender.send(format!("{error:#}")).unwrap());
    let mut chats = socket.typed_events::<Chat>();
    let mut byes = socket.typed_events::<Bye>();
    let peer = io.sockets().pop().unwrap();
    let asking = tokio::spawn(peer.emit_event_with_ack(chat("one")));
    let received = chats.next().await.unwrap();
    assert_eq!(received.event, chat("one"));
    received.answer(Receipt { seen: 3 }).unwrap();
    assert_eq!(asking.await.unwrap().unwrap(), Receipt { seen: 3 });

    // What is no chat is an error of its own event, and the stream goes on.
    peer.emit("chat", 7).unwrap();
    peer.emit_event(Bye()).unwrap();
    peer.emit_event(chat("two")).unwrap();
    let received = chats.next().await.unwrap();
    assert_eq!(received.event, chat("two"));
    assert!(!received.ack.is_wanted());
    assert_eq!(byes.next().await.unwrap().event, Bye());
    assert!(errors.recv().await.unwrap().contains("argument 1"));

    drop(byes);
    assert_eq!(socket.event_names(), ["chat"], "it is gone with its stream");
    socket.off("chat");
    // The connection lets go of the handlers when the next event comes.
    peer.emit_event(Bye()).unwrap();
    assert!(chats.next().await.is_none());
}

#[tokio::test]
async fn typed_handler_that_runs_once_runs_once() {
    let (io, url) = serve().await;
    let socket = Client::connect(&url).await.unwrap();
    let (sender, mut heard) = mpsc::unbounded_channel();
    socket.once_event(move |_: client::Socket, bye: Bye| sender.send(bye).unwrap());
    io.emit_event(Bye()).unwrap();
    io.emit_event(Bye()).unwrap();
    let _: Receipt = socket.emit_event_with_ack(chat("after")).await.unwrap();
    assert_eq!(heard.recv().await, Some(Bye()));
    assert_eq!(heard.recv().await, None, "it is gone");
    socket.client().close().await;
    let late = socket
        .timeout(Duration::from_millis(1))
        .emit_event_with_ack(chat("late"))
        .await;
    assert!(matches!(late, Err(AckError::Timeout)));
}
