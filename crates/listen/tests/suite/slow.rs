//! Peers at the other end of a slow line, in memory and in virtual time.

use std::time::Duration;

use sockeye_engine::{CloseReason, Message, SendOptions};
use sockeye_engine_proto::Packet;
use sockeye_listen::EngineConfig;
use sockeye_testkit::{Case, EngineRig, Frame, Seen, Session, WebSocket};
use sockeye_websocket::OpCode;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

const CASES: [Case; 2] = [Case::WEBSOCKET, Case::WEBSOCKET_V3];

/// How many bytes a second the line takes.
const RATE: usize = 100_000;

fn config() -> EngineConfig {
    EngineConfig::default()
}

/// As long as the line takes for so many bytes.
async fn transmit(bytes: usize) {
    sleep(Duration::from_secs_f64(bytes as f64 / RATE as f64)).await;
}

/// Sends messages of 64 KiB as fast as there is room for them.
fn send_much(session: &Session, count: usize) -> JoinHandle<()> {
    let handle = session.handle.clone();
    tokio::spawn(async move {
        let message = [Message::binary(vec![7; 65_536])];
        for _ in 0..count {
            handle.ready().await.expect("an open session");
            let sent = handle.send(&message, SendOptions::default());
            sent.expect("room");
        }
    })
}

#[tokio::test(start_paused = true)]
async fn two_hundred_large_messages_arrive_over_a_slow_line() {
    const MESSAGES: usize = 200;
    for case in CASES {
        let mut rig = EngineRig::memory(config());
        let (mut client, mut session) = rig.open(case).await;
        let sending = send_much(&session, MESSAGES);
        let (mut got, mut beats, mut asked) = (0, 0, Instant::now());
        while got < MESSAGES {
            if case.is_v3() && asked.elapsed() > Duration::from_secs(25) {
                asked = Instant::now();
                client.send(&[Packet::PING]).await;
            }
            match client.next().await.expect("an open session") {
                Packet::Message(_) => got += 1,
                Packet::Ping(_) => client.send(&[Packet::PONG]).await,
                Packet::Pong(_) => {}
                other => panic!("{other:?}"),
            }
            transmit(65_536).await;
            beats += 1;
        }
        sending.await.unwrap();
        // It takes more than two minutes, in which the heartbeat went on.
        assert!(beats >= MESSAGES + 4, "{} heartbeats", beats - MESSAGES);
        assert!(session.is_quiet() && session.handle.is_open());
    }
}

/// A peer that takes everything but is too busy to answer is there.
#[tokio::test(start_paused = true)]
async fn bytes_that_a_peer_makes_room_for_are_life() {
    for case in CASES {
        let mut rig = EngineRig::memory(config());
        let (mut client, mut session) = rig.open(case).await;
        let sending = send_much(&session, 200);
        for _ in 0..200 {
            while !matches!(
                client.next().await.expect("an open session"),
                Packet::Message(_)
            ) {}
            transmit(65_536).await;
        }
        sending.await.unwrap();
        let start = Instant::now();
        assert_eq!(session.closed().await, CloseReason::PingTimeout);
        let silence = start.elapsed();
        assert!(silence < Duration::from_secs(46), "{silence:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_of_an_unfinished_message_are_life() {
    for case in CASES {
        let mut rig = EngineRig::memory(config());
        let (client, mut session) = rig.open(case).await;
        let mut websocket = client.into_websocket();
        let text = format!("4{}", "x".repeat(900_000));
        // At a tenth of the rate, which is a minute and a half without a heartbeat.
        for piece in WebSocket::encoded(OpCode::Text, text.as_bytes()).chunks(10_000) {
            websocket.write(piece).await;
            sleep(Duration::from_secs(1)).await;
        }
        let Some(Seen::Text(seen)) = session.seen().await else {
            panic!("it came too late");
        };
        assert_eq!(seen.len(), 900_000);
    }
}

/// The system's buffer takes bytes for a peer that has gone, too.
#[tokio::test(start_paused = true)]
async fn bytes_that_only_the_buffer_takes_are_no_life() {
    for case in CASES {
        let mut rig = EngineRig::memory(config());
        let (client, mut session) = rig.open(case).await;
        let start = Instant::now();
        let handle = session.handle.clone();
        tokio::spawn(async move {
            let message = [Message::text("news")];
            while handle.send(&message, SendOptions::default()).is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        });
        assert_eq!(session.closed().await, CloseReason::PingTimeout);
        let elapsed = start.elapsed();
        // The heartbeat, and the time for the last words.
        assert!(elapsed <= Duration::from_secs(25 + 20 + 6), "{elapsed:?}");
        drop(client);
    }
}

/// What is not read does not heap up, however much is asked.
#[tokio::test(start_paused = true)]
async fn of_a_flood_of_pings_the_newest_is_answered() {
    let mut rig = EngineRig::memory(config());
    let (client, session) = rig.open(Case::WEBSOCKET).await;
    let mut websocket = client.into_websocket();
    while session.handle.queued() == 0 {
        session.text(&"x".repeat(10_000));
        tokio::task::yield_now().await;
    }
    let waiting = session.handle.queued();
    for n in 0..50_000 {
        let ping = format!("{n:0125}");
        websocket.frame(OpCode::Ping, ping.as_bytes()).await;
        let queued = session.handle.queued();
        assert!(queued < waiting + 10_000, "{queued} bytes wait");
    }
    websocket.text("4after the flood").await;
    let mut pongs = Vec::new();
    loop {
        match websocket.next().await.expect("an open session") {
            Frame::Pong(payload) => pongs.push(payload),
            Frame::Text(text) if text == "4after the flood" => break,
            Frame::Text(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(pongs.len() < 100, "{} answers", pongs.len());
    assert_eq!(pongs.last().unwrap(), format!("{:0125}", 49_999).as_bytes());
}
