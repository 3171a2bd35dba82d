//! Acknowledgements that the server waits for.

use std::time::Duration;

use bytes::Bytes;
use sockeye_server::{AckError, AckFuture, Args, Data, EmitError, Server, ServerConfig, Socket};
use sockeye_testkit::{Case, Log, Peer, ServerRig};

/// A server whose `echo` answers with its arguments.
fn server() -> Server {
    let io = Server::new();
    io.on("echo", |args: Args| args);
    io
}

/// The id in `2ID["name"…]`.
fn id_of(event: &str) -> &str {
    let end = event.find('[').expect("arguments");
    &event[1..end]
}

/// Takes an event and answers it.
async fn answer(peer: &mut Peer, args: &str) {
    let event = peer.text().await;
    peer.send(&format!("3{}{args}", id_of(&event))).await;
}

#[tokio::test]
async fn answer_becomes_what_is_asked_for() {
    let io = server();
    let rig = ServerRig::tcp(&io).await;
    for case in [
        Case::POLLING,
        Case::WEBSOCKET,
        Case::POLLING_V3,
        Case::WEBSOCKET_V3,
    ] {
        let mut peer = rig.connect_as(case).await;
        let socket = io.socket(&peer.id).unwrap();
        let one: AckFuture<String> = socket.emit_with_ack("ask", "né");
        answer(&mut peer, r#"["yes 😀"]"#).await;
        assert_eq!(one.await.unwrap(), "yes 😀");
        let several: AckFuture<(u8, Option<bool>, Option<bool>)> = socket.emit_with_ack("ask", ());
        answer(&mut peer, "[1,true]").await;
        assert_eq!(several.await.unwrap(), (1, Some(true), None));
        let none: AckFuture<()> = socket.emit_with_ack("ask", ());
        answer(&mut peer, "[]").await;
        none.await.unwrap();
        let raw: AckFuture<Args> = socket.emit_with_ack("ask", ());
        answer(&mut peer, r#"[1,"x"]"#).await;
        assert_eq!(raw.await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn ids_count_from_1_for_each_connection() {
    let io = server();
    let rig = ServerRig::tcp(&io).await;
    for _ in 0..2 {
        let mut peer = rig.connect().await;
        let socket = io.socket(&peer.id).unwrap();
        for n in 1..4 {
            drop(socket.emit_with_ack::<()>("ask", ()));
            peer.expect(&format!(r#"2{n}["ask"]"#)).await;
        }
    }
}

#[tokio::test]
async fn answers_may_come_in_any_order_and_only_once() {
    let io = server();
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    let socket = io.socket(&peer.id).unwrap();
    let first = socket.emit_with_ack::<u8>("a", ());
    let second = socket.emit_with_ack::<u8>("b", ());
    let (a, b) = (peer.text().await, peer.text().await);
    for (event, n) in [(&b, 2), (&b, 3), (&a, 1)] {
        peer.send(&format!("3{}[{n}]", id_of(event))).await;
    }
    peer.send("3999[9]").await;
    assert_eq!(second.await.unwrap(), 2);
    assert_eq!(first.await.unwrap(), 1);
    peer.expect_nothing(1).await;
}

#[tokio::test]
async fn binary_answer_waits_for_its_attachments() {
    let io = server();
    let rig = ServerRig::tcp(&io).await;
    for case in [Case::POLLING, Case::WEBSOCKET, Case::WEBSOCKET_V3] {
        let mut peer = rig.connect_as(case).await;
        let socket = io.socket(&peer.id).unwrap();
        let asked = socket.emit_with_ack::<(Bytes, u8)>("ask", Bytes::from_static(b"in"));
        let event = peer.text().await;
        assert_eq!(event, r#"51-1["ask",{"_placeholder":true,"num":0}]"#);
        assert_eq!(peer.binary().await, b"in");
        peer.send(r#"61-1[{"_placeholder":true,"num":0},7]"#).await;
        peer.send_binary(b"out").await;
        assert_eq!(asked.await.unwrap(), (Bytes::from_static(b"out"), 7));
    }
}

#[tokio::test]
async fn answer_of_the_wrong_shape_is_an_error_of_the_one_who_asked() {
    let io = server();
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    let socket = io.socket(&peer.id).unwrap();
    let asked = socket.emit_with_ack::<u8>("ask", ());
    answer(&mut peer, r#"["text"]"#).await;
    let error = asked.await.unwrap_err();
    assert!(matches!(error, AckError::Args(_)), "{error:?}");
    peer.expect_nothing(1).await;
}

#[tokio::test(start_paused = true)]
async fn missing_answer_times_out_and_a_late_one_is_ignored() {
    let io = server();
    let rig = ServerRig::memory(&io);
    let mut peer = rig.connect().await;
    let socket = io.socket(&peer.id).unwrap();
    let start = tokio::time::Instant::now();
    let asked = socket
        .timeout(Duration::from_secs(3))
        .emit_with_ack::<u8>("ask", ());
    let event = peer.text().await;
    let error = asked.await.unwrap_err();
    assert!(matches!(error, AckError::Timeout), "{error:?}");
    assert_eq!(error.to_string(), "operation has timed out");
    assert!(start.elapsed() >= Duration::from_secs(3));
    assert!(start.elapsed() < Duration::from_secs(4));
    peer.send(&format!("3{}[1]", id_of(&event))).await;
    peer.expect_nothing(1).await;
    // In time is in time.
    let asked = socket
        .timeout(Duration::from_secs(3))
        .emit_with_ack::<u8>("ask", ());
    tokio::time::sleep(Duration::from_secs(2)).await;
    answer(&mut peer, "[5]").await;
    assert_eq!(asked.await.unwrap(), 5);
}

#[tokio::test]
async fn disconnection_fails_what_is_pending() {
    let io = server();
    let rig = ServerRig::tcp(&io).await;
    for how in ["leave", "drop", "kick", "close"] {
        let mut peer = rig.connect().await;
        let socket = io.socket(&peer.id).unwrap();
        let asked = socket.emit_with_ack::<u8>("ask", ());
        let other = socket
            .timeout(Duration::from_secs(60))
            .emit_with_ack::<u8>("ask", ());
        match how {
            "leave" => peer.send("1").await,
            "drop" => drop(peer),
            "kick" => socket.disconnect(),
            _ => socket.close(),
        }
        for asked in [asked, other] {
            let error = rig.net.within("the news", asked).await.unwrap_err();
            assert!(matches!(error, AckError::Disconnected), "{how}: {error:?}");
        }
        let late = socket.emit_with_ack::<u8>("ask", ()).await.unwrap_err();
        let expected = matches!(late, AckError::Emit(EmitError::Disconnected));
        assert!(expected, "{how}: {late:?}");
    }
}

#[tokio::test]
async fn too_many_pending_are_refused() {
    let io = Server::with_config(ServerConfig::default().max_pending_acks(2)).unwrap();
    io.on("echo", |args: Args| args);
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    let socket = io.socket(&peer.id).unwrap();
    let first = socket.emit_with_ack::<u8>("ask", ());
    let _second = socket.emit_with_ack::<u8>("ask", ());
    let third = socket.emit_with_ack::<u8>("ask", ()).await.unwrap_err();
    let refused = matches!(third, AckError::Emit(EmitError::TooManyPendingAcks));
    assert!(refused, "{third:?}");
    // Nobody waits for it any more: room for another.
    drop(first);
    let fourth = socket.emit_with_ack::<u8>("ask", ());
    peer.text().await;
    peer.text().await;
    answer(&mut peer, "[4]").await;
    assert_eq!(fourth.await.unwrap(), 4);
    peer.expect_nothing(1).await;
}

#[tokio::test]
async fn failed_emit_is_the_future_s_error() {
    let io = server();
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    let socket = io.socket(&peer.id).unwrap();
    let refused = socket.emit_with_ack::<u8>("disconnect", ()).await;
    let refused = refused.unwrap_err();
    assert!(
        matches!(refused, AckError::Emit(EmitError::ReservedName(_))),
        "{refused:?}"
    );
    peer.expect_nothing(1).await;
}

#[tokio::test]
async fn handler_may_wait_for_an_answer_of_its_own_client() {
    let io = server();
    let log = Log::new();
    let entries = log.clone();
    io.on("ask me", move |socket: Socket| {
        let log = entries.clone();
        async move {
            let answer = socket.emit_with_ack::<String>("what", ()).await;
            log.push(answer.expect("an answer"));
            "done"
        }
    });
    let rig = ServerRig::tcp(&io).await;
    for case in [Case::POLLING, Case::WEBSOCKET] {
        let mut peer = rig.connect_as(case).await;
        peer.send(r#"27["ask me"]"#).await;
        answer(&mut peer, r#"["this"]"#).await;
        assert_eq!(log.next().await, "this");
        peer.expect(r#"37["done"]"#).await;
    }
}

#[tokio::test]
async fn connect_handler_may_wait_for_an_answer() {
    let io = server();
    let log = Log::new();
    let entries = log.clone();
    io.on_connect(move |socket: Socket| {
        let log = entries.clone();
        async move {
            let answer = socket.emit_with_ack::<u8>("hello", ()).await;
            log.push(answer.expect("an answer"));
        }
    });
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    answer(&mut peer, "[9]").await;
    assert_eq!(log.next().await, 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_questions_at_once_get_their_own_answers() {
    const TASKS: u64 = 8;
    const EACH: u64 = 50;
    let io = server();
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    let socket = io.socket(&peer.id).unwrap();
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let socket = socket.clone();
            tokio::spawn(async move {
                for n in 0..EACH {
                    let number = task * EACH + n;
                    let answer = socket.emit_with_ack::<u64>("double", number).await;
                    assert_eq!(answer.expect("an answer"), number * 2);
                }
            })
        })
        .collect();
    for _ in 0..TASKS * EACH {
        let event = peer.text().await;
        let number = event
            .split(',')
            .nth(1)
            .and_then(|rest| rest.strip_suffix(']'));
        let number: u64 = number
            .and_then(|number| number.parse().ok())
            .expect("a number");
        peer.send(&format!("3{}[{}]", id_of(&event), number * 2))
            .await;
    }
    for task in tasks {
        task.await.expect("right answers");
    }
}

#[tokio::test]
async fn acks_of_old_clients_in_counted_form_are_read_and_answered_alike() {
    let io = server();
    io.on("data", |Data(text): Data<String>| text);
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect_as(Case::WEBSOCKET_V3).await;
    let socket = io.socket(&peer.id).unwrap();
    let asked = socket.emit_with_ack::<u8>("ask", ());
    let event = peer.text().await;
    peer.send(&format!("30-{}[7]", id_of(&event))).await;
    assert_eq!(asked.await.unwrap(), 7);
    peer.send(r#"25["data","x"]"#).await;
    peer.expect(r#"30-5["x"]"#).await;
}
