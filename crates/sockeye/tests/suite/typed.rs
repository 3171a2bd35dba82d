//! Typed events, from the derive to the wire and back.

use std::fmt::Debug;

use serde::{Deserialize, Serialize};
use sockeye::{
    Ack, AckError, AckSummary, Args, Bytes, Data, EmitError, Event, ExtractError, Server, Socket,
    State, TypedEvent,
};
use sockeye_testkit::{Case, Log, ServerRig};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(ack = Receipt)]
struct Chat {
    room: String,
    text: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Receipt {
    seen: u32,
}

/// One argument, with everything that serde's attributes can do.
#[derive(Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(name = "file upload")]
#[serde(rename_all = "camelCase")]
struct Upload {
    file_name: String,
    #[serde(default)]
    parts: Vec<Part>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Part {
    data: Bytes,
}

#[derive(Debug, PartialEq, Event)]
#[event(ack = (u8, Bytes))]
struct Put(String, Bytes, Option<u8>);

#[derive(Debug, PartialEq, Event)]
#[event(spread, ack = ())]
struct MoveTo {
    x: i32,
    r#y: i32,
    label: Option<String>,
}

#[derive(Debug, PartialEq, Event)]
#[event(ack = Vec<u8>)]
struct Ping;

#[derive(Debug, PartialEq, Event)]
struct Nothing();

#[derive(Debug, PartialEq, Serialize, Deserialize, Event)]
struct Changed<T>
where
    T: Clone,
{
    value: T,
}

#[derive(Debug, PartialEq, Event)]
#[event(spread, name = "pair")]
struct Pair<A, const N: usize> {
    first: A,
    second: Vec<A>,
}

mod renamed {
    pub(crate) use ::sockeye as socket_io;
}

#[derive(Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(crate = "crate::typed::renamed::socket_io")]
struct Elsewhere {
    r#type: u8,
}

/// Can be emitted only.
#[derive(Serialize, Event)]
#[event(name = "chat", ack = Receipt)]
struct ChatRef<'a> {
    room: &'a str,
    text: &'a str,
}

fn unreachable(why: &str) {
    panic!("{why}");
}

/// A server whose `echo` answers with its first argument.
fn server() -> Server {
    let io = Server::new();
    io.on("echo", |args: Args| args);
    io
}

fn errors(io: &Server) -> Log<String> {
    let log = Log::new();
    let entries = log.clone();
    io.on_error(move |_, error| entries.push(format!("{error:#}")));
    log
}

/// Registers a handler that logs the events of a type.
fn log_events<E, F>(io: &Server, log: &Log<String>, register: F)
where
    E: Debug,
    F: FnOnce(&Server, Box<dyn Fn(E) + Send + Sync>),
{
    let entries = log.clone();
    register(
        io,
        Box::new(move |event| entries.push(format!("{event:?}"))),
    );
}

#[tokio::test]
async fn all_shapes_go_out_and_come_back_the_same() {
    let io = server();
    let log = Log::new();
    log_events(&io, &log, |io, log| {
        io.on_event(move |e: Upload| log(e));
    });
    log_events(&io, &log, |io, log| {
        io.on_event(move |e: Nothing| log(e));
    });
    log_events(&io, &log, |io, log| {
        io.on_event(move |e: Changed<Vec<u8>>| log(e));
    });
    log_events(&io, &log, |io, log| {
        io.on_event(move |e: Pair<u8, 1>| log(e));
    });
    log_events(&io, &log, |io, log| {
        io.on_event(move |e: Elsewhere| log(e));
    });
    let rig = ServerRig::tcp(&io).await;
    for case in [Case::POLLING, Case::WEBSOCKET, Case::WEBSOCKET_V3] {
        let mut peer = rig.connect_as(case).await;
        let socket = io.socket(&peer.id).unwrap();

        let upload = Upload {
            file_name: "a.txt".to_owned(),
            parts: vec![Part {
                data: Bytes::from_static(b"x"),
            }],
        };
        socket.emit_event(&upload).unwrap();
        let wire = r#"51-["file upload",{"fileName":"a.txt","parts":[{"data":{"_placeholder":true,"num":0}}]}]"#;
        peer.expect(wire).await;
        assert_eq!(peer.binary().await, b"x");
        peer.send(wire).await;
        peer.send_binary(b"x").await;
        assert_eq!(log.next().await, format!("{upload:?}"));

        socket.emit_event(Nothing()).unwrap();
        let changed = Changed { value: vec![1, 2] };
        socket.emit_event(&changed).unwrap();
        let pair = Pair::<u8, 1> {
            first: 1,
            second: vec![2],
        };
        socket.compress(false).emit_event(&pair).unwrap();
        socket.emit_event(Elsewhere { r#type: 3 }).unwrap();
        for (wire, event) in [
            (r#"2["nothing"]"#, "Nothing".to_owned()),
            (r#"2["changed",{"value":[1,2]}]"#, format!("{changed:?}")),
            (r#"2["pair",1,[2]]"#, format!("{pair:?}")),
            (
                r#"2["elsewhere",{"type":3}]"#,
                "Elsewhere { type: 3 }".to_owned(),
            ),
        ] {
            peer.expect(wire).await;
            peer.send(wire).await;
            assert_eq!(log.next().await, event);
        }
    }
}

#[tokio::test]
async fn handlers_of_every_kind_answer_with_the_acknowledgement() {
    async fn function(_: Socket, State(seen): State<u32>, chat: Chat) -> Receipt {
        assert_eq!(chat.text, "hi");
        Receipt { seen }
    }

    let io = server();
    io.state(4_u32);
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    let socket = io.socket(&peer.id).unwrap();
    let kinds: [fn(&Server); 7] = [
        |io| {
            io.on_event(|_: Chat| Receipt { seen: 4 });
        },
        |io| {
            io.on_event(async |_: Chat| Receipt { seen: 4 });
        },
        |io| {
            io.on_event(|_: Chat| async { Receipt { seen: 4 } });
        },
        |io| {
            io.on_event(function);
        },
        |io| {
            io.on_event(
                async |socket: Socket, chat: Chat| -> Result<Receipt, EmitError> {
                    socket.to("nobody").emit_event(chat)?;
                    Ok(Receipt { seen: 4 })
                },
            );
        },
        |io| {
            io.on_event(|chat: Result<Chat, ExtractError>| chat.map(|_| Receipt { seen: 4 }));
        },
        |io| {
            // The event is an extractor of plain handlers too.
            io.on(Chat::NAME, |chat: Chat, ack: Ack<Receipt>| {
                assert_eq!(chat.room, "lobby");
                ack.send(Receipt { seen: 4 })
            });
        },
    ];
    for (id, register) in kinds.iter().enumerate() {
        register(&io);
        peer.send(&format!(r#"2{id}["chat",{{"room":"lobby","text":"hi"}}]"#))
            .await;
        peer.expect(&format!(r#"3{id}[{{"seen":4}}]"#)).await;
        assert_eq!(io.off(Chat::NAME), 1);
    }
    socket.on_event(|_: Chat| Receipt { seen: 9 });
    peer.send(r#"27["chat",{"room":"","text":""}]"#).await;
    peer.expect(r#"37[{"seen":9}]"#).await;
}

#[tokio::test]
async fn acknowledgements_are_several_arguments_one_or_none() {
    let io = server();
    io.on_event(|put: Put| (put.2.unwrap_or_default(), put.1));
    io.on_event(async |_: MoveTo| ());
    io.on_event(|_: Ping| vec![1, 2]);
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    peer.send(r#"51-1["put","k",{"_placeholder":true,"num":0}]"#)
        .await;
    peer.send_binary(b"v").await;
    peer.expect(r#"61-1[0,{"_placeholder":true,"num":0}]"#)
        .await;
    assert_eq!(peer.binary().await, b"v");
    peer.send(r#"22["move_to",1,-2,"here"]"#).await;
    peer.expect("32[]").await;
    peer.send(r#"23["ping"]"#).await;
    peer.expect("33[[1,2]]").await;
}

#[tokio::test]
async fn event_without_acknowledgement_is_not_answered() {
    let io = server();
    io.on_event(async |_: Nothing| ());
    io.once_event(|_: Upload| -> Result<(), &'static str> { Err("disk full") });
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    peer.send(r#"21["nothing"]"#).await;
    peer.expect_nothing(2).await;
    // An error is always told.
    for answer in [r#"33[{"error":{"message":"disk full"}}]"#, r#"34["sync"]"#] {
        let event = match answer {
            r#"34["sync"]"# => r#"24["echo","sync"]"#,
            _ => r#"23["file upload",{"fileName":""}]"#,
        };
        peer.send(event).await;
        peer.expect(answer).await;
    }
    peer.send(r#"25["file upload",{"fileName":""}]"#).await;
    peer.expect_nothing(6).await;
}

#[tokio::test]
async fn wrong_shape_names_event_argument_and_field() {
    let io = server();
    io.on_event(|_: Chat| -> Receipt { panic!("it has a wrong shape") });
    io.on_event(|_: Upload| unreachable("it has a wrong shape"));
    io.on_event(|_: Put| -> (u8, Bytes) { panic!("it has a wrong shape") });
    io.on_event(|_: MoveTo| unreachable("it has a wrong shape"));
    let log = errors(&io);
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    for (event, error) in [
        (
            r#"["chat",{"room":"lobby","text":3}]"#,
            r#"event "chat": argument 1: field `text`: invalid type: integer `3`, expected a string"#,
        ),
        (
            r#"["chat",{"room":"lobby"}]"#,
            r#"event "chat": argument 1: missing field `text`"#,
        ),
        (
            r#"["chat","lobby"]"#,
            r#"event "chat": argument 1: invalid type: string "lobby", expected struct Chat"#,
        ),
        (r#"["chat"]"#, r#"event "chat": argument 1 is missing"#),
        (
            r#"["file upload",{"fileName":"","parts":[{"data":"ok"},{"data":4}]}]"#,
            r#"event "file upload": argument 1: field `parts[1].data`: invalid type: integer `4`, expected byte array"#,
        ),
        (
            r#"["put","k",7]"#,
            r#"event "put": argument 2: invalid type: integer `7`, expected byte array"#,
        ),
        (
            r#"["move_to",1,"2"]"#,
            r#"event "move_to": argument 2: field `y`: invalid type: string "2", expected i32"#,
        ),
        (
            r#"["move_to",1]"#,
            r#"event "move_to": argument 2: field `y` is missing"#,
        ),
    ] {
        peer.send(&format!("2{event}")).await;
        let told = log.next().await;
        assert!(told.starts_with(error), "{told}");
    }
    // Who waits is told; the connection stays.
    peer.send(r#"21["move_to",1]"#).await;
    peer.expect(r#"31[{"error":{"message":"argument 2: field `y` is missing"}}]"#)
        .await;
    peer.expect_nothing(2).await;
}

#[tokio::test]
async fn asking_gives_the_acknowledgement_or_says_what_is_wrong_with_it() {
    let io = server();
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    let socket = io.socket(&peer.id).unwrap();
    let chat = Chat {
        room: "lobby".to_owned(),
        text: "hi".to_owned(),
    };
    let borrowed = ChatRef {
        room: "lobby",
        text: "hi",
    };
    let asked = socket.emit_event_with_ack(&chat);
    let again = socket.emit_event_with_ack(borrowed);
    let wrong = socket.emit_event_with_ack(chat);
    for id in 0..3 {
        let event = peer.text().await;
        assert!(
            event.ends_with(r#"["chat",{"room":"lobby","text":"hi"}]"#),
            "{event}"
        );
        let answer = [r#"{"seen":1}"#, r#"{"seen":2,"more":0}"#, r#"{"seen":-1}"#][id];
        let head = &event[1..event.find('[').unwrap()];
        peer.send(&format!("3{head}[{answer}]")).await;
    }
    assert_eq!(asked.await.unwrap(), Receipt { seen: 1 });
    assert_eq!(again.await.unwrap(), Receipt { seen: 2 });
    let AckError::Args(error) = wrong.await.unwrap_err() else {
        panic!("the answer has a wrong shape");
    };
    let text = error.to_string();
    assert!(
        text.starts_with("argument 1: invalid value: integer `-1`, expected u32"),
        "{text}"
    );
}

#[tokio::test]
async fn broadcast_collects_typed_acknowledgements() {
    let io = server();
    let rig = ServerRig::tcp(&io).await;
    let mut peers = rig.connect_many(2).await;
    let asked = io.emit_event_with_ack(Ping).unwrap();
    for peer in &mut peers {
        let event = peer.text().await;
        let id = event
            .strip_suffix(r#"["ping"]"#)
            .and_then(|head| head.strip_prefix('2'))
            .unwrap();
        peer.send(&format!("3{id}[[7]]")).await;
    }
    let AckSummary { answers, .. } = asked.await;
    let answers: Vec<_> = answers.into_iter().map(|(_, answer)| answer).collect();
    assert_eq!(answers, [[7], [7]]);

    io.emit_event(Nothing()).unwrap();
    io.except("nobody")
        .emit_event(MoveTo {
            x: 1,
            y: 2,
            label: None,
        })
        .unwrap();
    for peer in &mut peers {
        peer.expect(r#"2["nothing"]"#).await;
        peer.expect(r#"2["move_to",1,2,null]"#).await;
    }
}

#[tokio::test]
async fn typed_and_untyped_handlers_see_the_same_event() {
    let io = server();
    let log = Log::new();
    let entries = log.clone();
    io.on("chat", move |Data(chat): Data<Chat>| {
        entries.push(chat.text);
    });
    io.on_event(|chat: Chat| Receipt {
        seen: u32::try_from(chat.room.len()).unwrap_or_default(),
    });
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    peer.send(r#"21["chat",{"room":"lobby","text":"hi"}]"#)
        .await;
    peer.expect(r#"31[{"seen":5}]"#).await;
    assert_eq!(log.next().await, "hi");
}
