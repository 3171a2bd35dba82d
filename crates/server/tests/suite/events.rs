//! Events and their handlers: what they are given, what they answer, and what goes wrong.

use std::collections::BTreeMap;

use bytes::Bytes;
use sockeye_server::{
    Ack, Args, Data, EmitError, EventErrorKind, EventName, ExtractError, Next, Refusal, Reply,
    Server, Socket,
};
use sockeye_testkit::{Case, Log, ServerRig};

/// A server whose `echo` answers with its first argument.
fn server() -> Server {
    let io = Server::new();
    io.on("echo", |args: Args| args);
    io
}

/// A log of what goes wrong, as text and as the part that says what it was.
fn errors(io: &Server) -> Log<(String, String)> {
    let log = Log::new();
    let entries = log.clone();
    io.on_error(move |_, error| {
        let text = format!("{error:#}");
        let (_, why) = text.split_once(": ").expect("the event's name");
        entries.push((error.event().to_owned(), why.to_owned()));
    });
    log
}

#[tokio::test]
async fn arguments_become_what_the_handler_takes() {
    let io = server();
    let log = Log::new();
    let entries = log.clone();
    io.on("one", move |Data(text): Data<String>| entries.push(text));
    let entries = log.clone();
    io.on("two", move |Data((a, b)): Data<(u8, Option<String>)>| {
        entries.push(format!("{a} {b:?}"));
    });
    let entries = log.clone();
    io.on("map", move |Data(map): Data<BTreeMap<String, Vec<f64>>>| {
        entries.push(format!("{map:?}"));
    });
    let entries = log.clone();
    io.on("none", move || entries.push("nothing".to_owned()));
    let entries = log.clone();
    io.on("raw", move |args: Args| {
        entries.push(args.as_json().to_owned());
    });
    let entries = log.clone();
    io.on(
        "many",
        move |socket: Socket, Data((a,)): Data<(u8,)>, name: EventName, args: Args| {
            entries.push(format!(
                "{} {a} {} {}",
                socket.connected(),
                name.0,
                args.len()
            ));
        },
    );
    let rig = ServerRig::tcp(&io).await;
    for case in [
        Case::POLLING,
        Case::WEBSOCKET,
        Case::POLLING_V3,
        Case::WEBSOCKET_V3,
    ] {
        let mut peer = rig.connect_as(case).await;
        for (event, expected) in [
            (r#"2["one","né € 😀"]"#, "né € 😀"),
            (r#"2["one","\ud83d\ude00\n"]"#, "😀\n"),
            (r#"2["two",7]"#, "7 None"),
            (r#"2["two", 7 , "x" , "left over"]"#, r#"7 Some("x")"#),
            (r#"2["map",{"a":[1,2.5]}]"#, r#"{"a": [1.0, 2.5]}"#),
            (r#"2["none"]"#, "nothing"),
            (r#"2["none",1,2]"#, "nothing"),
            (r#"2["many",1,2,3]"#, "true 1 many 3"),
        ] {
            peer.send(event).await;
            assert_eq!(log.next().await, expected, "{event}");
        }
        peer.send(r#"2["raw",{"a": [1, null]},"x"]"#).await;
        let raw = log.next().await;
        assert!(raw.contains(r#"{"a": [1, null]},"x""#), "{raw}");
    }
}

#[tokio::test]
async fn unusual_event_names_work() {
    let io = server();
    for name in ["", "x", "né 😀", "with \"quotes\"", "tab\t", "42"] {
        io.on(name, |EventName(name): EventName| name);
    }
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    for (event, answer) in [
        (r#"21["" ]"#, r#"31[""]"#),
        (r#"21["x"]"#, r#"31["x"]"#),
        (r#"21["n\u00e9 \ud83d\ude00"]"#, r#"31["né 😀"]"#),
        (r#"21["with \"quotes\""]"#, r#"31["with \"quotes\""]"#),
        (r#"21["tab\t"]"#, r#"31["tab\t"]"#),
        (r#"21[42]"#, r#"31["42"]"#),
    ] {
        peer.send(event).await;
        peer.expect(answer).await;
    }
}

#[tokio::test]
async fn return_values_acknowledge() {
    let io = server();
    io.on("number", || 7);
    io.on("text", || "fixed");
    io.on("tuple", || (1, "two", [3].to_vec()));
    io.on("option", || None::<String>);
    io.on("later", async || {
        tokio::task::yield_now().await;
        "later"
    });
    io.on("ok", || Ok::<_, Refusal>(1));
    #[derive(serde::Serialize)]
    struct Point {
        x: i32,
    }
    io.on("struct", || Reply(Point { x: 1 }));
    io.on("args", |args: Args| args);
    io.on("unit", || ());
    let rig = ServerRig::tcp(&io).await;
    for case in [
        Case::POLLING,
        Case::WEBSOCKET,
        Case::POLLING_V3,
        Case::WEBSOCKET_V3,
    ] {
        let mut peer = rig.connect_as(case).await;
        for (event, answer) in [
            (r#"20["number"]"#, "30[7]"),
            (r#"2123["text"]"#, r#"3123["fixed"]"#),
            (r#"21["tuple"]"#, r#"31[1,"two",[3]]"#),
            (r#"21["option"]"#, "31[null]"),
            (r#"21["later"]"#, r#"31["later"]"#),
            (r#"21["ok"]"#, "31[1]"),
            (r#"21["struct"]"#, r#"31[{"x":1}]"#),
            (r#"21["args",1,{"a":"b"}]"#, r#"31[1,{"a":"b"}]"#),
        ] {
            peer.send(event).await;
            peer.expect(answer).await;
        }
        // Nobody asked, and nothing to say: no packet.
        peer.send(r#"2["number"]"#).await;
        peer.send(r#"25["unit"]"#).await;
        peer.expect_nothing(6).await;
    }
}

#[tokio::test]
async fn ack_answers_once_at_a_time_of_its_choosing() {
    let io = server();
    let (sender, kept) = tokio::sync::mpsc::unbounded_channel();
    io.on("keep", move |ack: Ack<(u8, String)>| drop(sender.send(ack)));
    let wanted = Log::new();
    let entries = wanted.clone();
    io.on("wanted", move |ack: Ack<()>| entries.push(ack.is_wanted()));
    io.on("twice", |ack: Ack<u8>| ack.send(1));
    io.on("twice", || 2);
    let mut kept = kept;
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    peer.send(r#"20["keep"]"#).await;
    peer.send(r#"21["keep"]"#).await;
    let (first, second) = (kept.recv().await.unwrap(), kept.recv().await.unwrap());
    second.send((2, "second".into())).unwrap();
    first.send((1, "first".into())).unwrap();
    peer.expect(r#"31[2,"second"]"#).await;
    peer.expect(r#"30[1,"first"]"#).await;
    peer.send(r#"2["wanted"]"#).await;
    peer.send(r#"27["wanted"]"#).await;
    assert_eq!(wanted.take(2).await, [false, true]);
    peer.send(r#"28["twice"]"#).await;
    peer.expect("38[1]").await;
    peer.expect_nothing(9).await;
    // An ack of someone who has gone.
    peer.send(r#"20["keep"]"#).await;
    let late = kept.recv().await.unwrap();
    drop(peer);
    rig.net.until("nobody", || io.sockets().is_empty()).await;
    assert!(matches!(
        late.send((0, String::new())),
        Err(EmitError::Disconnected)
    ));
}

#[tokio::test]
async fn wrong_arguments_are_reported_and_answered_and_harm_nothing() {
    let io = server();
    let log = errors(&io);
    io.on("sum", |Data((a, b)): Data<(u8, u8)>| {
        u32::from(a) + u32::from(b)
    });
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    for (args, position) in [
        (r#","x",1"#, "argument 1"),
        (r#",1,"x""#, "argument 2"),
        (",1", "argument 2"),
        ("", "argument 1"),
        (",1,256", "argument 2"),
    ] {
        peer.send(&format!(r#"2["sum"{args}]"#)).await;
        let (event, what) = log.next().await;
        assert_eq!(event, "sum");
        assert!(what.contains(position), "{what}");
    }
    peer.send(r#"25["sum",1,"x"]"#).await;
    let answer = peer.text().await;
    assert!(answer.starts_with(r#"35[{"error":{"message":"#), "{answer}");
    assert!(answer.contains("argument 2"), "{answer}");
    log.next().await;
    peer.send(r#"26["sum",1,2]"#).await;
    peer.expect("36[3]").await;
    assert!(log.rest().is_empty());
}

#[tokio::test]
async fn handler_may_take_the_failure_to_extract() {
    let io = server();
    io.on("try", |data: Result<Data<u8>, ExtractError>| match data {
        Ok(Data(number)) => number.to_string(),
        Err(error) => format!("no: {error}"),
    });
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    peer.send(r#"20["try",7]"#).await;
    peer.expect(r#"30["7"]"#).await;
    peer.send(r#"21["try","x"]"#).await;
    let answer = peer.text().await;
    assert!(answer.starts_with(r#"31["no: argument 1"#), "{answer}");
}

#[tokio::test]
async fn errors_of_handlers_reach_the_hook_and_the_ack() {
    let io = server();
    let log = errors(&io);
    io.on("refuse", || -> Result<(), Refusal> {
        Err(Refusal::new("not today").with_data(serde_json::json!([1])))
    });
    io.on("fail", async || -> Result<u8, String> {
        tokio::task::yield_now().await;
        Err("broken".to_owned())
    });
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    peer.send(r#"20["refuse"]"#).await;
    peer.expect(r#"30[{"error":{"message":"not today","data":[1]}}]"#)
        .await;
    peer.send(r#"21["fail"]"#).await;
    peer.expect(r#"31[{"error":{"message":"broken"}}]"#).await;
    peer.send(r#"2["fail"]"#).await;
    peer.expect_nothing(2).await;
    let reported = log.take(3).await;
    let expected = [
        ("refuse", "the handler failed: not today"),
        ("fail", "the handler failed: broken"),
        ("fail", "the handler failed: broken"),
    ];
    for (reported, expected) in reported.iter().zip(expected) {
        assert_eq!((reported.0.as_str(), reported.1.as_str()), expected);
    }
}

#[tokio::test]
async fn panics_end_only_their_event_and_say_nothing_to_the_peer() {
    let io = server();
    let log = errors(&io);
    io.on("panic", || -> u8 { panic!("a secret") });
    io.on("later", async || -> u8 {
        tokio::task::yield_now().await;
        panic!("{} secret", "another")
    });
    io.on_connect(|| -> Result<(), String> { panic!("while connecting") });
    io.on_disconnect(|| -> Result<(), String> { panic!("while disconnecting") });
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    assert_eq!(
        log.next().await,
        (
            "connect".to_owned(),
            "the handler panicked: while connecting".to_owned()
        )
    );
    for (event, message) in [("panic", "a secret"), ("later", "another secret")] {
        peer.send(&format!(r#"20["{event}"]"#)).await;
        peer.expect(r#"30[{"error":{"message":"internal error"}}]"#)
            .await;
        let expected = (event.to_owned(), format!("the handler panicked: {message}"));
        assert_eq!(log.next().await, expected);
    }
    peer.expect_nothing(1).await;
    drop(peer);
    let (event, _) = log.next().await;
    assert_eq!(event, "disconnect");
    rig.net
        .until("no session", || io.connection_count() == 0)
        .await;
    rig.connect().await.expect_nothing(1).await;
}

#[tokio::test]
async fn missing_state_and_reason_are_reported() {
    let io = server();
    let log = Log::new();
    let entries = log.clone();
    io.on_error(move |_, error| {
        let missing = matches!(
            error.kind(),
            EventErrorKind::Extract(ExtractError::MissingState(_) | ExtractError::NotAvailable(_))
        );
        entries.push((error.event().to_owned(), missing));
    });
    io.on("state", |_: sockeye_server::State<u64>| ());
    io.on("reason", |_: sockeye_server::DisconnectReason| ());
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    peer.send(r#"2["state"]"#).await;
    peer.send(r#"2["reason"]"#).await;
    assert_eq!(log.next().await, ("state".to_owned(), true));
    assert_eq!(log.next().await, ("reason".to_owned(), true));
}

#[tokio::test]
async fn binary_travels_as_attachments_both_ways() {
    let io = server();
    let log = Log::new();
    let entries = log.clone();
    #[derive(serde::Deserialize)]
    struct Upload {
        name: String,
        data: Bytes,
    }
    io.on(
        "up",
        move |socket: Socket, Data((first, upload)): Data<(Bytes, Upload)>| {
            entries.push((first.to_vec(), upload.name, upload.data.to_vec()));
            socket.emit("down", (upload.data, serde_json::json!({"n": 1}), first))
        },
    );
    io.on("swap", |Data((a, b)): Data<(Bytes, Bytes)>| (b, a));
    io.on("args", |socket: Socket, args: Args| {
        socket.emit("args", args)
    });
    let rig = ServerRig::tcp(&io).await;
    for case in [
        Case::POLLING,
        Case::WEBSOCKET,
        Case::POLLING_V3,
        Case::WEBSOCKET_V3,
    ] {
        let mut peer = rig.connect_as(case).await;
        let placeholder = |num: u8| format!(r#"{{"_placeholder":true,"num":{num}}}"#);
        let (zero, one) = (placeholder(0), placeholder(1));
        let up = format!(r#"52-["up",{zero},{{"name":"n","data":{one}}}]"#);
        peer.send(&up).await;
        peer.send_binary(b"\x01").await;
        peer.send_binary(b"\x02\x03").await;
        let expected = (vec![1], "n".to_owned(), vec![2, 3]);
        assert_eq!(log.next().await, expected);
        peer.expect(&format!(r#"52-["down",{zero},{{"n":1}},{one}]"#))
            .await;
        assert_eq!(peer.binary().await, [2, 3]);
        assert_eq!(peer.binary().await, [1]);

        peer.send(&format!(r#"52-9["swap",{zero},{one}]"#)).await;
        peer.send_binary(b"a").await;
        peer.send_binary(b"b").await;
        peer.expect(&format!("62-9[{zero},{one}]")).await;
        assert_eq!(peer.binary().await, b"b");
        assert_eq!(peer.binary().await, b"a");

        // Passed on as it came.
        peer.send(&format!(r#"52-["args",[{one},{{"a":{zero}}}],"x"]"#))
            .await;
        peer.send_binary(b"c").await;
        peer.send_binary(b"d").await;
        peer.expect(&format!(r#"52-["args",[{zero},{{"a":{one}}}],"x"]"#))
            .await;
        assert_eq!(peer.binary().await, b"d");
        assert_eq!(peer.binary().await, b"c");
        peer.expect_nothing(10).await;
    }
}

#[tokio::test]
async fn what_only_javascript_takes_is_read_by_every_kind_of_handler() {
    let io = server();
    let log = Log::new();
    let entries = log.clone();
    io.on("text", move |Data(text): Data<String>| entries.push(text));
    let entries = log.clone();
    io.on("value", move |Data(value): Data<serde_json::Value>| {
        entries.push(value.to_string());
    });
    let entries = log.clone();
    io.on("keys", move |Data(map): Data<BTreeMap<String, u64>>| {
        entries.push(format!("{map:?}"));
    });
    let entries = log.clone();
    io.on("ask", move |socket: Socket| {
        let entries = entries.clone();
        async move {
            let answer: Result<(String, u8), _> = socket.emit_with_ack("question", ()).await;
            entries.push(answer.unwrap().0);
        }
    });
    io.on("pass", |socket: Socket, args: Args| {
        socket.emit("pass", args)
    });
    let errors = errors(&io);
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    let half = r#""half \ud83d end""#;
    peer.send(&format!(r#"2["text",{half}]"#)).await;
    assert_eq!(log.next().await, "half \u{fffd} end");
    peer.send(&format!(r#"2["value",[{half},1.0]]"#)).await;
    assert_eq!(log.next().await, "[\"half \u{fffd} end\",1.0]");
    peer.send(r#"2["keys",{"\udc00":1.0,"a":-0}]"#).await;
    assert_eq!(log.next().await, "{\"a\": 0, \"\u{fffd}\": 1}");
    peer.send(r#"2["ask"]"#).await;
    peer.expect(r#"21["question"]"#).await;
    peer.send(&format!("31[{half},3.0]")).await;
    assert_eq!(log.next().await, "half \u{fffd} end");
    // What is passed on is as it came.
    peer.send(&format!(r#"2["pass",{half},1.0,1e400]"#)).await;
    peer.expect(&format!(r#"2["pass",{half},1.0,1e400]"#)).await;
    peer.send(r#"2["value",1e400]"#).await;
    let (event, error) = errors.next().await;
    assert_eq!(event, "value");
    assert!(
        error.starts_with("argument 1: number out of range"),
        "{error}"
    );
    peer.expect_nothing(9).await;
}

#[tokio::test]
async fn handlers_come_and_go() {
    let io = server();
    let log = Log::new();
    let note = |text: &'static str| {
        let log = log.clone();
        move || log.push(text)
    };
    io.on("a", note("first")).on("a", note("second"));
    let third = io.on("a", note("third")).id();
    io.once("a", note("once"));
    io.on("b", note("b"));
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    assert_eq!(io.event_names(), ["echo", "a", "b"]);
    assert_eq!((io.listener_count("a"), io.has_listeners("c")), (4, false));
    peer.send(r#"2["a"]"#).await;
    assert_eq!(log.take(4).await, ["first", "second", "third", "once"]);
    assert!(io.remove_listener(third));
    assert!(!io.remove_listener(third));
    peer.send(r#"2["a"]"#).await;
    assert_eq!(log.take(2).await, ["first", "second"]);
    assert_eq!(io.off("a"), 2);
    assert_eq!(io.off("a"), 0);
    peer.send(r#"2["a"]"#).await;
    peer.send(r#"2["b"]"#).await;
    assert_eq!(log.next().await, "b");
    io.off_all();
    assert!(io.event_names().is_empty());
    peer.send(r#"2["b"]"#).await;
    io.on("echo", |args: Args| args);
    peer.expect_nothing(1).await;
    assert!(log.rest().is_empty());
}

#[tokio::test]
async fn sockets_have_handlers_of_their_own() {
    let io = server();
    let log = Log::new();
    let entries = log.clone();
    io.on("private", {
        let log = log.clone();
        move || log.push("shared".to_owned())
    });
    io.on_connect(move |socket: Socket| {
        let log = entries.clone();
        let id = socket.id().to_owned();
        let private = socket.on("private", move || log.push(id.clone())).id();
        let log = entries.clone();
        socket.once("private", move || log.push("once".to_owned()));
        assert_eq!(socket.event_names(), ["private"]);
        socket.on("stop", move |socket: Socket| {
            assert!(socket.remove_listener(private));
        });
        socket.on("drop", |socket: Socket| {
            assert_eq!(socket.off("stop"), 1);
            socket.off_all();
            assert!(socket.event_names().is_empty());
        });
    });
    let rig = ServerRig::tcp(&io).await;
    let mut one = rig.connect().await;
    let mut other = rig.connect().await;
    one.send(r#"2["private"]"#).await;
    assert_eq!(
        log.take(3).await,
        ["shared".to_owned(), one.id.clone(), "once".to_owned()]
    );
    one.send(r#"2["private"]"#).await;
    assert_eq!(log.take(2).await, ["shared".to_owned(), one.id.clone()]);
    one.send(r#"2["stop"]"#).await;
    one.send(r#"2["private"]"#).await;
    assert_eq!(log.next().await, "shared");
    other.send(r#"2["private"]"#).await;
    assert_eq!(
        log.take(3).await,
        ["shared".to_owned(), other.id.clone(), "once".to_owned()]
    );
    other.send(r#"2["drop"]"#).await;
    other.send(r#"2["private"]"#).await;
    assert_eq!(log.next().await, "shared");
    other.expect_nothing(1).await;
    assert!(log.rest().is_empty());
}

#[tokio::test]
async fn catch_all_handlers_run_first_and_in_their_order() {
    let io = server();
    let log = Log::new();
    let note = |who: &'static str| {
        let log = log.clone();
        move |EventName(name): EventName, args: Args| {
            log.push(format!("{who} {name} {}", args.len()));
        }
    };
    io.on("known", note("own"));
    io.on_any(note("any"));
    io.prepend_any(note("before"));
    let of_socket = note("socket");
    let before = note("socket before");
    io.on_connect(move |socket: Socket| {
        socket.on_any(of_socket.clone());
        socket.prepend_any(before.clone());
    });
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    peer.send(r#"2["known",1,2]"#).await;
    let expected = ["before", "any", "socket before", "socket", "own"];
    assert_eq!(
        log.take(5).await,
        expected.map(|who| format!("{who} known 2"))
    );
    peer.send(r#"2["unknown"]"#).await;
    assert_eq!(
        log.take(4).await,
        expected[..4]
            .iter()
            .map(|who| format!("{who} unknown 0"))
            .collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn catch_all_handler_may_answer() {
    let io = Server::new();
    io.on_any(|ack: Ack<&'static str>| ack.send("any"));
    io.on("known", || "own");
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    peer.send(r#"20["known"]"#).await;
    peer.expect(r#"30["any"]"#).await;
    peer.send(r#"21["unknown"]"#).await;
    peer.expect(r#"31["any"]"#).await;
}

#[tokio::test]
async fn outgoing_handlers_see_emits_and_broadcasts_but_no_acks() {
    let io = server();
    let log = Log::new();
    let note = |who: &'static str| {
        let log = log.clone();
        move |socket: Socket, EventName(name): EventName, args: Args| {
            log.push(format!("{who} {} {name} {}", socket.id(), args.as_json()));
        }
    };
    io.on_any_outgoing(note("shared"));
    let rig = ServerRig::tcp(&io).await;
    let mut one = rig.connect().await;
    let other = rig.connect().await;
    let socket = io.socket(&one.id).unwrap();
    socket.on_any_outgoing(note("own"));
    socket.emit("direct", (1, "x")).unwrap();
    for who in ["shared", "own"] {
        let entry = log.next().await;
        assert!(
            entry.starts_with(&format!("{who} {} direct ", one.id)),
            "{entry}"
        );
        assert!(entry.contains(r#"1,"x""#), "{entry}");
    }
    io.emit("all", ()).unwrap();
    let mut entries = log.take(3).await;
    entries
        .iter_mut()
        .for_each(|entry| entry.truncate(entry.find(" all").unwrap()));
    entries.sort();
    let mut expected = [
        format!("own {}", one.id),
        format!("shared {}", one.id),
        format!("shared {}", other.id),
    ];
    expected.sort();
    assert_eq!(entries, expected);
    one.expect(r#"2["direct",1,"x"]"#).await;
    one.expect(r#"2["all"]"#).await;
    one.expect_nothing(1).await;
    assert!(log.rest().is_empty());
}

#[tokio::test]
async fn outgoing_handlers_have_their_order_and_go() {
    let io = server();
    let log = Log::new();
    let note = |who: &'static str| {
        let log = log.clone();
        move || log.push(who)
    };
    io.on_any_outgoing(note("shared"));
    io.prepend_any_outgoing(note("shared before"));
    let rig = ServerRig::tcp(&io).await;
    let peer = rig.connect().await;
    let socket = io.socket(&peer.id).unwrap();
    socket.on_any_outgoing(note("own"));
    socket.prepend_any_outgoing(note("own before"));
    socket.on_any(note("incoming"));
    socket.emit("a", ()).unwrap();
    let all = ["shared before", "shared", "own before", "own"];
    assert_eq!(log.take(4).await, all);
    socket.off_any_outgoing();
    socket.off_any();
    socket.emit("b", ()).unwrap();
    assert_eq!(log.take(2).await, all[..2]);
    io.off_any_outgoing();
    socket.emit("c", ()).unwrap();
    let mut peer = peer;
    for name in ["a", "b", "c"] {
        peer.expect(&format!(r#"2["{name}"]"#)).await;
    }
    peer.expect_nothing(1).await;
    assert!(log.rest().is_empty());
}

#[tokio::test]
async fn socket_middlewares_rewrite_drop_and_refuse() {
    let io = server();
    let log = errors(&io);
    io.on("new name", |Data(text): Data<String>| text);
    io.on("kept", || "kept");
    io.on("dropped", || "must not run");
    io.on("refused", || "must not run");
    io.on_connect(|socket: Socket| {
        let first = |name: EventName| match name.0.as_str() {
            "old name" => Next::Rewrite("new name".into(), Args::new(&"changed").unwrap()),
            "dropped" => Next::Drop,
            "refused" => Next::Refuse(Refusal::new("no way")),
            _ => Next::Pass,
        };
        socket
            .middleware(first)
            .middleware(|EventName(name): EventName| {
                assert_ne!(
                    name, "old name",
                    "the second one sees what the first has made"
                );
            });
    });
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    peer.send(r#"20["old name","original"]"#).await;
    peer.expect(r#"30["changed"]"#).await;
    peer.send(r#"21["kept"]"#).await;
    peer.expect(r#"31["kept"]"#).await;
    peer.send(r#"2["dropped"]"#).await;
    peer.send(r#"2["refused"]"#).await;
    let expected = (
        "refused".to_owned(),
        "a middleware refused it: no way".to_owned(),
    );
    assert_eq!(log.next().await, expected);
    peer.expect_nothing(4).await;
}

#[tokio::test]
async fn async_socket_middlewares_keep_the_order() {
    let io = server();
    let log = Log::new();
    let entries = log.clone();
    io.on("n", move |Data(n): Data<u32>| entries.push(n));
    io.on_connect(|socket: Socket| {
        socket.middleware(async |Data(n): Data<u32>| {
            // The first ones take longest.
            for _ in n..20 {
                tokio::task::yield_now().await;
            }
        });
    });
    let rig = ServerRig::tcp(&io).await;
    for case in [Case::POLLING, Case::WEBSOCKET] {
        let mut peer = rig.connect_as(case).await;
        for n in 0..20 {
            peer.send(&format!(r#"2["n",{n}]"#)).await;
        }
        assert_eq!(log.take(20).await, (0..20).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn reserved_names_cannot_be_emitted_or_received() {
    let io = server();
    let rig = ServerRig::tcp(&io).await;
    let peer = rig.connect().await;
    let socket = io.socket(&peer.id).unwrap();
    for name in [
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
    ] {
        let direct = socket.emit(name, ());
        assert!(matches!(direct, Err(EmitError::ReservedName(_))), "{name}");
        let broadcast = io.emit(name, ());
        assert!(
            matches!(broadcast, Err(EmitError::ReservedName(_))),
            "{name}"
        );
        let mut peer = rig.connect().await;
        peer.send(&format!(r#"2["{name}"]"#)).await;
        peer.ended().await;
    }
}

#[tokio::test]
async fn emitting_to_someone_who_is_gone_is_an_error() {
    let io = server();
    let rig = ServerRig::tcp(&io).await;
    let peer = rig.connect().await;
    let socket = io.socket(&peer.id).unwrap();
    drop(peer);
    rig.net.until("nobody", || !socket.connected()).await;
    assert!(matches!(socket.emit("x", ()), Err(EmitError::Disconnected)));
    assert!(matches!(socket.send(()), Err(EmitError::Disconnected)));
    rig.net
        .within("the news", socket.ready())
        .await
        .unwrap_err();
    assert!(socket.rooms().is_empty());
    socket.join("room");
    assert!(
        io.room_names().is_empty(),
        "joining after the end leaks nothing"
    );
    socket.close();
}

#[tokio::test]
async fn what_cannot_be_encoded_is_an_error_and_sends_nothing() {
    let io = server();
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    let socket = io.socket(&peer.id).unwrap();
    // JSON has no maps with keys like these.
    let bad = std::collections::HashMap::from([((1, 2), 3)]);
    assert!(matches!(
        socket.emit("bad", &bad),
        Err(EmitError::Encode(_))
    ));
    assert!(matches!(io.emit("bad", &bad), Err(EmitError::Encode(_))));
    peer.expect_nothing(1).await;
}

/// A server whose outboxes are small.
fn tight_server() -> Server {
    let config = sockeye_server::ServerConfig::default()
        .engine(|engine| engine.limits(|limits| limits.outbox_limit(1000)));
    Server::with_config(config).expect("a small outbox is valid")
}

/// Emits until the outbox is full; how many events it took, and what it said then.
fn fill(socket: &Socket) -> (usize, EmitError) {
    let mut sent = 0;
    loop {
        match socket.emit("fill", "x".repeat(100)) {
            Ok(()) => sent += 1,
            Err(error) => return (sent, error),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn full_outbox_is_an_error_until_it_is_read() {
    let io = tight_server();
    let rig = ServerRig::memory(&io);
    let mut peer = rig.connect_as(Case::POLLING).await;
    let socket = io.socket(&peer.id).unwrap();
    let (sent, refused) = fill(&socket);
    assert!(matches!(refused, EmitError::OutboxFull), "{refused:?}");
    assert!(socket.queued_bytes() >= 1000);
    for _ in 0..sent {
        peer.text().await;
    }
    socket.ready().await.unwrap();
    socket.emit("room", ()).unwrap();
    peer.expect(r#"2["room"]"#).await;
}

#[tokio::test(start_paused = true)]
async fn full_outbox_does_not_swallow_a_disconnect() {
    let io = tight_server();
    let rig = ServerRig::memory(&io);
    let mut peer = rig.connect_as(Case::POLLING).await;
    let socket = io.socket(&peer.id).unwrap();
    let (sent, _) = fill(&socket);
    socket.disconnect();
    for _ in 0..sent {
        peer.text().await;
    }
    peer.expect("1").await;
}
