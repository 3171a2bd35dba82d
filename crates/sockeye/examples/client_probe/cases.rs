//! What every client must be able to do with a server of Socket.IO, over every transport.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sockeye::client::ConnectUrl;
use sockeye::{Args, Bytes, ConnectError, DisconnectReason, SocketConfig, Value, json};

use super::peer::{Inbox, Peer, failed, same};
use super::{Case, CaseResult, Format, LeftOut, Probe};

pub(super) const CASES: [(&str, Case); 15] = [
    ("connect", |probe| Box::pin(connect(probe))),
    ("text", |probe| Box::pin(text(probe))),
    ("values", |probe| Box::pin(values(probe))),
    ("binary", |probe| Box::pin(binary(probe))),
    ("message-with-ack", |probe| {
        Box::pin(message_with_ack(probe))
    }),
    ("emit-with-ack", |probe| Box::pin(emit_with_ack(probe))),
    ("binary acks", |probe| Box::pin(binary_acks(probe))),
    ("150 kB", |probe| Box::pin(large(probe))),
    ("order", |probe| Box::pin(order(probe))),
    ("before the connection", |probe| Box::pin(before(probe))),
    ("/custom", |probe| Box::pin(custom(probe))),
    ("query", |probe| Box::pin(query(probe))),
    ("refused namespace", |probe| Box::pin(refused(probe))),
    ("server disconnects", |probe| {
        Box::pin(server_disconnects(probe))
    }),
    ("heartbeat", |probe| Box::pin(heartbeat(probe))),
];

/// Bytes at some depth.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Deep {
    deep: (Bytes, u8, Inner),
    label: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Inner {
    x: Bytes,
}

async fn connect(probe: &Probe) -> CaseResult {
    let mut peer = Peer::new(probe, "/")?;
    same(&peer.socket.connected(), &false, "connected too early")?;
    same(&peer.socket.id(), &None, "the id before the connection")?;
    peer.socket.connect().await?;
    same(&peer.socket.connected(), &true, "connected")?;
    same(
        &peer.socket.id().is_some_and(|id| !id.is_empty()),
        &true,
        "an id",
    )?;
    peer.expect(Inbox::Auth, &json!({})).await?;
    peer.finish(probe).await
}

async fn text(probe: &Probe) -> CaseResult {
    let mut peer = Peer::connect(probe).await?;
    let words = [
        "plain",
        "é € ß",
        "日本語",
        "👩‍👩‍👧‍👦 𝒳 \u{10ffff}",
        "quote \" back \\ slash",
        "\u{2028}\0\n\r\t\u{7f}",
        "",
    ]
    .map(str::to_owned);
    for word in &words {
        peer.socket.emit("message", word)?;
    }
    for word in &words {
        peer.expect(Inbox::Messages, word).await?;
    }
    peer.echo(&words).await?;
    peer.finish(probe).await
}

async fn values(probe: &Probe) -> CaseResult {
    let mut peer = Peer::connect(probe).await?;
    peer.echo(&()).await?;
    let large = match probe.format {
        // Servers in JavaScript cut whole numbers beyond 64 bits to them.
        Format::MessagePack => 1.5e-7,
        Format::Standard | Format::Json => 1e21,
    };
    let values: [Value; 15] = [
        json!(0),
        json!(-1),
        json!(1.5),
        json!(large),
        json!(5e-324),
        json!(9_007_199_254_740_991_u64),
        json!(null),
        json!(true),
        json!(false),
        json!([]),
        json!({}),
        json!([[null]]),
        json!({ "": { "a": [1, "2", null] } }),
        json!("1"),
        json!({ "_placeholder": false, "num": 0 }),
    ];
    for value in &values {
        peer.echo(value).await?;
    }
    peer.echo(&values).await?;
    peer.echo(&(Option::<u8>::None, 1)).await?;
    peer.finish(probe).await
}

async fn binary(probe: &Probe) -> CaseResult {
    let mut peer = Peer::connect(probe).await?;
    let all: Bytes = (0..=u8::MAX).collect();
    let deep = Deep {
        deep: (
            Bytes::from_static(b"\x1eb4"),
            1,
            Inner {
                x: Bytes::from_static(b"\0"),
            },
        ),
        label: "👍".to_owned(),
    };
    let args = (all, deep, "end".to_owned());
    peer.socket.emit("message", &args)?;
    peer.socket.emit("message", "text after binary")?;
    peer.expect(Inbox::Messages, &args).await?;
    let after = "text after binary".to_owned();
    peer.expect(Inbox::Messages, &after).await?;
    peer.echo(&Bytes::new()).await?;
    peer.finish(probe).await
}

async fn message_with_ack(probe: &Probe) -> CaseResult {
    let peer = Peer::connect(probe).await?;
    peer.ask(&(1, "2".to_owned(), json!({ "3": [false] })))
        .await?;
    peer.ask(&()).await?;
    // All at once; each gets its own answer.
    let acks = (0..25).map(|n| (n, peer.socket.emit_with_ack("message-with-ack", n)));
    for (n, ack) in acks.collect::<Vec<(u32, _)>>() {
        let answer: u32 = ack.await?;
        same(&answer, &n, "the answer")?;
    }
    peer.finish(probe).await
}

async fn emit_with_ack(probe: &Probe) -> CaseResult {
    let mut peer = Peer::connect(probe).await?;
    let question = (1, "2".to_owned(), json!({ "3": [true] }));
    let answer = ("yes 😀".to_owned(), 1, Value::Null);
    peer.answer(&question, &answer).await?;
    peer.answer(&question, &()).await?;
    peer.finish(probe).await
}

async fn binary_acks(probe: &Probe) -> CaseResult {
    let mut peer = Peer::connect(probe).await?;
    let (short, long) = (noise(10), Inner { x: noise(300) });
    peer.ask(&(short.clone(), Inner { x: noise(300) }, "x".to_owned()))
        .await?;
    peer.answer(&(short.clone(), Inner { x: noise(300) }), &(long, short))
        .await?;
    peer.finish(probe).await
}

async fn large(probe: &Probe) -> CaseResult {
    let mut peer = Peer::connect(probe).await?;
    let text: String = noise(150_000)
        .iter()
        .map(|byte| char::from(b'0' + byte % 64))
        .collect();
    peer.echo(&text).await?;
    peer.echo(&(noise(150_000), text)).await?;
    peer.finish(probe).await
}

/// Begins at once, so that an upgrade falls into the middle of it.
async fn order(probe: &Probe) -> CaseResult {
    let mut peer = Peer::new(probe, "/")?;
    peer.socket.connect().await?;
    for n in 0..200_u8 {
        if n >= 100 && n % 10 == 0 {
            tokio::task::yield_now().await;
        }
        match n % 10 {
            3 => peer.socket.emit("message", (n, noise(usize::from(n))))?,
            _ => peer.socket.emit("message", n)?,
        }
    }
    for n in 0..200_u8 {
        if n % 10 == 3 {
            let args = (n, noise(usize::from(n)));
            peer.expect(Inbox::Messages, &args).await?;
        } else {
            peer.expect(Inbox::Messages, &n).await?;
        }
    }
    peer.finish(probe).await
}

/// What is emitted without a connection is sent when there is one, what is volatile is not.
async fn before(probe: &Probe) -> CaseResult {
    let mut peer = Peer::new(probe, "/")?;
    peer.socket.emit("message", "first")?;
    peer.socket.volatile().emit("message", "dropped")?;
    peer.socket.emit("message", ("second", noise(3)))?;
    let ack = peer
        .socket
        .emit_with_ack::<String>("message-with-ack", "third");
    same(&peer.socket.waiting_events(), &3, "events that wait")?;
    peer.socket.connect_lazy();
    peer.expect(Inbox::Messages, &"first".to_owned()).await?;
    peer.expect(Inbox::Messages, &("second".to_owned(), noise(3)))
        .await?;
    same(&ack.await?, &"third".to_owned(), "the answer")?;
    same(&peer.socket.waiting_events(), &0, "events that wait")?;
    peer.finish(probe).await
}

async fn custom(probe: &Probe) -> CaseResult {
    let mut root = Peer::connect(probe).await?;
    let auth = json!({ "token": "t-0 é" });
    let config = SocketConfig::default().auth(&auth)?;
    let mut custom = root.join("/custom", config).await?;
    same(
        &(custom.socket.id() == root.socket.id()),
        &false,
        "one id for two sockets",
    )?;
    custom.expect(Inbox::Auth, &auth).await?;

    root.socket.emit("message", (true, noise(1)))?;
    custom.socket.emit("message", (false, noise(1)))?;
    root.expect(Inbox::Messages, &(true, noise(1))).await?;
    custom.expect(Inbox::Messages, &(false, noise(1))).await?;
    custom.ask(&"c".to_owned()).await?;
    custom.answer(&1, &noise(7)).await?;

    custom.socket.disconnect();
    let reason = custom.ended().await?;
    same(&reason, &DisconnectReason::IoClientDisconnect, "the reason")?;
    root.ask(&"still here".to_owned()).await?;
    custom.socket.connect().await?;
    custom.ask(&"back".to_owned()).await?;
    root.finish(probe).await
}

async fn query(probe: &Probe) -> CaseResult {
    let url: ConnectUrl = probe.url.parse()?;
    if !url.is_http() {
        return Err(LeftOut("there are no requests that could have one").into());
    }
    let socket = probe
        .client("/")
        .config(|config| {
            config.before_connect(async |mut request| {
                request
                    .query
                    .push(("token".to_owned(), "t-0 é&=+".to_owned()));
                Ok::<_, ConnectError>(request)
            })
        })
        .build()?;
    let peer = Peer::of(socket);
    peer.socket.connect().await?;
    let query: Value = peer.socket.emit_with_ack("query", ()).await?;
    same(&query["token"], &json!("t-0 é&=+"), "the query")?;
    peer.finish(probe).await
}

async fn refused(probe: &Probe) -> CaseResult {
    let root = Peer::connect(probe).await?;
    let nowhere = root.socket.client().socket("/nowhere");
    let error = failed(nowhere.connect().await)?;
    match error.refusal() {
        Some(refusal) => same(&refusal.message(), &"Invalid namespace", "the message")?,
        None => return Err(error.into()),
    }
    same(&nowhere.connected(), &false, "connected")?;
    same(&nowhere.active(), &false, "active")?;
    root.ask(&"not concerned".to_owned()).await?;
    root.finish(probe).await
}

async fn server_disconnects(probe: &Probe) -> CaseResult {
    let mut root = Peer::connect(probe).await?;
    let mut custom = root.join("/custom", SocketConfig::default()).await?;

    custom.socket.emit("disconnect-me", ())?;
    let reason = custom.ended().await?;
    same(&reason, &DisconnectReason::IoServerDisconnect, "the reason")?;
    same(&custom.socket.active(), &false, "active")?;
    root.ask(&"still here".to_owned()).await?;

    root.socket.emit("disconnect-me", true)?;
    let reason = root.ended().await?;
    same(&reason, &DisconnectReason::IoServerDisconnect, "the reason")?;
    same(&root.socket.connected(), &false, "connected")?;
    same(&root.socket.active(), &false, "active")?;
    root.socket.connect().await?;
    root.ask(&"back".to_owned()).await?;
    root.finish(probe).await
}

/// Several heartbeats with nothing else to send.
async fn heartbeat(probe: &Probe) -> CaseResult {
    let mut peer = Peer::connect(probe).await?;
    tokio::time::sleep(Duration::from_millis(1300)).await;
    if let Ok(reason) = peer.ends.try_recv() {
        return Err(format!("disconnected: {reason}").into());
    }
    let answer: Args = peer
        .socket
        .emit_with_ack("message-with-ack", "alive")
        .await?;
    same(&answer.as_json(), &r#""alive""#, "the answer")?;
    peer.finish(probe).await
}

/// Bytes without a pattern, the same every time.
pub(super) fn noise(len: usize) -> Bytes {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(len).collect()
}
