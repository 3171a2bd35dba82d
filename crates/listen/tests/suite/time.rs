//! Everything about timers, in memory and in virtual time.

use std::time::Duration;

use sockeye_engine::CloseReason;
use sockeye_engine_proto::Packet;
use sockeye_listen::{EngineConfig, ListenOptions};
use sockeye_testkit::{Case, EngineRig, Seen, SocketDir, StreamPeer};
use tokio::time::{Instant, advance, pause};

const INTERVAL: Duration = Duration::from_secs(25);
const TIMEOUT: Duration = Duration::from_secs(20);
const MOMENT: Duration = Duration::from_millis(50);

fn config() -> EngineConfig {
    EngineConfig::default().session(|session| session.ping_interval(INTERVAL).ping_timeout(TIMEOUT))
}

/// That this much virtual time has passed, give or take a moment.
#[track_caller]
fn assert_elapsed(since: Instant, expected: Duration) {
    let elapsed = since.elapsed();
    assert!(
        elapsed >= expected && elapsed <= expected + MOMENT,
        "{elapsed:?} instead of {expected:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn server_pings_under_revision_4() {
    for case in [Case::POLLING, Case::WEBSOCKET] {
        let mut rig = EngineRig::memory(config());
        let (mut client, mut session) = rig.open(case).await;
        for _ in 0..3 {
            let start = Instant::now();
            assert_eq!(client.next().await, Some(Packet::PING));
            assert_elapsed(start, INTERVAL);
            client.send(&[Packet::PONG]).await;
        }
        assert!(session.is_quiet());
    }
}

#[tokio::test(start_paused = true)]
async fn missing_pong_is_a_ping_timeout() {
    for case in [Case::POLLING, Case::WEBSOCKET] {
        let mut rig = EngineRig::memory(config());
        let start = Instant::now();
        let (mut client, mut session) = rig.open(case).await;
        assert_eq!(client.next().await, Some(Packet::PING));
        // Messages are no answer to a ping.
        client.send_text("busy").await;
        client.message().await;
        let last = client.next().await;
        assert!(matches!(last, None | Some(Packet::Close)), "{last:?}");
        assert_elapsed(start, INTERVAL + TIMEOUT);
        drop(client);
        assert_eq!(session.closed().await, CloseReason::PingTimeout);
        assert_eq!(rig.engine.session_count(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn client_pings_under_revision_3() {
    for case in [Case::POLLING_V3, Case::WEBSOCKET_V3] {
        let mut rig = EngineRig::memory(config());
        let (mut client, mut session) = rig.open(case).await;
        for _ in 0..3 {
            advance(INTERVAL).await;
            client.send(&[Packet::PING]).await;
            assert_eq!(client.next().await, Some(Packet::PONG));
        }
        assert!(session.is_quiet());
        let start = Instant::now();
        let last = client.next().await;
        assert!(matches!(last, None | Some(Packet::Close)), "{last:?}");
        assert_elapsed(start, INTERVAL + TIMEOUT);
        drop(client);
        assert_eq!(session.closed().await, CloseReason::PingTimeout);
    }
}

#[tokio::test(start_paused = true)]
async fn heartbeat_goes_on_after_an_upgrade() {
    for case in [Case::POLLING, Case::POLLING_V3] {
        let mut rig = EngineRig::memory(config());
        let start = Instant::now();
        let (mut client, mut session) = rig.open(case).await;
        advance(Duration::from_secs(10)).await;
        client.upgrade().await;
        client.send_text("moved").await;
        assert_eq!(client.text().await, "moved");
        if !case.is_v3() {
            assert_eq!(client.next().await, Some(Packet::PING));
            assert_elapsed(start, INTERVAL);
        }
        client.hung_up().await;
        assert_elapsed(start, INTERVAL + TIMEOUT);
        assert_eq!(session.closed().await, CloseReason::PingTimeout);
    }
}

#[tokio::test(start_paused = true)]
async fn ping_that_is_out_at_the_upgrade_keeps_its_deadline() {
    let mut rig = EngineRig::memory(config());
    let (mut client, mut session) = rig.open(Case::POLLING).await;
    assert_eq!(client.next().await, Some(Packet::PING));
    let start = Instant::now();
    client.upgrade().await;
    client.hung_up().await;
    assert_elapsed(start, TIMEOUT);
    assert_eq!(session.closed().await, CloseReason::PingTimeout);
}

#[tokio::test(start_paused = true)]
async fn request_at_the_very_deadline_finds_the_session_closed() {
    let mut rig = EngineRig::memory(config());
    let (mut client, mut session) = rig.open(Case::POLLING).await;
    assert_eq!(client.next().await, Some(Packet::PING));
    advance(TIMEOUT).await;
    let answer = client.get().await;
    assert_eq!(answer.status, 400);
    assert_eq!(session.closed().await, CloseReason::PingTimeout);
}

#[tokio::test(start_paused = true)]
async fn unfinished_upgrade_is_given_up_after_its_timeout() {
    for probed in [false, true] {
        let mut rig = EngineRig::memory(
            config().session(|session| session.upgrade_timeout(Duration::from_secs(10))),
        );
        let (mut client, _session) = rig.open(Case::POLLING).await;
        let mut websocket = client.open_websocket().await;
        let start = Instant::now();
        if probed {
            websocket.text("2probe").await;
            assert_eq!(websocket.next_text().await, "3probe");
        }
        assert_eq!(websocket.closed().await, None);
        assert_elapsed(start, Duration::from_secs(10));
        client.send_text("on polling").await;
        assert_eq!(client.text().await, "on polling");
        client.upgrade().await;
        client.send_text("on a websocket").await;
        assert_eq!(client.text().await, "on a websocket");
    }
}

#[tokio::test(start_paused = true)]
async fn polls_during_a_probe_are_freed_every_100_ms() {
    let mut rig = EngineRig::memory(config());
    let (client, _session) = rig.open(Case::POLLING).await;
    let mut websocket = client.open_websocket().await;
    websocket.text("2probe").await;
    assert_eq!(websocket.next_text().await, "3probe");
    let start = Instant::now();
    for _ in 0..3 {
        assert_eq!(client.get().await.brief(), (200, "6"));
    }
    assert_elapsed(start, Duration::from_millis(300));
}

#[tokio::test(start_paused = true)]
async fn close_without_a_poll_waits_for_one() {
    for (case, body) in [(Case::POLLING, "6\u{1e}1"), (Case::POLLING_V3, "1:61:1")] {
        let mut rig = EngineRig::memory(config());
        let (client, mut session) = rig.open(case).await;
        session.handle.close();
        advance(Duration::from_secs(10)).await;
        assert_eq!(client.get().await.brief(), (200, body));
        assert_eq!(session.closed().await, CloseReason::ForcedClose);
        let unknown = r#"{"code":1,"message":"Session ID unknown"}"#;
        assert_eq!(client.get().await.brief(), (400, unknown));
    }
}

#[tokio::test(start_paused = true)]
async fn close_with_a_pending_poll_answers_it() {
    for (case, body) in [(Case::POLLING, "1"), (Case::POLLING_V3, "1:1")] {
        let mut rig = EngineRig::memory(config());
        let (client, mut session) = rig.open(case).await;
        let mut polling = client.begin_get().await;
        advance(Duration::from_secs(1)).await;
        session.handle.close();
        assert_eq!(polling.response().await.unwrap().brief(), (200, body));
        assert_eq!(session.closed().await, CloseReason::ForcedClose);
    }
}

#[tokio::test(start_paused = true)]
async fn close_without_any_poll_ends_after_30_seconds() {
    let mut rig = EngineRig::memory(config());
    let (_client, mut session) = rig.open(Case::POLLING).await;
    let start = Instant::now();
    session.text("never taken");
    session.handle.close();
    assert_eq!(session.closed().await, CloseReason::ForcedClose);
    assert_elapsed(start, Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn engine_close_waits_for_polls_and_tells_everyone() {
    let mut rig = EngineRig::memory(config().shutdown_timeout(Duration::from_secs(10)));
    let (pending, mut pending_session) = rig.open(Case::POLLING).await;
    let (between, mut between_session) = rig.open(Case::POLLING).await;
    let (mut websocket, mut websocket_session) = rig.open(Case::WEBSOCKET).await;
    let mut polling = pending.begin_get().await;
    advance(Duration::from_secs(1)).await;
    websocket_session.text("last words");
    between_session.text("last words");
    let engine = rig.engine.clone();
    let start = Instant::now();
    let closing = tokio::spawn(async move { engine.close().await });
    assert_eq!(polling.response().await.unwrap().brief(), (200, "1"));
    assert_eq!(websocket.text().await, "last words");
    assert_eq!(websocket.websocket().closed().await, Some(None));
    advance(Duration::from_secs(5)).await;
    assert!(!closing.is_finished());
    // What waits takes a poll of its own, and the end the next one.
    assert_eq!(between.get().await.brief(), (200, "4last words"));
    assert_eq!(between.get().await.brief(), (200, "6\u{1e}1"));
    closing.await.unwrap();
    assert_elapsed(start, Duration::from_secs(5));
    for session in [
        &mut pending_session,
        &mut between_session,
        &mut websocket_session,
    ] {
        assert_eq!(session.closed().await, CloseReason::ForcedClose);
    }
}

#[tokio::test(start_paused = true)]
async fn poll_that_crosses_the_close_packet_gets_a_noop() {
    for (case, noop) in [(Case::POLLING, "6"), (Case::POLLING_V3, "1:6")] {
        let mut rig = EngineRig::memory(config());
        let (mut client, mut session) = rig.open(case).await;
        client.send(&[Packet::Close]).await;
        // Within the second that a crossing GET may take.
        advance(Duration::from_millis(500)).await;
        assert_eq!(client.get().await.brief(), (200, noop));
        let unknown = r#"{"code":1,"message":"Session ID unknown"}"#;
        assert_eq!(client.get().await.brief(), (400, unknown));
        assert_eq!(session.closed().await, CloseReason::TransportClose);
    }
}

#[tokio::test(start_paused = true)]
async fn pending_poll_gets_a_noop_for_the_close_packet() {
    for (case, noop) in [(Case::POLLING, "6"), (Case::POLLING_V3, "1:6")] {
        let mut rig = EngineRig::memory(config());
        let (mut client, mut session) = rig.open(case).await;
        let mut polling = client.begin_get().await;
        advance(Duration::from_secs(1)).await;
        client.send(&[Packet::Close]).await;
        assert_eq!(polling.response().await.unwrap().brief(), (200, noop));
        assert_eq!(session.closed().await, CloseReason::TransportClose);
    }
}

#[tokio::test(start_paused = true)]
async fn tombstone_is_gone_after_a_second() {
    let mut rig = EngineRig::memory(config());
    let (mut client, mut session) = rig.open(Case::POLLING).await;
    client.send(&[Packet::Close]).await;
    advance(Duration::from_secs(2)).await;
    assert_eq!(client.get().await.status, 400);
    assert_eq!(session.closed().await, CloseReason::TransportClose);
    assert_eq!(rig.engine.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn peer_that_does_not_hang_up_is_lingered_for() {
    let mut rig =
        EngineRig::memory(config().limits(|limits| limits.linger(Duration::from_secs(7))));
    let (client, mut session) = rig.open(Case::WEBSOCKET).await;
    let start = Instant::now();
    session.handle.close();
    assert_eq!(session.closed().await, CloseReason::ForcedClose);
    assert_elapsed(start, Duration::from_secs(7));
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn body_that_takes_longer_than_thirty_seconds_is_408() {
    let mut rig = EngineRig::memory(config());
    let (mut client, mut session) = rig.open(Case::POLLING_V3).await;
    let head = rig
        .net
        .to_get(&client.query())
        .method("POST")
        .header("content-length", "100");
    let mut http = rig.net.http().await;
    http.write(&head.to_bytes()).await;
    let start = Instant::now();
    // One byte a second keeps nothing alive.
    let answer = loop {
        tokio::select! {
            answer = http.response() => break answer,
            () = advance_slowly() => http.write(b"4").await,
        }
    };
    assert_elapsed(start, Duration::from_secs(30));
    let answer = answer.unwrap();
    assert_eq!(answer.brief(), (408, ""));
    assert_eq!(answer.header("connection"), Some("close"));
    client.hung_up().await;
    assert_eq!(session.closed().await, CloseReason::TransportError);
}

async fn advance_slowly() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn unready_connection_is_not_timed_out() {
    for case in [Case::WEBSOCKET, Case::WEBSOCKET_V3] {
        let mut rig = EngineRig::memory_unready(config());
        let (mut client, mut session) = rig.open(case).await;
        client.send_text("waits").await;
        if case.is_v3() {
            client.send(&[Packet::PING]).await;
        } else {
            assert_eq!(client.next().await, Some(Packet::PING));
            client.send(&[Packet::PONG]).await;
        }
        advance(Duration::from_secs(40)).await;
        advance(Duration::from_secs(40)).await;
        advance(Duration::from_secs(40)).await;
        assert!(session.is_quiet(), "nothing was read, nothing was closed");
        session.set_ready(true);
        assert_eq!(session.seen().await, Some(Seen::Text("waits".into())));
        // From now on the heartbeat counts again.
        client.hung_up().await;
        assert_eq!(session.closed().await, CloseReason::PingTimeout);
    }
}

#[tokio::test(start_paused = true)]
async fn unready_connection_holds_its_post_and_is_not_timed_out() {
    for case in [Case::POLLING, Case::POLLING_V3] {
        let mut rig = EngineRig::memory_unready(config());
        let (client, mut session) = rig.open(case).await;
        let body = if case.is_v3() {
            "2:4a2:4b"
        } else {
            "4a\u{1e}4b"
        };
        let mut posting = rig.net.http().await;
        let post = rig.net.to_get(&client.query()).method("POST");
        posting.send(&post.body(body)).await;
        // GETs go on meanwhile, and bring heartbeats that cannot be answered.
        let (net, query) = (rig.net.clone(), client.query());
        let polling = tokio::spawn(async move { while net.get(&query).await.status == 200 {} });
        tokio::time::sleep(Duration::from_secs(200)).await;
        assert!(!polling.is_finished(), "the session has ended");
        assert!(session.is_quiet());
        session.set_ready(true);
        assert_eq!(posting.response().await.unwrap().brief(), (200, "ok"));
        for text in ["a", "b"] {
            let seen = session.seen().await;
            assert_eq!(seen, Some(Seen::Text(text.into())));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn connection_that_is_unready_for_ever_ends() {
    for case in [Case::WEBSOCKET, Case::POLLING] {
        let patience = Duration::from_secs(100);
        let mut rig =
            EngineRig::memory_unready(config().limits(|limits| limits.stall_timeout(patience)));
        let (_client, mut session) = rig.open(case).await;
        let start = tokio::time::Instant::now();
        assert_eq!(session.closed().await, CloseReason::PingTimeout);
        assert!(
            start.elapsed() <= patience + INTERVAL + TIMEOUT,
            "{:?}",
            start.elapsed()
        );
    }
}

/// Past 49.7 days, the milliseconds of a time do not fit 32 bits any more.
const HUNDRED_DAYS: Duration = Duration::from_secs(100 * 86_400);

/// A driver that waits for a time which is over goes round and round.
#[cfg(unix)]
#[tokio::test]
async fn streams_without_a_heartbeat_rest_for_a_hundred_days() {
    let dir = SocketDir::new("hundred-days");
    let mut rig = EngineRig::memory(config());
    let options = ListenOptions::default().allow_half_open(true);
    let _listener = rig.engine.listen(&dir.url(), options).await.unwrap();
    let mut lines = StreamPeer::unix(&dir).await;
    lines.write(b"{\"event\":\"a\"}\n").await;
    let mut of_lines = rig.session().await;
    assert!(matches!(of_lines.seen().await, Some(Seen::Binary(_))));
    let mut native = StreamPeer::unix(&dir).await;
    native.write(b"\x010").await;
    assert!(native.text().await.starts_with('0'));
    let mut half_open = rig.session().await;
    native.send_text("4last").await;
    assert_eq!(half_open.seen().await, Some(Seen::Text("last".into())));
    native.shutdown().await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    pause();
    for session in [&mut of_lines, &mut half_open] {
        let before = session.polls();
        for days in [1, 50, 100] {
            advance(HUNDRED_DAYS / 100 * days).await;
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
        }
        let polls = session.polls() - before;
        assert!(polls < 20, "{polls} polls, and nothing to do");
        assert!(session.is_quiet() && session.handle.is_open());
    }
}
