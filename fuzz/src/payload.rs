//! What must hold for every body of a polling request.

use sockeye_engine_proto::payload::{Encoder, PayloadDialect, decode};
use sockeye_engine_proto::{Limits, Packet, Revision, WireKind};

/// Decodes `body`; what could be read must survive another way there and back.
pub fn check(revision: Revision, content: WireKind, body: &[u8]) {
    let limits = Limits::default().max_packets_per_payload(64);
    // A peer's text may be taken for doubly encoded. That is for the first reading only.
    for dialect in [
        PayloadDialect::new(revision),
        PayloadDialect::new(revision).trust_text(),
    ] {
        let Some(packets) = read(content, body, &limits, dialect) else {
            continue;
        };
        assert!(packets.len() <= 64);
        if packets.is_empty() {
            continue;
        }
        let once = PayloadDialect::new(revision).trust_text();
        let twice = PayloadDialect::from_query(revision, Some("1412000000000-0"), None);
        for (dialect, base64) in [
            (&once, false),
            (&once, true),
            (&twice, false),
            (&twice, true),
        ] {
            let dialect = match base64 {
                false => dialect.clone(),
                true => dialect.clone().force_base64(),
            };
            let mut encoder = Encoder::new(&dialect, usize::MAX);
            for packet in &packets {
                assert!(encoder.push(packet), "there is room");
            }
            let encoded = encoder.finish();
            assert!(!base64 || encoded.content == WireKind::Text);
            let limits = Limits::default().max_payload(usize::MAX);
            let again = read(encoded.content, &encoded.body, &limits, dialect);
            assert_eq!(again.as_ref(), Some(&packets));
        }
        in_portions(&packets, &PayloadDialect::new(revision), body.len() / 2);
    }
}

/// All packets, or none if there is an error among them.
fn read(
    content: WireKind,
    body: &[u8],
    limits: &Limits,
    mut dialect: PayloadDialect,
) -> Option<Vec<Packet<'static>>> {
    decode(content, body, limits, &mut dialect)
        .map(|packet| packet.ok().map(Packet::into_owned))
        .collect()
}

/// A payload of several packets keeps to its size, and none is lost between two of them.
fn in_portions(packets: &[Packet<'_>], dialect: &PayloadDialect, max: usize) {
    let mut left = packets;
    while !left.is_empty() {
        let mut encoder = Encoder::new(dialect, max);
        let taken = left
            .iter()
            .take_while(|packet| encoder.push(packet))
            .count();
        assert!(taken > 0, "the first packet is always taken");
        assert_eq!(taken, encoder.len());
        let body = encoder.finish().body;
        assert!(taken == 1 || body.len() <= max, "{} > {max}", body.len());
        left = &left[taken..];
    }
}
