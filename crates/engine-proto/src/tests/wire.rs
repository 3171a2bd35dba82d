//! Round trips, and decoders against arbitrary bytes.

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::{collection, proptest};

use crate::frame::{self, Decoded, Frame};
use crate::payload::{self, Encoder, PayloadDialect};
use crate::{Limits, OpenPacket, OpenRequest, Packet, Revision, WireKind};

fn revision() -> impl Strategy<Value = Revision> {
    prop_oneof![Just(Revision::V3), Just(Revision::V4)]
}

/// Text as JSON would have it: anything but control characters.
fn text() -> impl Strategy<Value = String> {
    "\\PC{0,40}"
}

fn packet() -> impl Strategy<Value = Packet<'static>> {
    prop_oneof![
        text().prop_map(Packet::text),
        collection::vec(any::<u8>(), 0..300).prop_map(Packet::binary),
        text().prop_map(|json| Packet::Open(json.into())),
        text().prop_map(|data| Packet::Ping(data.into())),
        text().prop_map(|data| Packet::Pong(data.into())),
        Just(Packet::Close),
        Just(Packet::Upgrade),
        Just(Packet::Noop),
    ]
}

fn decode_packet(revision: Revision, kind: WireKind, bytes: &[u8]) -> Packet<'_> {
    match kind {
        WireKind::Text => {
            Packet::decode_text(revision, std::str::from_utf8(bytes).unwrap()).unwrap()
        }
        WireKind::Binary => Packet::decode_binary(revision, bytes).unwrap(),
    }
}

proptest! {
    #[test]
    fn packets_round_trip(revision in revision(), packet in packet()) {
        let mut native = Vec::new();
        let kind = packet.encode(revision, &mut native);
        assert_eq!(decode_packet(revision, kind, &native), packet);
        let mut text = Vec::new();
        packet.encode_text(revision, &mut text);
        assert_eq!(decode_packet(revision, WireKind::Text, &text), packet);
    }

    #[test]
    fn payloads_round_trip(
        revision in revision(),
        t in prop_oneof![Just(None), Just(Some("1412000000000-0"))],
        b64 in prop_oneof![Just(None), Just(Some("1"))],
        packets in collection::vec(packet(), 1..12),
    ) {
        let dialect = PayloadDialect::from_query(revision, t, b64);
        let mut encoder = Encoder::new(&dialect, usize::MAX);
        for packet in &packets {
            assert!(encoder.push(packet));
        }
        let encoded = encoder.finish();
        let mut reader = match t {
            None => PayloadDialect::new(revision).trust_text(),
            // It takes text for encoded twice, and it has to be.
            Some(_) => dialect,
        };
        let decoded: Result<Vec<_>, _> =
            payload::decode(encoded.content, &encoded.body, &Limits::default(), &mut reader)
                .collect();
        assert_eq!(decoded.unwrap(), packets);
    }

    #[test]
    fn payloads_keep_to_their_size(
        revision in revision(),
        t in prop_oneof![Just(None), Just(Some("1412000000000-0"))],
        max in 0usize..400,
        packets in collection::vec(packet(), 1..12),
    ) {
        let mut encoder = Encoder::new(&PayloadDialect::from_query(revision, t, None), max);
        let taken = packets.iter().take_while(|packet| encoder.push(packet)).count();
        assert_eq!(encoder.len(), taken);
        assert!(taken >= 1);
        let encoded = encoder.finish();
        assert!(taken == 1 || encoded.body.len() <= max);
    }

    #[test]
    fn text_of_every_dialect_is_understood(
        text in "[a-z]{0,3}[é-ÿ€😀]{1,5}[a-z]{0,3}",
    ) {
        // What a client of Socket.IO 1.1 to 1.7 makes of it: every UTF-8 byte becomes a character.
        let doubled: String = format!("4{text}").bytes().map(char::from).collect();
        let body = format!("{}:{doubled}", doubled.chars().count());
        let mut dialect = PayloadDialect::new(Revision::V3);
        let mut packets =
            payload::decode(WireKind::Text, body.as_bytes(), &Limits::default(), &mut dialect);
        assert_eq!(packets.next(), Some(Ok(Packet::text(text))));
    }

    #[test]
    fn any_split_of_stream_frames_yields_the_same_frames(
        packets in collection::vec(packet(), 1..12),
        cuts in collection::vec(1usize..20, 1..40),
    ) {
        let mut stream = Vec::new();
        for packet in &packets {
            let mut bytes = Vec::new();
            let mut kind = packet.encode(Revision::V4, &mut bytes);
            if bytes.is_empty() {
                packet.encode_text(Revision::V4, &mut bytes);
                kind = WireKind::Text;
            }
            frame::encode_frame(&mut stream, kind, &bytes);
        }
        let mut buffer = Vec::new();
        let mut decoded = Vec::new();
        let mut rest = &stream[..];
        let mut cuts = cuts.into_iter().cycle();
        while !rest.is_empty() {
            let cut = cuts.next().unwrap_or(1).min(rest.len());
            buffer.extend_from_slice(&rest[..cut]);
            rest = &rest[cut..];
            loop {
                match frame::decode(&buffer, 1 << 20).unwrap() {
                    Decoded::Frame { frame, used } => {
                        decoded.push(frame.packet().unwrap().into_owned());
                        buffer.drain(..used);
                    }
                    Decoded::NeedMore { total } => {
                        assert!(total > buffer.len());
                        break;
                    }
                }
            }
        }
        assert!(buffer.is_empty());
        assert_eq!(decoded, packets);
    }

    #[test]
    fn arbitrary_bytes_never_panic_the_frame_decoder(bytes: Vec<u8>, max in 0usize..300) {
        if let Ok(Decoded::Frame { frame, used }) = frame::decode(&bytes, max) {
            assert!(used <= bytes.len());
            let _ = frame.packet();
            let len = match frame {
                Frame::Text(text) => text.len(),
                Frame::Binary(data) => data.len(),
            };
            assert!((1..=max).contains(&len));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic_the_packet_decoders(revision in revision(), bytes: Vec<u8>) {
        let _ = Packet::decode_binary(revision, &bytes);
        let _ = Packet::decode_text(revision, &String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn arbitrary_bytes_never_panic_the_payload_decoder(
        revision in revision(),
        bytes: Vec<u8>,
        binary: bool,
    ) {
        let content = if binary { WireKind::Binary } else { WireKind::Text };
        let limits = Limits::default().max_packets_per_payload(10);
        let mut dialect = PayloadDialect::new(revision);
        let results: Vec<_> =
            payload::decode(content, &bytes, &limits, &mut dialect).take(20).collect();
        assert!(results.len() <= 11);
        assert!(results.iter().rev().skip(1).all(Result::is_ok), "an error is the end");
    }

    #[test]
    fn almost_valid_payloads_never_panic_the_decoder(body in "[0-9:4b\\x1eé😀Ã©=]{0,40}") {
        for revision in [Revision::V3, Revision::V4] {
            let mut dialect = PayloadDialect::new(revision);
            payload::decode(WireKind::Text, body.as_bytes(), &Limits::default(), &mut dialect)
                .for_each(drop);
        }
    }

    #[test]
    fn almost_valid_binary_payloads_never_panic_the_decoder(
        body in collection::vec(prop_oneof![0u8..10, Just(0xff), Just(b'4'), Just(b'b')], 0..40),
    ) {
        let mut dialect = PayloadDialect::new(Revision::V3);
        payload::decode(WireKind::Binary, &body, &Limits::default(), &mut dialect).for_each(drop);
    }

    #[test]
    fn arbitrary_text_never_panics_the_open_packet(text: String) {
        let _ = OpenPacket::from_json(&text);
        let _ = OpenRequest::from_data(&text);
    }
}
