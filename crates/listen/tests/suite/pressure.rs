//! Peers and applications that do not keep up, and many tasks that send to one peer.

use std::time::Duration;

use sockeye_engine::{CloseReason, Message, SendError, SendOptions, SessionHandle, batch};
use sockeye_listen::{EngineConfig, ListenOptions};
use sockeye_testkit::{Case, EngineRig, Seen, StreamPeer, WebSocket};
use sockeye_websocket::OpCode;

const VOLATILE: SendOptions = SendOptions {
    volatile: true,
    compress: false,
    beyond_limit: false,
};

fn config() -> EngineConfig {
    EngineConfig::default()
}

#[tokio::test(start_paused = true)]
async fn unready_connection_makes_the_peer_wait() {
    const FRAMES: usize = 100;
    let mut rig = EngineRig::memory_unready(config());
    let (client, mut session) = rig.open(Case::WEBSOCKET).await;
    let mut websocket = client.into_websocket();
    let payload = format!("4{}", "x".repeat(30_000));
    let frame = WebSocket::encoded(OpCode::Text, payload.as_bytes());
    let writing = tokio::spawn(async move {
        for _ in 0..FRAMES {
            websocket.write(&frame).await;
        }
        websocket
    });
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!writing.is_finished(), "the peer's writes wait");
    assert!(session.is_quiet());
    session.set_ready(true);
    let _websocket = writing.await.unwrap();
    for _ in 0..FRAMES {
        let Some(Seen::Text(text)) = session.seen().await else {
            panic!("something got lost")
        };
        assert_eq!(text.len(), 30_000);
    }
}

#[tokio::test(start_paused = true)]
async fn peer_that_stops_reading_is_timed_out() {
    let mut rig = EngineRig::memory(config());
    let (client, mut session) = rig.open(Case::WEBSOCKET).await;
    let start = tokio::time::Instant::now();
    while session.handle.queued() == 0 {
        session.text(&"x".repeat(10_000));
        tokio::task::yield_now().await;
    }
    assert_eq!(session.closed().await, CloseReason::PingTimeout);
    // The heartbeat, and the time for the last words.
    let limit = Duration::from_secs(25 + 20 + 5 + 1);
    assert!(start.elapsed() < limit, "{:?}", start.elapsed());
    assert_eq!(rig.engine.session_count(), 0);
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn close_does_not_wait_for_a_peer_that_does_not_read() {
    let mut rig =
        EngineRig::memory(config().limits(|limits| limits.linger(Duration::from_secs(3))));
    let (client, mut session) = rig.open(Case::WEBSOCKET).await;
    while session.handle.queued() == 0 {
        session.text(&"x".repeat(10_000));
        tokio::task::yield_now().await;
    }
    let start = tokio::time::Instant::now();
    session.handle.close();
    assert_eq!(session.closed().await, CloseReason::ForcedClose);
    assert!(start.elapsed() < Duration::from_secs(4));
    assert_eq!(session.handle.queued(), 0, "what waited is freed");
    drop(client);
}

#[tokio::test]
async fn full_outbox_refuses_and_takes_again_when_it_is_read() {
    for case in [Case::POLLING, Case::WEBSOCKET] {
        let limit = 200_000;
        let mut rig = EngineRig::tcp(config().limits(|limits| limits.outbox_limit(limit))).await;
        let (mut client, session) = rig.open(case).await;
        let mut sent = 0;
        let refused = loop {
            let message = Message::text(&format!("{sent:09}{}", "x".repeat(50_000)));
            match session.handle.send(&[message], SendOptions::default()) {
                Ok(()) => sent += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(refused, SendError::Full);
        assert!(session.handle.queued() >= limit);
        // One message may go beyond.
        assert!(session.handle.queued() < limit + 60_000);
        assert!(session.handle.is_open());
        let handle = session.handle.clone();
        let room = tokio::spawn(async move { handle.ready().await });
        for n in 0..sent {
            assert_eq!(client.text().await[..9], format!("{n:09}"));
        }
        assert_eq!(room.await.unwrap(), Ok(()));
        session.text("room again");
        assert_eq!(client.text().await, "room again");
    }
}

#[tokio::test]
async fn waiting_for_room_ends_with_the_session() {
    let mut rig = EngineRig::tcp(config().limits(|limits| limits.outbox_limit(10))).await;
    let (_client, session) = rig.open(Case::POLLING).await;
    session.text("more than ten bytes");
    let handle = session.handle.clone();
    let room = tokio::spawn(async move { handle.ready().await });
    tokio::task::yield_now().await;
    session
        .handle
        .abort(CloseReason::TransportError, "by the test");
    assert_eq!(room.await.unwrap(), Err(SendError::Closed));
}

#[tokio::test(start_paused = true)]
async fn volatile_message_needs_a_pending_poll() {
    let mut rig = EngineRig::memory(config());
    let (client, session) = rig.open(Case::POLLING).await;
    let volatile = |text: &str| session.handle.send(&[Message::text(text)], VOLATILE);
    assert_eq!(volatile("dropped"), Err(SendError::NotReady));
    assert_eq!(session.handle.queued(), 0);
    let mut polling = client.begin_get().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    volatile("taken").unwrap();
    assert_eq!(polling.response().await.unwrap().brief(), (200, "4taken"));
    assert_eq!(volatile("dropped too"), Err(SendError::NotReady));
    session.text("next");
    assert_eq!(client.get().await.brief(), (200, "4next"));
}

#[tokio::test]
async fn volatile_message_is_dropped_behind_others_on_a_websocket() {
    let mut rig = EngineRig::tcp(config()).await;
    let (mut client, session) = rig.open(Case::WEBSOCKET).await;
    let volatile = |text: &str| session.handle.send(&[Message::text(text)], VOLATILE);
    volatile("taken").unwrap();
    assert_eq!(client.text().await, "taken");
    let mut sent = 0;
    while session.handle.queued() == 0 {
        session.text(&"x".repeat(100_000));
        sent += 1;
    }
    assert_eq!(volatile("dropped"), Err(SendError::NotReady));
    for _ in 0..sent {
        assert_eq!(client.text().await.len(), 100_000);
    }
    rig.net
        .until("an empty outbox", || session.handle.queued() == 0)
        .await;
    session.text("last");
    assert_eq!(client.text().await, "last");
}

#[tokio::test]
async fn batch_holds_writes_back_until_its_end() {
    let mut rig = EngineRig::tcp(config()).await;
    let (mut client, session) = rig.open(Case::WEBSOCKET).await;
    batch(|| {
        session.text("one");
        batch(|| session.text("two"));
        assert!(session.handle.queued() > 0, "nothing is written yet");
    });
    assert_eq!(session.handle.queued(), 0, "everything is written");
    assert_eq!(client.text().await, "one");
    assert_eq!(client.text().await, "two");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn batch_for_many_sessions_reaches_them_all() {
    const SESSIONS: usize = 600;
    let mut rig = EngineRig::tcp(config()).await;
    let mut clients = Vec::new();
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        let (client, session) = rig.open(Case::WEBSOCKET).await;
        clients.push(client);
        sessions.push(session);
    }
    let message = [Message::text("to all")];
    batch(|| {
        for session in &sessions {
            let sent = session.handle.send(&message, SendOptions::default());
            assert_eq!(sent, Ok(()));
        }
    });
    for client in &mut clients {
        assert_eq!(client.text().await, "to all");
    }
}

#[tokio::test]
async fn messages_of_one_send_stay_together() {
    let mut rig = EngineRig::tcp(config()).await;
    for case in [Case::POLLING, Case::WEBSOCKET] {
        let (mut client, session) = rig.open(case).await;
        let messages = [Message::text("head"), Message::binary(&b"tail"[..])];
        session
            .handle
            .send(&messages, SendOptions::default())
            .unwrap();
        assert_eq!(client.text().await, "head");
        let tail = client.message().await;
        assert_eq!(
            tail,
            Some(sockeye_engine_proto::Message::Binary(b"tail".into()))
        );
    }
}

/// Many tasks send to one session, whose own driver sends too, while the client reads in its own
/// time. Sizes are mixed, so that copied, shared and partly written frames alternate.
async fn nothing_is_lost_or_reordered(case: Case) {
    const TASKS: usize = 6;
    const EACH: usize = 300;
    let big = config().limits(|limits| limits.outbox_limit(usize::MAX >> 1).max_payload(300_000));
    let mut rig = EngineRig::tcp(big).await;
    let (mut client, session) = rig.open(case).await;
    let filler = "x".repeat(40_000);
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (handle, filler) = (session.handle.clone(), filler.clone());
            tokio::spawn(async move {
                for n in 0..EACH {
                    let size = [0, 10, 900, 1100, 40_000][(n + task) % 5];
                    let text = format!("{task} {n} {}", &filler[..size]);
                    let message = [Message::text(&text)];
                    let sent = handle.send(&message, SendOptions::default());
                    assert_eq!(sent, Ok(()));
                    if n % 7 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            })
        })
        .collect();
    let mut next = [0; TASKS + 1];
    let mut echoed = 0;
    while next[..TASKS].iter().sum::<usize>() < TASKS * EACH || next[TASKS] < echoed {
        if echoed < 40 && next[..TASKS].iter().sum::<usize>() >= echoed * 40 {
            client.send_text(&format!("{TASKS} {echoed} echo")).await;
            echoed += 1;
        }
        let text = client.text().await;
        let mut parts = text.split(' ');
        let mut number = || parts.next().and_then(|part| part.parse().ok());
        let (task, n): (usize, usize) = (number().expect("a task"), number().expect("a count"));
        assert_eq!(n, next[task], "of task {task}");
        if task < TASKS {
            let size = [0, 10, 900, 1100, 40_000][(n + task) % 5];
            assert!(parts.next() == Some(&filler[..size]), "{n} of {task}");
        }
        next[task] += 1;
    }
    for task in tasks {
        task.await.expect("a task that sends");
    }
    assert_eq!(next[..TASKS], [EACH; TASKS]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_sending_to_a_websocket_keep_their_order() {
    nothing_is_lost_or_reordered(Case::WEBSOCKET).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_sending_to_a_poll_keep_their_order() {
    nothing_is_lost_or_reordered(Case::POLLING).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sending_while_closing_is_refused_or_delivered_but_ends() {
    for case in [Case::POLLING, Case::WEBSOCKET] {
        for _ in 0..20 {
            let mut rig = EngineRig::tcp(config()).await;
            let (mut client, mut session) = rig.open(case).await;
            let handle = session.handle.clone();
            let sending = tokio::spawn(async move {
                let mut sent = 0;
                while handle
                    .send(&[Message::text("x")], SendOptions::default())
                    .is_ok()
                {
                    sent += 1;
                    tokio::task::yield_now().await;
                }
                sent
            });
            assert_eq!(client.text().await, "x");
            session.handle.close();
            let mut got = 1;
            while client.message().await.is_some() {
                got += 1;
            }
            client.hung_up().await;
            assert!(got <= sending.await.unwrap());
            assert_eq!(session.closed().await, CloseReason::ForcedClose);
        }
    }
}

/// Sends until the outbox is full; says how many messages that were.
fn fill(session: &SessionHandle) -> usize {
    let message = Message::text(&"x".repeat(10_000));
    let sending = std::iter::repeat_with(|| {
        session.send(std::slice::from_ref(&message), SendOptions::default())
    });
    sending.take_while(Result::is_ok).count()
}

/// What comes while nobody reads, as the outbox is full, must be read when it is not any more, without
/// anything else having to happen: the heartbeats are hours away.
#[tokio::test]
async fn what_comes_while_the_outbox_is_full_is_read_afterwards() {
    for _ in 0..20 {
        let patient = config().limits(|limits| limits.outbox_limit(50_000));
        let patient = patient.session(|session| session.ping_interval(Duration::from_secs(36_000)));
        let mut rig = EngineRig::tcp(patient).await;
        let (client, mut session) = rig.open(Case::WEBSOCKET).await;
        let mut websocket = client.into_websocket();
        let sent = fill(&session.handle);
        websocket
            .write(&WebSocket::encoded(OpCode::Text, b"4hello"))
            .await;
        tokio::task::yield_now().await;
        for _ in 0..sent {
            websocket.next().await.unwrap();
        }
        assert_eq!(session.seen().await, Some(Seen::Text("hello".to_owned())));
    }
}

/// So many small messages, which come in one read, and the bytes with which they are written.
fn at_once(encode: impl Fn(&str) -> Vec<u8>) -> (Vec<String>, Vec<u8>) {
    let messages: Vec<_> = (0..1500).map(|n| format!("{n:020}")).collect();
    let bytes = messages.iter().flat_map(|text| encode(&format!("4{text}")));
    let bytes: Vec<_> = bytes.collect();
    assert!(bytes.len() < 60_000);
    (messages, bytes)
}

/// An outbox for some of the answers. The heartbeats are hours away.
fn tight() -> EngineConfig {
    config()
        .limits(|limits| limits.outbox_limit(1000))
        .session(|session| session.ping_interval(Duration::from_secs(36_000)))
}

#[tokio::test]
async fn messages_of_one_read_wait_until_there_is_room_for_the_answers() {
    for case in [Case::WEBSOCKET, Case::WEBSOCKET_V3] {
        for mut rig in [EngineRig::memory(tight()), EngineRig::tcp(tight()).await] {
            let (client, mut session) = rig.open(case).await;
            let mut websocket = client.into_websocket();
            let (messages, bytes) =
                at_once(|packet| WebSocket::encoded(OpCode::Text, packet.as_bytes()));
            websocket.write(&bytes).await;
            for text in messages {
                assert_eq!(websocket.next_text().await, format!("4{text}"));
                assert_eq!(session.seen().await, Some(Seen::Text(text)));
            }
        }
    }
}

#[tokio::test]
async fn frames_of_one_read_wait_until_there_is_room_for_the_answers() {
    let rig = EngineRig::memory(tight());
    let listening = rig
        .engine
        .listen("tcp://127.0.0.1:0", ListenOptions::default());
    let mut peer = StreamPeer::tcp(&listening.await.unwrap()).await;
    peer.write(b"\x010").await;
    assert!(peer.text().await.starts_with('0'));
    let (messages, bytes) = at_once(|packet| {
        let len = u8::try_from(packet.len()).unwrap();
        [&[len], packet.as_bytes()].concat()
    });
    peer.write(bytes).await;
    for text in messages {
        assert_eq!(peer.text().await, format!("4{text}"));
    }
}

#[tokio::test(start_paused = true)]
async fn who_reads_no_answers_has_no_more_of_its_messages_handled() {
    const MESSAGES: usize = 160;
    const LEN: usize = 1000;
    let mut rig = EngineRig::memory(tight());
    let (client, mut session) = rig.open(Case::WEBSOCKET).await;
    let mut websocket = client.into_websocket();
    let packet = format!("4{}", "x".repeat(LEN));
    // More than the answers that are on their way, and not more than what lies there unread in both directions.
    let bytes = WebSocket::encoded(OpCode::Text, packet.as_bytes()).repeat(MESSAGES);
    websocket.write(&bytes).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let queued = session.handle.queued();
    assert!((1000..1000 + LEN + 10).contains(&queued), "{queued}");
    let mut seen = 0;
    while !session.is_quiet() {
        session.seen().await;
        seen += 1;
    }
    assert!(seen < MESSAGES, "there was no room for so many answers");
    for _ in 0..MESSAGES {
        assert_eq!(websocket.next_text().await, packet);
    }
}

/// A driver that is woken for no reason, again and again, would take a core for itself.
#[tokio::test]
async fn driver_rests_when_the_outbox_empties_while_nothing_may_be_read() {
    let mut rig = EngineRig::tcp(config().limits(|limits| limits.outbox_limit(50_000))).await;
    let (client, session) = rig.open(Case::WEBSOCKET).await;
    let mut websocket = client.into_websocket();
    let sent = fill(&session.handle);
    websocket
        .write(&WebSocket::encoded(OpCode::Text, b"4unread"))
        .await;
    // The driver sees that there is something to read, and may not.
    let polls = session.polls();
    while session.polls() == polls {
        tokio::task::yield_now().await;
    }
    session.set_ready(false);
    for _ in 0..sent {
        websocket.next().await.unwrap();
    }
    while session.handle.queued() > 0 {
        tokio::task::yield_now().await;
    }
    let polls = session.polls();
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert!(session.polls() < polls + 10, "it goes round and round");
}
