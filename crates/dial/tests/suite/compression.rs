//! Compression of native streams and of WebSockets, as the client agrees on it.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use sockeye_dial::ConnectorConfig;
use sockeye_engine::{CloseReason, Message, SendOptions, TransportKind};
use sockeye_engine_proto::WireKind;
use sockeye_engine_proto::frame::compressed::{Compressor, Decoded, Decompressor, decode};
use sockeye_engine_proto::frame::{Frame, encode_frame};
use sockeye_listen::EngineConfig;
use sockeye_testkit::Seen;
use sockeye_websocket::DeflateConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::rig::{Peer, accept, connector, raw, serve, within};

const OFFER: &str = r#"0{"compress":["deflate"]}"#;

const COMPRESS: SendOptions = SendOptions {
    volatile: false,
    compress: true,
    beyond_limit: false,
};

fn offering() -> ConnectorConfig {
    ConnectorConfig::default().stream_compression(Some(1024))
}

/// The next frame as text, and whether it was compressed.
async fn next(stream: &mut TcpStream) -> (String, bool) {
    let mut read = Vec::new();
    loop {
        match decode(&read, 1 << 20).unwrap() {
            Decoded::Frame {
                frame: Frame::Text(text),
                used,
            } if used == read.len() => return (text.to_owned(), false),
            Decoded::Compressed { data, used, .. } if used == read.len() => {
                let text = Decompressor::new().decompress_text(data, 1 << 20);
                return (text.unwrap(), true);
            }
            Decoded::NeedMore { .. } => {}
            other => panic!("{other:?}"),
        }
        read.push(within(stream.read_u8()).await.unwrap());
    }
}

/// A client that offers compression, and its server's end, which takes it or not.
async fn opened(taken: &str) -> (Peer, TcpStream) {
    let (listener, authority) = raw().await;
    let url = format!("tcp://{authority}");
    let connector = connector(offering());
    let (peer, stream) = tokio::join!(within(Peer::open(&connector, &url)), async {
        let mut stream = accept(&listener).await;
        assert_eq!(next(&mut stream).await, (OFFER.to_owned(), false));
        let open = format!(
            r#"0{{"sid":"abc","upgrades":[],"pingInterval":25000,"pingTimeout":20000{taken}}}"#
        );
        let mut frame = Vec::new();
        encode_frame(&mut frame, WireKind::Text, open.as_bytes());
        stream.write_all(&frame).await.unwrap();
        stream
    });
    (peer.unwrap(), stream)
}

fn compressed(text: &str) -> Vec<u8> {
    let mut frame = Vec::new();
    assert!(Compressor::new().encode_frame(&mut frame, WireKind::Text, text.as_bytes()));
    frame
}

#[tokio::test]
async fn what_is_taken_is_used_both_ways() {
    let (mut peer, mut stream) = opened(r#","compress":["deflate"]"#).await;
    let long = "a".repeat(2000);
    let session = &peer.opened.session;
    session.send(&[Message::text(&long)], COMPRESS).unwrap();
    assert_eq!(next(&mut stream).await, (format!("4{long}"), true));
    session.send(&[Message::text("short")], COMPRESS).unwrap();
    assert_eq!(next(&mut stream).await, ("4short".to_owned(), false));
    peer.text(&long);
    assert_eq!(next(&mut stream).await, (format!("4{long}"), false));
    let frame = compressed(&format!("4{long}"));
    stream.write_all(&frame).await.unwrap();
    assert_eq!(peer.seen().await, Seen::Text(long));
}

#[tokio::test]
async fn what_is_not_taken_is_not_used() {
    let (peer, mut stream) = opened("").await;
    let long = "a".repeat(2000);
    let session = &peer.opened.session;
    session.send(&[Message::text(&long)], COMPRESS).unwrap();
    assert_eq!(next(&mut stream).await, (format!("4{long}"), false));
    stream
        .write_all(&compressed(&format!("4{long}")))
        .await
        .unwrap();
    assert_eq!(peer.ended().await.reason, CloseReason::TransportError);
}

#[tokio::test]
async fn own_server_takes_it() {
    let (mut rig, url) = serve(EngineConfig::default(), "tcp://127.0.0.1:0").await;
    let peer = within(Peer::open(&connector(offering()), &url)).await;
    let mut peer = peer.unwrap();
    let mut server = rig.session().await;
    for count in [10, 1000, 10_000, 100_000] {
        let text = "né ".repeat(count);
        let batch = [Message::text(&text), Message::binary(vec![7; count])];
        peer.opened.session.send(&batch, COMPRESS).unwrap();
        assert_eq!(server.seen().await, Some(Seen::Text(text.clone())));
        assert_eq!(server.seen().await, Some(Seen::Binary(vec![7; count])));
        server.handle.send(&batch, COMPRESS).unwrap();
        // The rig echoes what it gets.
        for _ in 0..2 {
            assert_eq!(peer.seen().await, Seen::Text(text.clone()));
            assert_eq!(peer.seen().await, Seen::Binary(vec![7; count]));
        }
    }
}

#[tokio::test]
async fn own_server_agrees_on_websockets() {
    let deflate = || DeflateConfig::default().threshold(100);
    for (own, servers) in [
        (None, Some(deflate())),
        (Some(deflate()), None),
        (Some(deflate()), Some(deflate())),
        (Some(deflate().context_takeover(true)), Some(deflate())),
        (Some(deflate()), Some(deflate().context_takeover(true))),
        (
            Some(deflate().context_takeover(true).max_window_bits(9)),
            Some(deflate().context_takeover(true)),
        ),
    ] {
        for transports in [
            &[TransportKind::WebSocket][..],
            &[TransportKind::Polling, TransportKind::WebSocket],
        ] {
            let config = EngineConfig::default().per_message_deflate(servers);
            let (mut rig, url) = serve(config, "http://127.0.0.1:0").await;
            let config = ConnectorConfig::default()
                .path("/engine.io")
                .transports(transports.iter().copied())
                .per_message_deflate(own);
            let peer = within(Peer::open(&connector(config), &url)).await;
            let mut peer = peer.unwrap();
            let mut server = rig.session().await;
            for count in [10, 1000, 20, 10_000, 100_000, 3] {
                let text = "né ".repeat(count);
                let batch = [Message::text(&text), Message::binary(vec![7; count])];
                peer.opened.session.send(&batch, COMPRESS).unwrap();
                assert_eq!(server.seen().await, Some(Seen::Text(text.clone())));
                assert_eq!(server.seen().await, Some(Seen::Binary(vec![7; count])));
                server.handle.send(&batch, COMPRESS).unwrap();
                // The rig echoes what it gets.
                for _ in 0..2 {
                    assert_eq!(peer.seen().await, Seen::Text(text.clone()));
                    assert_eq!(peer.seen().await, Seen::Binary(vec![7; count]));
                }
            }
        }
    }
}
