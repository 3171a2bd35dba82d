//! Frames between peers that have agreed on compression, cut anywhere.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sockeye_engine_proto::WireKind;
use sockeye_engine_proto::frame::compressed::{Compressor, Decoded, Decompressor, decode};
use sockeye_engine_proto::frame::{self, FrameError};

const MAX_PAYLOAD: usize = 1000;

fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    let (mut compressor, mut decompressor) = (Compressor::new(), Decompressor::new());
    loop {
        let outcome = decode(rest, MAX_PAYLOAD);
        in_pieces(rest, &outcome);
        match outcome {
            Ok(Decoded::Frame { frame, used }) => {
                // Without a marker it is what it is to everybody.
                let plain = frame::decode(rest, MAX_PAYLOAD);
                assert_eq!(plain, Ok(frame::Decoded::Frame { frame, used }));
                rest = &rest[used..];
            }
            Ok(Decoded::Compressed { kind, data, used }) => {
                let Ok(payload) = decompressor.decompress(data, MAX_PAYLOAD) else {
                    break;
                };
                assert!((1..=MAX_PAYLOAD).contains(&payload.len()));
                survives(&mut compressor, &mut decompressor, kind, &payload);
                rest = &rest[used..];
            }
            Ok(Decoded::NeedMore { .. }) | Err(_) => break,
        }
    }
});

/// What was read can be sent again.
fn survives(
    compressor: &mut Compressor,
    decompressor: &mut Decompressor,
    kind: WireKind,
    payload: &[u8],
) {
    let mut again = Vec::new();
    if !compressor.encode_frame(&mut again, kind, payload) {
        assert!(again.is_empty());
        return;
    }
    match decode(&again, MAX_PAYLOAD) {
        Ok(Decoded::Compressed {
            kind: same,
            data,
            used,
        }) => {
            assert_eq!((same, used), (kind, again.len()));
            assert_eq!(
                decompressor.decompress(data, MAX_PAYLOAD).as_deref(),
                Ok(payload)
            );
        }
        other => panic!("{other:?}"),
    }
}

/// However little has come, the decoder asks for more or says what it will say in the end.
fn in_pieces(rest: &[u8], outcome: &Result<Decoded<'_>, FrameError>) {
    let mut wanted = 0;
    for have in 0..rest.len() {
        match decode(&rest[..have], MAX_PAYLOAD) {
            Ok(Decoded::NeedMore { total }) => {
                assert!(total > have && total >= wanted, "{total} of {have}");
                wanted = total;
            }
            early => {
                assert_eq!(&early, outcome);
                break;
            }
        }
    }
}
