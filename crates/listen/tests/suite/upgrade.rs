//! Moving a session from long-polling to a WebSocket, and what may come in between.

use sockeye_engine::{CloseReason, TransportKind};
use sockeye_engine_proto::Packet;
use sockeye_listen::EngineConfig;
use sockeye_testkit::{Case, EngineRig, Frame, Seen, WebSocket};
use sockeye_websocket::OpCode;

const BOTH: [Case; 2] = [Case::POLLING, Case::POLLING_V3];

fn config() -> EngineConfig {
    EngineConfig::default()
}

#[tokio::test]
async fn session_goes_on_over_the_websocket() {
    let mut rig = EngineRig::tcp(config()).await;
    for case in BOTH {
        let (mut client, mut session) = rig.open(case).await;
        client.send_text("before").await;
        assert_eq!(client.text().await, "before");
        client.upgrade().await;
        client.send_text("after").await;
        assert_eq!(client.text().await, "after");
        client.send_binary(b"\x01").await;
        client.message().await;
        assert_eq!(session.handle.transport(), TransportKind::WebSocket);
        assert_eq!(session.seen().await, Some(Seen::Text("before".into())));
        assert_eq!(session.seen().await, Some(Seen::Text("after".into())));
        assert_eq!(session.seen().await, Some(Seen::Binary(vec![1])));
        drop(client);
        assert_eq!(session.closed().await, CloseReason::TransportClose);
    }
}

#[tokio::test]
async fn what_waits_moves_to_the_websocket_in_order() {
    let mut rig = EngineRig::tcp(config()).await;
    for case in BOTH {
        let (mut client, session) = rig.open(case).await;
        for n in 0..50 {
            session.text(&n.to_string());
        }
        client.upgrade().await;
        for n in 50..100 {
            session.text(&n.to_string());
        }
        for n in 0..100 {
            assert_eq!(client.text().await, n.to_string());
        }
    }
}

#[tokio::test]
async fn poll_after_the_upgrade_is_a_bad_request() {
    let mut rig = EngineRig::tcp(config()).await;
    let (client, mut session) = rig.open(Case::POLLING).await;
    // Probe and commit back to back, without waiting for the answer, and a GET at once.
    let mut websocket = client.open_websocket().await;
    let mut both = WebSocket::encoded(OpCode::Text, b"2probe");
    both.extend(WebSocket::encoded(OpCode::Text, b"5"));
    both.extend(WebSocket::encoded(OpCode::Text, b"4committed"));
    websocket.write(&both).await;
    assert_eq!(websocket.next_text().await, "3probe");
    assert_eq!(session.seen().await, Some(Seen::Text("committed".into())));
    let refused = r#"{"code":3,"message":"Bad request"}"#;
    assert_eq!(client.get().await.brief(), (400, refused));
    assert_eq!(client.post("4x").await.brief(), (400, refused));
    // The refusals leave the session alone.
    assert_eq!(websocket.next_text().await, "4committed");
    websocket.text("4still").await;
    assert_eq!(websocket.next_text().await, "4still");
}

#[tokio::test]
async fn pending_poll_is_freed_by_a_noop() {
    let mut rig = EngineRig::tcp(config()).await;
    for (case, noop) in [(Case::POLLING, "6"), (Case::POLLING_V3, "1:6")] {
        let (client, _session) = rig.open(case).await;
        let mut polling = client.begin_get().await;
        let mut websocket = client.open_websocket().await;
        websocket.text("2probe").await;
        assert_eq!(websocket.next_text().await, "3probe");
        assert_eq!(polling.response().await.unwrap().brief(), (200, noop));
        websocket.text("5").await;
        websocket.text("4x").await;
        assert_eq!(websocket.next_text().await, "4x");
    }
}

#[tokio::test]
async fn poll_that_is_pending_at_the_commit_is_a_bad_request() {
    let mut rig = EngineRig::tcp(config()).await;
    let (client, _session) = rig.open(Case::POLLING).await;
    let mut polling = client.begin_get().await;
    // A request after the GET that is answered: by now the GET is pending.
    assert_eq!(client.post("6").await.brief(), (200, "ok"));
    let mut websocket = client.open_websocket().await;
    let mut both = WebSocket::encoded(OpCode::Text, b"2probe");
    both.extend(WebSocket::encoded(OpCode::Text, b"5"));
    websocket.write(&both).await;
    assert_eq!(websocket.next_text().await, "3probe");
    let refused = r#"{"code":3,"message":"Bad request"}"#;
    assert_eq!(polling.response().await.unwrap().brief(), (400, refused));
    websocket.text("4x").await;
    assert_eq!(websocket.next_text().await, "4x");
}

#[tokio::test]
async fn poll_between_opening_and_probe_is_freed_at_once() {
    let mut rig = EngineRig::tcp(config()).await;
    let (client, _session) = rig.open(Case::POLLING).await;
    let _websocket = client.open_websocket().await;
    assert_eq!(client.get().await.brief(), (200, "6"));
}

#[tokio::test]
async fn polling_still_works_while_a_probe_is_under_way() {
    let mut rig = EngineRig::tcp(config()).await;
    let (mut client, _session) = rig.open(Case::POLLING).await;
    let mut websocket = client.open_websocket().await;
    websocket.text("2probe").await;
    assert_eq!(websocket.next_text().await, "3probe");
    client.send_text("by post").await;
    assert_eq!(client.text().await, "by post");
}

#[tokio::test]
async fn second_websocket_is_closed_and_the_first_wins() {
    let mut rig = EngineRig::tcp(config()).await;
    let (client, _session) = rig.open(Case::POLLING).await;
    let mut first = client.open_websocket().await;
    first.text("2probe").await;
    assert_eq!(first.next_text().await, "3probe");
    let mut second = client.open_websocket().await;
    second.text("2probe").await;
    assert_eq!(second.closed().await, None);
    first.text("5").await;
    first.text("4x").await;
    assert_eq!(first.next_text().await, "4x");
    let mut third = client.open_websocket().await;
    assert_eq!(third.closed().await, None);
    first.text("4y").await;
    assert_eq!(first.next_text().await, "4y");
}

#[tokio::test]
async fn websocket_for_a_session_that_began_on_one_is_closed() {
    let mut rig = EngineRig::tcp(config()).await;
    let (mut client, _session) = rig.open(Case::WEBSOCKET).await;
    let mut second = client.open_websocket().await;
    assert_eq!(second.closed().await, None);
    client.send_text("fine").await;
    assert_eq!(client.text().await, "fine");
}

#[tokio::test]
async fn wrong_first_packet_closes_only_the_probe() {
    let mut rig = EngineRig::tcp(config()).await;
    for frame in ["5", "4early", "2", "x", ""] {
        let (mut client, _session) = rig.open(Case::POLLING).await;
        let mut websocket = client.open_websocket().await;
        websocket.text(frame).await;
        assert_eq!(websocket.closed().await, None, "{frame:?}");
        client.send_text("fine").await;
        assert_eq!(client.text().await, "fine");
        // Another attempt may succeed.
        client.upgrade().await;
        client.send_text("moved").await;
        assert_eq!(client.text().await, "moved");
    }
}

#[tokio::test]
async fn lost_probe_leaves_the_session_on_polling() {
    let mut rig = EngineRig::tcp(config()).await;
    let (mut client, mut session) = rig.open(Case::POLLING).await;
    let mut websocket = client.open_websocket().await;
    websocket.text("2probe").await;
    assert_eq!(websocket.next_text().await, "3probe");
    drop(websocket);
    client.send_text("fine").await;
    assert_eq!(client.text().await, "fine");
    assert_eq!(session.seen().await, Some(Seen::Text("fine".into())));
    assert!(session.is_quiet());
    client.upgrade().await;
    client.send_text("moved").await;
    assert_eq!(client.text().await, "moved");
}

#[tokio::test]
async fn ping_frame_of_a_probe_is_answered() {
    let mut rig = EngineRig::tcp(config()).await;
    let (client, _session) = rig.open(Case::POLLING).await;
    let mut websocket = client.open_websocket().await;
    websocket.frame(OpCode::Ping, b"x").await;
    assert_eq!(websocket.next().await, Some(Frame::Pong(b"x".to_vec())));
}

#[tokio::test]
async fn probe_that_does_not_take_its_pongs_is_dropped() {
    let mut rig = EngineRig::memory(config());
    let (mut client, session) = rig.open(Case::POLLING).await;
    let mut websocket = client.open_websocket().await;
    let pings = WebSocket::encoded(OpCode::Ping, &[0; 125]).repeat(10_000);
    websocket.write(&pings).await;
    let mut pongs = 0;
    while let Some(frame) = websocket.next().await {
        assert_eq!(frame, Frame::Pong(vec![0; 125]));
        pongs += 1;
    }
    // As many as the pipe holds, and as many again.
    assert!(pongs < 2000, "{pongs} pongs were kept");
    client.send_text("still there").await;
    assert_eq!(client.text().await, "still there");
    assert_eq!(session.handle.transport(), TransportKind::Polling);
}

#[tokio::test]
async fn closing_during_an_upgrade_waits_for_the_commit() {
    let mut rig = EngineRig::tcp(config()).await;
    let (client, mut session) = rig.open(Case::POLLING).await;
    let mut websocket = client.open_websocket().await;
    websocket.text("2probe").await;
    assert_eq!(websocket.next_text().await, "3probe");
    session.text("last words");
    session.handle.close();
    websocket.text("5").await;
    assert_eq!(websocket.next_text().await, "4last words");
    assert_eq!(websocket.closed().await, Some(None));
    assert_eq!(session.closed().await, CloseReason::ForcedClose);
}

#[tokio::test]
async fn close_packet_by_post_during_an_upgrade_closes_the_probe() {
    let mut rig = EngineRig::tcp(config()).await;
    let (mut client, mut session) = rig.open(Case::POLLING).await;
    let mut websocket = client.open_websocket().await;
    websocket.text("2probe").await;
    assert_eq!(websocket.next_text().await, "3probe");
    client.send(&[Packet::Close]).await;
    assert_eq!(websocket.closed().await, None);
    assert_eq!(session.closed().await, CloseReason::TransportClose);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_or_reordered_while_many_tasks_send_during_an_upgrade() {
    const TASKS: usize = 4;
    const EACH: usize = 250;
    let mut rig = EngineRig::tcp(config()).await;
    for case in BOTH {
        let (mut client, session) = rig.open(case).await;
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let handle = session.handle.clone();
                tokio::spawn(async move {
                    for n in 0..EACH {
                        let message = sockeye_engine::Message::text(&format!("{task} {n}"));
                        handle.send(&[message], Default::default()).unwrap();
                        if n % 16 == 0 {
                            tokio::task::yield_now().await;
                        }
                    }
                })
            })
            .collect();
        let mut next = [0; TASKS];
        // Some by polling, the rest over the WebSocket.
        for got in 0..TASKS * EACH {
            if got == TASKS * EACH / 4 {
                client.upgrade().await;
            }
            let text = client.text().await;
            let (task, n) = text.split_once(' ').unwrap();
            let (task, n): (usize, usize) = (task.parse().unwrap(), n.parse().unwrap());
            assert_eq!(n, next[task], "of task {task}");
            next[task] += 1;
        }
        assert_eq!(next, [EACH; TASKS]);
        for task in tasks {
            task.await.unwrap();
        }
    }
}
