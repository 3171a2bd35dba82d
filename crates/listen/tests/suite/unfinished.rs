//! Messages that are begun and not finished, in virtual time.

use std::time::Duration;

use sockeye_engine::CloseReason;
use sockeye_listen::EngineConfig;
use sockeye_testkit::{Case, EngineRig, Seen, WebSocket};
use sockeye_websocket::OpCode;
use tokio::time::{Instant, sleep};

const CASES: [Case; 2] = [Case::WEBSOCKET, Case::WEBSOCKET_V3];

/// How long a message may go without progress.
const PATIENCE: Duration = Duration::from_secs(30);

fn config() -> EngineConfig {
    EngineConfig::default()
}

/// A frame of a message that goes on.
fn fragment(op: OpCode, payload: &[u8]) -> Vec<u8> {
    let mut frame = WebSocket::encoded(op, payload);
    frame[0] &= 0x7f;
    frame
}

#[tokio::test(start_paused = true)]
async fn message_without_progress_is_given_up() {
    for case in CASES {
        let half = WebSocket::encoded(OpCode::Text, &[b'4'; 1000])[..500].to_vec();
        for begun in [half, fragment(OpCode::Text, b"4a"), vec![0x81]] {
            let mut rig = EngineRig::memory(config());
            let (client, mut session) = rig.open(case).await;
            let mut websocket = client.into_websocket();
            websocket.text("4whole").await;
            assert_eq!(session.seen().await, Some(Seen::Text("whole".into())));
            sleep(Duration::from_secs(10)).await;
            websocket.write(&begun).await;
            let start = Instant::now();
            assert_eq!(websocket.closed().await, Some(Some(1008)));
            let elapsed = start.elapsed();
            assert!(elapsed >= PATIENCE && elapsed < PATIENCE + Duration::from_secs(1));
            assert_eq!(session.closed().await, CloseReason::TransportError);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn message_that_makes_progress_is_waited_for() {
    for case in CASES {
        let mut rig = EngineRig::memory(config());
        let (client, mut session) = rig.open(case).await;
        let mut websocket = client.into_websocket();
        let piece = "x".repeat(600);
        let first = format!("4{piece}");
        websocket
            .write(&fragment(OpCode::Text, first.as_bytes()))
            .await;
        let more = fragment(OpCode::Continuation, piece.as_bytes()).repeat(10);
        let last = WebSocket::encoded(OpCode::Continuation, piece.repeat(10).as_bytes());
        // Nothing else comes for several minutes, in which there is no answer to a heartbeat.
        for piece in more.chunks(610).chain(last.chunks(610)) {
            sleep(Duration::from_secs(19)).await;
            websocket.write(piece).await;
        }
        let text = Seen::Text("x".repeat(21 * 600));
        assert_eq!(session.seen().await, Some(text));
    }
}

/// A message is begun, and then something comes again and again that adds nothing to it.
async fn message_is_given_up_in_spite_of(case: Case, pause: Duration, pieces: &[&[u8]]) {
    let mut rig = EngineRig::memory(config());
    let (client, mut session) = rig.open(case).await;
    let mut websocket = client.into_websocket();
    let begun = format!("4{}", "x".repeat(999));
    websocket
        .write(&fragment(OpCode::Text, begun.as_bytes()))
        .await;
    let start = Instant::now();
    for piece in pieces.iter().cycle() {
        if start.elapsed() + pause > PATIENCE {
            break;
        }
        sleep(pause).await;
        websocket.write(piece).await;
    }
    assert_eq!(websocket.closed().await, Some(Some(1008)));
    let elapsed = start.elapsed();
    assert!(elapsed < PATIENCE + Duration::from_secs(1), "{elapsed:?}");
    assert_eq!(session.closed().await, CloseReason::TransportError);
}

#[tokio::test(start_paused = true)]
async fn control_frames_in_pieces_add_nothing_to_a_message() {
    for case in CASES {
        for op in [OpCode::Ping, OpCode::Pong] {
            for payload in [&b""[..], &[7; 125]] {
                let frame = WebSocket::encoded(op, payload);
                let (first, rest) = frame.split_at(1);
                let pause = Duration::from_secs(7);
                message_is_given_up_in_spite_of(case, pause, &[first, rest]).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn empty_fragments_add_nothing_to_a_message() {
    for case in CASES {
        let empty = fragment(OpCode::Continuation, b"");
        let pause = Duration::from_secs(13);
        message_is_given_up_in_spite_of(case, pause, &[&empty]).await;
    }
}

/// Fragments of a byte each, and a frame of which a byte comes now and then.
#[tokio::test(start_paused = true)]
async fn message_that_grows_byte_by_byte_is_given_up() {
    for case in CASES {
        let pause = Duration::from_secs(13);
        let byte = fragment(OpCode::Continuation, b"x");
        message_is_given_up_in_spite_of(case, pause, &[&byte]).await;
        let frame = WebSocket::encoded(OpCode::Continuation, &[b'x'; 5000]);
        let bytes: Vec<_> = frame.chunks(1).collect();
        message_is_given_up_in_spite_of(case, pause, &bytes).await;
    }
}

/// As somebody may type it.
#[tokio::test(start_paused = true)]
async fn short_message_may_come_byte_by_byte() {
    for case in CASES {
        let mut rig = EngineRig::memory(config());
        let (client, mut session) = rig.open(case).await;
        let mut websocket = client.into_websocket();
        for byte in WebSocket::encoded(OpCode::Text, b"4slow").chunks(1) {
            // So fast that the heartbeat, which is another matter, does not end it.
            sleep(Duration::from_secs(3)).await;
            websocket.write(byte).await;
        }
        assert_eq!(session.seen().await, Some(Seen::Text("slow".into())));
    }
}

#[tokio::test(start_paused = true)]
async fn timeout_of_unfinished_messages_can_be_set() {
    for patience in [Duration::from_secs(3), Duration::MAX] {
        let mut rig =
            EngineRig::memory(config().limits(|limits| limits.unfinished_timeout(patience)));
        let (client, mut session) = rig.open(Case::WEBSOCKET).await;
        let mut websocket = client.into_websocket();
        let start = Instant::now();
        websocket.write(&[0x81]).await;
        let reason = match patience {
            Duration::MAX => CloseReason::PingTimeout,
            _ => CloseReason::TransportError,
        };
        assert_eq!(session.closed().await, reason);
        assert!(start.elapsed() >= patience.min(Duration::from_secs(45)));
        drop(websocket);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_blamed_for_what_is_not_read() {
    let mut rig = EngineRig::memory(config());
    let (client, mut session) = rig.open(Case::WEBSOCKET).await;
    let mut websocket = client.into_websocket();
    let frame = WebSocket::encoded(OpCode::Text, b"4whole in the end");
    let (first, rest) = frame.split_at(7);
    websocket.write(first).await;
    sleep(Duration::from_secs(5)).await;
    session.set_ready(false);
    websocket.write(rest).await;
    sleep(Duration::from_secs(200)).await;
    assert!(session.is_quiet(), "nothing was read, nothing was closed");
    session.set_ready(true);
    let text = Seen::Text("whole in the end".into());
    assert_eq!(session.seen().await, Some(text));
}

/// What is unfinished on bare streams: a frame, and a line.
#[cfg(unix)]
#[tokio::test]
async fn frames_and_lines_of_bare_streams_are_given_up_too() {
    use sockeye_listen::ListenOptions;
    use sockeye_testkit::{SocketDir, StreamPeer};

    for (hello, begun, reason) in [
        (
            &b"\x010"[..],
            &b"\x0a4half"[..],
            CloseReason::TransportError,
        ),
        (b"{}\n", b"{\"event\":", CloseReason::ParseError),
    ] {
        let dir = SocketDir::new("unfinished");
        let mut rig = EngineRig::memory(config());
        let options = ListenOptions::default();
        let _listener = rig.engine.listen(&dir.url(), options).await.unwrap();
        let mut peer = StreamPeer::unix(&dir).await;
        peer.write(hello).await;
        let mut session = rig.session().await;
        tokio::time::pause();
        peer.write(begun).await;
        // By small steps: a timer that fires far too late excuses the peer.
        for _ in 0..60 {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            assert!(session.handle.is_open(), "{hello:?}");
            tokio::time::advance(PATIENCE / 60).await;
        }
        assert_eq!(session.closed().await, reason);
        tokio::time::resume();
    }
}

/// Lines know no heartbeat, so that nothing else would end it.
#[cfg(unix)]
#[tokio::test]
async fn line_that_grows_byte_by_byte_is_given_up() {
    use sockeye_listen::ListenOptions;
    use sockeye_testkit::{SocketDir, StreamPeer};

    let dir = SocketDir::new("dribbled");
    let mut rig = EngineRig::memory(config());
    let options = ListenOptions::default();
    let _listener = rig.engine.listen(&dir.url(), options).await.unwrap();
    let mut peer = StreamPeer::unix(&dir).await;
    peer.write(b"{}\n").await;
    let mut session = rig.session().await;
    tokio::time::pause();
    peer.write(&[b'x'; 1000]).await;
    // By small steps: a timer that fires far too late excuses the peer.
    for step in 0..60 {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(session.handle.is_open(), "{step}");
        if step % 20 == 10 {
            peer.write(b"x").await;
        }
        tokio::time::advance(PATIENCE / 60).await;
    }
    let start = Instant::now();
    assert_eq!(session.closed().await, CloseReason::ParseError);
    // The time for the last words is all that is left of it.
    assert!(start.elapsed() < Duration::from_secs(6));
}
