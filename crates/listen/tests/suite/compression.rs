//! Compression of messages on WebSockets and of answers to polls, as the server agrees on it.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use sockeye_engine::{Message, SendOptions, SessionHandle};
use sockeye_engine_proto::{Packet, Revision};
use sockeye_listen::EngineConfig;
use sockeye_testkit::{Case, Client, EngineRig, Frame, Seen, Session, WebSocket};
use sockeye_websocket::{DeflateConfig, OpCode};

const COMPRESS: SendOptions = SendOptions {
    volatile: false,
    compress: true,
    beyond_limit: false,
};

const AS_IT_IS: SendOptions = SendOptions {
    compress: false,
    ..COMPRESS
};

fn rig(deflate: Option<DeflateConfig>) -> EngineRig {
    EngineRig::memory(EngineConfig::default().per_message_deflate(deflate))
}

/// A session of a client that offers this.
async fn open(rig: &mut EngineRig, case: Case, offer: DeflateConfig) -> (WebSocket, Session) {
    let opened = WebSocket::connect_compressed(&rig.net, &case.query(), offer).await;
    let mut websocket = opened.unwrap();
    assert!(websocket.next_text().await.starts_with("0{"));
    (websocket, rig.session().await)
}

fn send(session: &SessionHandle, text: &str, options: SendOptions) {
    session.send(&[Message::text(text)], options).unwrap();
}

fn send_scratch(session: &SessionHandle, text: &str, options: SendOptions) {
    let mut buf = vec![0; sockeye_engine::HEADROOM];
    buf.extend_from_slice(text.as_bytes());
    session
        .send_scratch(&mut buf, sockeye_engine::HEADROOM, &[], options)
        .unwrap();
}

#[tokio::test]
async fn nothing_is_agreed_on_unless_both_ends_want_it() {
    let long = "a".repeat(2000);
    let (mut websocket, session) =
        open(&mut rig(None), Case::WEBSOCKET, DeflateConfig::default()).await;
    send(&session.handle, &long, COMPRESS);
    assert_eq!(websocket.next_text().await, format!("4{long}"));
    assert_eq!(websocket.inflated(), None);

    let mut rig = rig(Some(DeflateConfig::default()));
    let (mut client, session) = rig.open(Case::WEBSOCKET).await;
    send(&session.handle, &long, COMPRESS);
    assert_eq!(client.text().await, long);
    let frame = WebSocket::encoded(OpCode::Text, b"4text");
    let websocket = client.websocket();
    websocket
        .write(&[&[frame[0] | 0x40], &frame[1..]].concat())
        .await;
    assert_eq!(websocket.closed().await, Some(Some(1002)));
}

#[tokio::test]
async fn messages_are_compressed_that_are_long_enough_and_may_be() {
    for case in [Case::WEBSOCKET, Case::WEBSOCKET_V3] {
        let mut rig = rig(Some(DeflateConfig::default()));
        let (mut websocket, session) = open(&mut rig, case, DeflateConfig::default()).await;
        // With the type of the packet, 1023 bytes are 1024.
        for (len, options, compressed) in [
            (1022, COMPRESS, 0),
            (1023, COMPRESS, 1),
            (100_000, COMPRESS, 2),
            (100_000, AS_IT_IS, 2),
            (20, COMPRESS, 2),
            (5000, COMPRESS, 3),
        ] {
            let text = "a".repeat(len);
            for send in [send, send_scratch] {
                send(&session.handle, &text, options);
                assert_eq!(websocket.next_text().await, format!("4{text}"));
            }
            assert_eq!(websocket.inflated(), Some(2 * compressed), "{len}");
        }
    }
}

#[tokio::test]
async fn binary_messages_are_compressed_where_nothing_stands_before_them() {
    for (case, expected) in [(Case::WEBSOCKET, 1), (Case::WEBSOCKET_V3, 0)] {
        let mut rig = rig(Some(DeflateConfig::default()));
        let (mut websocket, session) = open(&mut rig, case, DeflateConfig::default()).await;
        let message = Message::binary(vec![7; 3000]);
        session.handle.send(&[message], COMPRESS).unwrap();
        let Some(Frame::Binary(data)) = websocket.next().await else {
            panic!("no binary message");
        };
        let packet = Packet::decode_binary(case.revision, &data).unwrap();
        assert_eq!(packet, Packet::binary(&[7; 3000][..]));
        assert_eq!(websocket.inflated(), Some(expected), "{:?}", case.revision);
        assert_eq!(
            data.len(),
            3000 + usize::from(case.revision == Revision::V3)
        );
    }
}

#[tokio::test]
async fn what_would_not_shrink_is_sent_as_it_is() {
    let mut rig = rig(Some(DeflateConfig::default().threshold(0)));
    let (mut websocket, session) = open(&mut rig, Case::WEBSOCKET, DeflateConfig::default()).await;
    for text in ["", "ab", "42[\"e\",1]"] {
        send(&session.handle, text, COMPRESS);
        assert_eq!(websocket.next_text().await, format!("4{text}"));
    }
    assert_eq!(websocket.inflated(), Some(0));
}

#[tokio::test]
async fn all_that_can_be_agreed_on_works_both_ways() {
    let config = DeflateConfig::default().threshold(0);
    for own in [false, true] {
        for peer in [false, true] {
            for (bits, peer_bits) in [(15, 15), (9, 15), (15, 9), (10, 10)] {
                let server = config.context_takeover(own).max_window_bits(bits);
                let client = config
                    .context_takeover(peer)
                    .max_peer_window_bits(peer_bits)
                    .max_window_bits(11);
                let mut rig = rig(Some(server));
                let (mut websocket, mut session) = open(&mut rig, Case::WEBSOCKET, client).await;
                for count in [30, 3000, 4, 30_000, 5, 300] {
                    let text = "some text, née 42".repeat(count);
                    let packet = format!("4{text}");
                    websocket.compressed(OpCode::Text, packet.as_bytes()).await;
                    assert_eq!(session.seen().await, Some(Seen::Text(text.clone())));
                    // The echo is not compressed.
                    assert_eq!(websocket.next_text().await, packet);
                    send(&session.handle, &text, COMPRESS);
                    assert_eq!(websocket.next_text().await, packet);
                    send_scratch(&session.handle, &text, COMPRESS);
                    assert_eq!(websocket.next_text().await, packet);
                }
                assert!(websocket.inflated().unwrap() >= 8);
            }
        }
    }
}

#[tokio::test]
async fn what_waits_for_an_upgrade_is_compressed_on_the_websocket() {
    let mut rig = rig(Some(DeflateConfig::default()));
    let (client, session) = rig.open(Case::POLLING).await;
    let query = format!("{}&sid={}", Case::WEBSOCKET.query(), client.sid());
    let opened = WebSocket::connect_compressed(&rig.net, &query, DeflateConfig::default()).await;
    let mut websocket = opened.unwrap();
    websocket.text("2probe").await;
    assert_eq!(websocket.next_text().await, "3probe");
    let long = "a".repeat(2000);
    send(&session.handle, &long, AS_IT_IS);
    send(&session.handle, &long, COMPRESS);
    websocket.text("5").await;
    for inflated in [0, 1] {
        assert_eq!(websocket.next_text().await, format!("4{long}"));
        assert_eq!(websocket.inflated(), Some(inflated));
    }
    send(&session.handle, &long, COMPRESS);
    assert_eq!(websocket.next_text().await, format!("4{long}"));
    assert_eq!(websocket.inflated(), Some(2));
}

#[tokio::test]
async fn bomb_ends_its_connection_and_no_other() {
    let mut rig = rig(Some(DeflateConfig::default()));
    let (mut websocket, _) = open(&mut rig, Case::WEBSOCKET, DeflateConfig::default()).await;
    let (mut other, _other) = open(&mut rig, Case::WEBSOCKET, DeflateConfig::default()).await;
    let bomb = vec![b'4'; 30_000_000];
    websocket.compressed(OpCode::Text, &bomb).await;
    assert_eq!(websocket.closed().await, Some(Some(1009)));
    other.compressed(OpCode::Text, &[b'4'; 5000]).await;
    assert_eq!(other.next_text().await.len(), 5000);
    // Exactly what may come out of one.
    other.compressed(OpCode::Text, &vec![b'4'; 1_000_000]).await;
    assert_eq!(other.next_text().await.len(), 1_000_000);
}

#[tokio::test]
async fn what_is_no_deflate_stream_ends_its_connection() {
    let mut rig = rig(Some(DeflateConfig::default()));
    for (payload, code) in [
        (&b"\xff\xff\xff"[..], 1007),
        (b"\x02\x06\x00\xff\xff", 1007),
    ] {
        let (mut websocket, _) = open(&mut rig, Case::WEBSOCKET, DeflateConfig::default()).await;
        let mut frame = WebSocket::encoded(OpCode::Text, payload);
        frame[0] |= 0x40;
        websocket.write(&frame).await;
        assert_eq!(websocket.closed().await, Some(Some(code)));
    }
}

/// The answer to the next poll of a client that takes these codings: its coding, and how long it is.
async fn poll(client: &Client, accept: &str) -> (Option<String>, usize) {
    let query = format!("{}&sid={}", Case::POLLING.query(), client.sid());
    let request = client
        .net()
        .to_get(&query)
        .header("accept-encoding", accept);
    let response = client.net().http().await.request(&request).await;
    assert_eq!(response.status, 200);
    let coding = response.header("content-encoding").map(str::to_owned);
    (coding, response.body.len())
}

#[tokio::test]
async fn answers_to_polls_are_compressed_that_are_long_enough_and_may_be() {
    let long = "a".repeat(2000);
    let mut rig = EngineRig::memory(EngineConfig::default());
    let (client, session) = rig.open(Case::POLLING).await;
    for (accept, options, expected) in [
        ("gzip, deflate", COMPRESS, Some("gzip")),
        ("deflate", COMPRESS, Some("deflate")),
        ("identity", COMPRESS, None),
        ("gzip", AS_IT_IS, None),
    ] {
        send(&session.handle, &long, options);
        let (coding, len) = poll(&client, accept).await;
        assert_eq!(coding.as_deref(), expected, "{accept}");
        match expected {
            Some(_) => assert!(len < 100, "{len}"),
            None => assert_eq!(len, 2001),
        }
    }
    // One message that may be is enough.
    send(&session.handle, &long, AS_IT_IS);
    send(&session.handle, "short", COMPRESS);
    assert_eq!(poll(&client, "gzip").await.0.as_deref(), Some("gzip"));
    send(&session.handle, "short", COMPRESS);
    assert_eq!(poll(&client, "gzip").await, (None, 6));
}

#[tokio::test]
async fn answers_to_polls_stay_as_they_are_if_that_is_wanted() {
    let mut rig = EngineRig::memory(EngineConfig::default().http_compression(None));
    let (client, session) = rig.open(Case::POLLING).await;
    send(&session.handle, &"a".repeat(2000), COMPRESS);
    assert_eq!(poll(&client, "gzip").await, (None, 2001));
}

#[tokio::test]
async fn what_clients_post_is_never_inflated() {
    let mut rig = EngineRig::memory(EngineConfig::default());
    let (client, mut session) = rig.open(Case::POLLING).await;
    let query = format!("{}&sid={}", Case::POLLING.query(), client.sid());
    let request = client
        .net()
        .to_get(&query)
        .method("POST")
        .header("content-encoding", "gzip")
        .body("4as it is");
    let response = client.net().http().await.request(&request).await;
    assert_eq!(response.status, 200);
    assert_eq!(session.seen().await, Some(Seen::Text("as it is".into())));
}
