//! One Engine.IO packet, as text and as bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sockeye_engine_proto::{OpenPacket, OpenRequest, Packet, Revision, WireKind};

fuzz_target!(|data: &[u8]| {
    for revision in [Revision::V3, Revision::V4] {
        if let Ok(packet) = Packet::decode_binary(revision, data) {
            survives(revision, &packet);
        }
        let Ok(text) = std::str::from_utf8(data) else {
            continue;
        };
        if let Ok(packet) = Packet::decode_text(revision, text) {
            survives(revision, &packet);
            if let Packet::Open(json) = &packet {
                open_packet(json);
            }
        }
    }
});

/// What was read can be written in both forms, and means the same then.
fn survives(revision: Revision, packet: &Packet<'_>) {
    let mut out = Vec::new();
    packet.encode_text(revision, &mut out);
    let text = std::str::from_utf8(&out).expect("the text form is text");
    assert_eq!(Packet::decode_text(revision, text).as_ref(), Ok(packet));
    if let Some(control) = packet.control_text() {
        assert_eq!(control, text);
    }

    let mut out = Vec::new();
    let again = match packet.encode(revision, &mut out) {
        WireKind::Binary => Packet::decode_binary(revision, &out),
        WireKind::Text => {
            Packet::decode_text(revision, std::str::from_utf8(&out).expect("text is text"))
        }
    };
    assert_eq!(again.as_ref(), Ok(packet));
}

fn open_packet(json: &str) {
    if let Ok(open) = OpenPacket::from_json(json) {
        let again = OpenPacket::from_json(&open.to_json()).expect("our own packet is in order");
        assert_eq!(again.to_json(), open.to_json());
    }
    if let Ok(request) = OpenRequest::from_data(json) {
        let again = OpenRequest::from_data(&request.to_data()).expect("our own data is in order");
        assert_eq!(again.to_data(), request.to_data());
    }
}
