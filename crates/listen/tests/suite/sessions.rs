//! What every session does, over each transport and revision.

use std::time::Duration;

use sockeye_engine::{CloseReason, Message, SendError, SendOptions, TransportKind};
use sockeye_engine_proto::{Message as Content, Packet};
use sockeye_listen::EngineConfig;
use sockeye_testkit::{Case, EngineRig, Frame, Seen};

/// Runs each behaviour over transport and revision.
macro_rules! cases {
    ($($(#[$attribute:meta])* $name:ident)*) => {$(
        $(#[$attribute])*
        mod $name {
            use sockeye_testkit::Case;

            #[tokio::test]
            async fn polling_v4() {
                super::$name(Case::POLLING).await;
            }

            #[tokio::test]
            async fn websocket_v4() {
                super::$name(Case::WEBSOCKET).await;
            }

            #[tokio::test]
            async fn polling_v3() {
                super::$name(Case::POLLING_V3).await;
            }

            #[tokio::test]
            async fn websocket_v3() {
                super::$name(Case::WEBSOCKET_V3).await;
            }
        }
    )*};
}

cases! {
    open_packet_announces_the_configuration
    text_comes_back
    binary_comes_back
    order_is_kept_in_both_directions
    large_messages_come_back
    close_packet_of_the_client_ends_the_session
    closing_the_session_flushes_what_waits
    aborting_the_session_drops_what_waits
    undecodable_packet_is_a_parse_error
    heartbeat_in_the_wrong_direction_is_a_transport_error
    sending_to_a_closed_session_is_refused
    handshake_keeps_the_request
}

fn config() -> EngineConfig {
    EngineConfig::default()
}

async fn open_packet_announces_the_configuration(case: Case) {
    let config = config()
        .session(|session| {
            session
                .ping_interval(Duration::from_millis(12_345))
                .ping_timeout(Duration::from_millis(6_789))
        })
        .limits(|limits| limits.max_payload(4321));
    let mut rig = EngineRig::tcp(config).await;
    let (client, session) = rig.open(case).await;
    let open = client.open_packet();
    assert_eq!(open.sid, session.handle.id().as_str());
    assert_eq!(open.sid.len(), 20);
    assert_eq!(open.ping_interval, Duration::from_millis(12_345));
    assert_eq!(open.ping_timeout, Duration::from_millis(6_789));
    assert_eq!(open.max_payload, Some(4321));
    let upgrades: &[TransportKind] = match case.is_polling() {
        true => &[TransportKind::WebSocket],
        false => &[],
    };
    assert_eq!(open.upgrades, upgrades);
    assert_eq!(session.handle.revision(), case.revision);
    assert_eq!(session.handle.transport(), case.transport);
    assert_eq!(rig.engine.session_count(), 1);
}

async fn text_comes_back(case: Case) {
    let mut rig = EngineRig::tcp(config()).await;
    let (mut client, mut session) = rig.open(case).await;
    for text in ["hello", "", "né € 😀", "line\nbreak \\n \u{2028}"] {
        client.send_text(text).await;
        assert_eq!(client.text().await, text);
        assert_eq!(session.seen().await, Some(Seen::Text(text.into())));
    }
}

async fn binary_comes_back(case: Case) {
    let mut rig = EngineRig::tcp(config()).await;
    let (mut client, mut session) = rig.open(case).await;
    for data in [&b"\x00\x01\xff"[..], b"", b"4text"] {
        client.send_binary(data).await;
        assert_eq!(client.message().await, Some(Content::Binary(data.into())));
        assert_eq!(session.seen().await, Some(Seen::Binary(data.into())));
    }
}

async fn order_is_kept_in_both_directions(case: Case) {
    let mut rig = EngineRig::tcp(config()).await;
    let (mut client, mut session) = rig.open(case).await;
    let texts: Vec<_> = (0..300).map(|n| n.to_string()).collect();
    let packets: Vec<_> = texts
        .iter()
        .map(|text| Packet::text(text.as_str()))
        .collect();
    client.send(&packets[..100]).await;
    client.send(&packets[100..]).await;
    for text in &texts {
        assert_eq!(session.seen().await, Some(Seen::Text(text.clone())));
        assert_eq!(client.text().await, *text);
    }
}

async fn large_messages_come_back(case: Case) {
    let mut rig = EngineRig::tcp(config()).await;
    let (mut client, _session) = rig.open(case).await;
    let text = "0123456789abcdef".repeat(30_000);
    client
        .send(&[
            Packet::text("first"),
            Packet::text(text.as_str()),
            Packet::text("last"),
        ])
        .await;
    assert_eq!(client.text().await, "first");
    assert!(client.text().await == text);
    assert_eq!(client.text().await, "last");
    let data: Vec<_> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    client.send_binary(&data).await;
    assert!(client.message().await == Some(Content::Binary(data.into())));
}

async fn close_packet_of_the_client_ends_the_session(case: Case) {
    let mut rig = EngineRig::tcp(config()).await;
    let (mut client, mut session) = rig.open(case).await;
    client
        .send(&[Packet::text("last words"), Packet::Close])
        .await;
    assert_eq!(session.seen().await, Some(Seen::Text("last words".into())));
    client.hung_up().await;
    rig.net
        .until("no session", || rig.engine.session_count() == 0)
        .await;
    assert_eq!(session.closed().await, CloseReason::TransportClose);
}

async fn closing_the_session_flushes_what_waits(case: Case) {
    let mut rig = EngineRig::tcp(config()).await;
    let (mut client, mut session) = rig.open(case).await;
    session.text("one");
    session.text("two");
    session.handle.close();
    assert_eq!(client.text().await, "one");
    assert_eq!(client.text().await, "two");
    assert_eq!(client.message().await, None);
    client.hung_up().await;
    assert_eq!(session.closed().await, CloseReason::ForcedClose);
}

async fn aborting_the_session_drops_what_waits(case: Case) {
    let mut rig = EngineRig::tcp(config()).await;
    let (mut client, mut session) = rig.open(case).await;
    session
        .handle
        .abort(CloseReason::TransportError, "by the test");
    match case.is_polling() {
        true => assert_eq!(client.get().await.status, 400),
        false => assert_eq!(client.websocket().closed().await, Some(None)),
    }
    assert_eq!(session.closed().await, CloseReason::TransportError);
}

async fn undecodable_packet_is_a_parse_error(case: Case) {
    let mut rig = EngineRig::tcp(config()).await;
    let (mut client, mut session) = rig.open(case).await;
    if case.is_polling() {
        let body = if case.is_v3() { "1:x" } else { "x" };
        assert_eq!(client.post(body).await.brief(), (400, ""));
    } else {
        client.websocket().text("x").await;
        client.websocket().closed().await;
    }
    assert_eq!(session.closed().await, CloseReason::ParseError);
    assert_eq!(client.get().await.status, 400);
}

async fn heartbeat_in_the_wrong_direction_is_a_transport_error(case: Case) {
    let mut rig = EngineRig::tcp(config()).await;
    let (mut client, mut session) = rig.open(case).await;
    let packet = if case.is_v3() {
        Packet::PONG
    } else {
        Packet::PING
    };
    client.send(&[packet]).await;
    client.hung_up().await;
    assert_eq!(session.closed().await, CloseReason::TransportError);
}

async fn sending_to_a_closed_session_is_refused(case: Case) {
    let mut rig = EngineRig::tcp(config()).await;
    let (mut client, mut session) = rig.open(case).await;
    session
        .handle
        .abort(CloseReason::ForcedClose, "by the test");
    client.hung_up().await;
    session.closed().await;
    let message = [Message::text("late")];
    let refused = session.handle.send(&message, SendOptions::default());
    assert_eq!(refused, Err(SendError::Closed));
    assert_eq!(session.handle.ready().await, Err(SendError::Closed));
}

async fn handshake_keeps_the_request(case: Case) {
    let mut rig = EngineRig::tcp(config()).await;
    let client = sockeye_testkit::Client::open_with(&rig.net, case, "&token=a%20b&token=c").await;
    let session = rig.session().await;
    let handshake = &session.handshake;
    assert_eq!(handshake.query_value("token").as_deref(), Some("c"));
    assert_eq!(handshake.header("Host"), Some("test"));
    assert_eq!(
        handshake.url(),
        format!("/engine.io/?{}&token=a%20b&token=c", case.query())
    );
    assert!(
        handshake
            .remote_addr()
            .is_some_and(|address| address.ip().is_loopback())
    );
    assert!(!handshake.is_secure());
    drop(client);
}

/// A session on long-polling only ends when its requests or its heartbeats do, so these are about
/// WebSockets.
mod websocket {
    use super::*;

    #[tokio::test]
    async fn end_of_the_stream_is_a_transport_close() {
        let mut rig = EngineRig::tcp(config()).await;
        let (client, mut session) = rig.open(Case::WEBSOCKET).await;
        drop(client);
        assert_eq!(session.closed().await, CloseReason::TransportClose);
    }

    #[tokio::test]
    async fn close_frame_is_echoed_with_its_code() {
        let mut rig = EngineRig::tcp(config()).await;
        let (mut client, mut session) = rig.open(Case::WEBSOCKET).await;
        client.websocket().close(Some(4001)).await;
        assert_eq!(client.websocket().closed().await, Some(Some(4001)));
        assert_eq!(session.closed().await, CloseReason::TransportClose);
    }

    #[tokio::test]
    async fn message_beyond_the_limit_is_refused_with_1009() {
        let mut rig = EngineRig::tcp(config().limits(|limits| limits.max_payload(1000))).await;
        let (mut client, mut session) = rig.open(Case::WEBSOCKET).await;
        client.send_text(&"x".repeat(999)).await;
        assert_eq!(client.text().await.len(), 999);
        client.send_text(&"x".repeat(1000)).await;
        assert_eq!(client.websocket().closed().await, Some(Some(1009)));
        assert!(matches!(session.seen().await, Some(Seen::Text(_))));
        assert_eq!(session.closed().await, CloseReason::TransportError);
    }

    #[tokio::test]
    async fn unmasked_frame_is_refused_with_1002() {
        let mut rig = EngineRig::tcp(config()).await;
        let (mut client, mut session) = rig.open(Case::WEBSOCKET).await;
        client.websocket().write(b"\x81\x024x").await;
        assert_eq!(client.websocket().closed().await, Some(Some(1002)));
        assert_eq!(session.closed().await, CloseReason::TransportError);
    }

    #[tokio::test]
    async fn ping_frame_is_answered_with_its_payload() {
        let mut rig = EngineRig::tcp(config()).await;
        let (mut client, _session) = rig.open(Case::WEBSOCKET).await;
        let websocket = client.websocket();
        websocket
            .frame(sockeye_websocket::OpCode::Ping, b"are you there")
            .await;
        assert_eq!(
            websocket.next().await,
            Some(Frame::Pong(b"are you there".to_vec()))
        );
    }

    #[tokio::test]
    async fn frames_behind_the_handshake_are_read() {
        let mut rig = EngineRig::tcp(config()).await;
        let net = rig.net.clone();
        // Handshake and first message in one write, as an impatient client may do.
        let request = net
            .to_get(&Case::WEBSOCKET.query())
            .header("upgrade", "websocket")
            .header("connection", "upgrade")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        let mut bytes = request.to_bytes();
        let frame = sockeye_testkit::WebSocket::encoded(sockeye_websocket::OpCode::Text, b"4early");
        bytes.extend_from_slice(&frame);
        let mut http = net.http().await;
        http.write(&bytes).await;
        assert_eq!(http.response().await.map(|answer| answer.status), Some(101));
        let mut session = rig.session().await;
        assert_eq!(session.seen().await, Some(Seen::Text("early".into())));
    }

    #[tokio::test]
    async fn base64_is_sent_to_a_client_that_asks_for_it() {
        let mut rig = EngineRig::tcp(config()).await;
        for (case, expected) in [(Case::WEBSOCKET, "bCgs="), (Case::WEBSOCKET_V3, "b4Cgs=")] {
            let mut client = sockeye_testkit::Client::open_with(&rig.net, case, "&b64=1").await;
            let _session = rig.session().await;
            client.send_binary(b"\x0a\x0b").await;
            assert_eq!(client.websocket().next_text().await, expected);
        }
    }

    #[tokio::test]
    async fn fragmented_message_arrives_whole() {
        use sockeye_websocket::OpCode;
        let mut rig = EngineRig::tcp(config()).await;
        let (mut client, mut session) = rig.open(Case::WEBSOCKET).await;
        let websocket = client.websocket();
        let mut first = sockeye_testkit::WebSocket::encoded(OpCode::Text, b"4one ");
        first[0] &= 0x7f;
        websocket.write(&first).await;
        websocket.frame(OpCode::Ping, b"").await;
        assert_eq!(websocket.next().await, Some(Frame::Pong(Vec::new())));
        websocket.frame(OpCode::Continuation, b"two").await;
        assert_eq!(session.seen().await, Some(Seen::Text("one two".into())));
    }
}
