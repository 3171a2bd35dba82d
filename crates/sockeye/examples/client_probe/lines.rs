//! What a client can do with a server that speaks JSON lines.

use std::time::Duration;

use futures_util::StreamExt;
use sockeye::client::EventStream;
use sockeye::{ConnectError, DisconnectReason, EmitError, Value, json};

use super::cases::noise;
use super::peer::{Inbox, Peer, failed, same};
use super::{Case, CaseResult, LeftOut, Probe};

pub(super) const CASES: [(&str, Case); 9] = [
    ("connect", |probe| Box::pin(connect(probe))),
    ("text", |probe| Box::pin(text(probe))),
    ("values", |probe| Box::pin(values(probe))),
    ("bytes", |probe| Box::pin(bytes(probe))),
    ("900 kB", |probe| Box::pin(large(probe))),
    ("order", |probe| Box::pin(order(probe))),
    ("acknowledgements", |probe| Box::pin(acks(probe))),
    ("no namespaces", |probe| Box::pin(no_namespaces(probe))),
    ("server disconnects", |probe| {
        Box::pin(server_disconnects(probe))
    }),
];

async fn connect(probe: &Probe) -> CaseResult {
    let mut peer = Peer::connect(probe).await?;
    same(&peer.socket.id().is_some(), &true, "an id")?;
    // A server that speaks packets as well knows only by the first line whom it has before it.
    peer.echo(&"first".to_owned()).await?;
    peer.expect(Inbox::Auth, &json!({})).await?;
    peer.finish(probe).await
}

async fn text(probe: &Probe) -> CaseResult {
    let mut peer = Peer::connect(probe).await?;
    let words = [
        "",
        "plain",
        "é € ß",
        "日本語",
        "😀 𝒳 \u{10ffff}",
        "\" \\ \u{2028}\0\n\r\t",
    ];
    for word in words {
        peer.echo(&word.to_owned()).await?;
    }
    peer.echo(&words.map(str::to_owned)).await?;
    peer.finish(probe).await
}

async fn values(probe: &Probe) -> CaseResult {
    let mut peer = Peer::connect(probe).await?;
    peer.echo(&()).await?;
    let values: [Value; 12] = [
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(1e21),
        json!(9_007_199_254_740_991_u64),
        json!(""),
        json!([[]]),
        json!({}),
        json!({ "": { "a": [1, "2", null] } }),
    ];
    for value in &values {
        peer.echo(value).await?;
    }
    peer.echo(&values).await?;
    peer.finish(probe).await
}

/// They travel as Node writes a `Buffer`, and are bytes again at the end.
async fn bytes(probe: &Probe) -> CaseResult {
    let mut peer = Peer::connect(probe).await?;
    peer.echo(&(noise(300), "between".to_owned(), noise(0)))
        .await?;
    peer.finish(probe).await
}

/// A line may have a million bytes.
async fn large(probe: &Probe) -> CaseResult {
    let mut peer = Peer::connect(probe).await?;
    peer.echo(&"x".repeat(900_000)).await?;
    peer.echo(&"😀".repeat(70_000)).await?;
    peer.finish(probe).await
}

async fn order(probe: &Probe) -> CaseResult {
    let mut peer = Peer::connect(probe).await?;
    for n in 0..200 {
        peer.socket.emit("message", n)?;
    }
    for n in 0..200 {
        peer.expect(Inbox::Messages, &n).await?;
    }
    peer.finish(probe).await
}

/// A plain server sends the event with the empty name back and acknowledges nothing; any other one
/// must do the opposite.
async fn acks(probe: &Probe) -> CaseResult {
    let mut peer = Peer::connect(probe).await?;
    let mut nameless: EventStream<u8> = peer.socket.events("");
    peer.socket.emit("", 1)?;
    let ack = peer
        .socket
        .timeout(Duration::from_secs(1))
        .emit_with_ack::<u8>("message-with-ack", 2);
    tokio::select! {
        Some(event) = nameless.next() => {
            same(&event.data()?, &1, "the argument")?;
            peer.finish(probe).await?;
            return Err(LeftOut("a plain server knows none").into());
        }
        answer = ack => {
            same(&answer?, &2, "the answer")?;
            peer.ask(&()).await?;
            peer.ask(&("😀".to_owned(), json!([null]))).await?;
            peer.answer(&(1, "2".to_owned()), &("yes".to_owned(), noise(3))).await?;
            peer.answer(&(), &()).await?;
        }
    }
    peer.finish(probe).await
}

async fn no_namespaces(probe: &Probe) -> CaseResult {
    let mut peer = Peer::connect(probe).await?;
    let custom = peer.socket.client().socket("/custom");
    let error = failed(custom.connect().await)?;
    if !matches!(error, ConnectError::Namespace(_)) {
        return Err(error.into());
    }
    // Names that plain peers would take for events of their own do not travel.
    let Err(EmitError::ReservedName(_)) = peer.socket.emit("disconnect", ()) else {
        return Err("a reserved name was emitted".into());
    };
    peer.echo(&"not concerned".to_owned()).await?;
    peer.finish(probe).await
}

/// The end of the stream is all that there is to see, so that the client comes back.
async fn server_disconnects(probe: &Probe) -> CaseResult {
    let mut peer = Peer::connect(probe).await?;
    peer.connected().await?;
    peer.socket.emit("disconnect-me", ())?;
    let reason = peer.ended().await?;
    same(&reason, &DisconnectReason::TransportClose, "the reason")?;
    same(&peer.socket.active(), &true, "active")?;
    peer.socket.emit("message", "meanwhile")?;
    peer.connected().await?;
    peer.expect(Inbox::Messages, &"meanwhile".to_owned())
        .await?;
    peer.finish(probe).await
}
