//! The length-prefixed frames of stream transports, cut anywhere.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sockeye_engine_proto::WireKind;
use sockeye_engine_proto::frame::{Decoded, Frame, FrameError, decode, encode_frame};

const MAX_PAYLOAD: usize = 1000;

fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    loop {
        let outcome = decode(rest, MAX_PAYLOAD);
        in_pieces(rest, &outcome);
        let Ok(Decoded::Frame { frame, used }) = outcome else {
            break;
        };
        assert!(used > 1 && used <= rest.len());
        // The shortest header is not demanded of a peer, but we write it.
        let mut again = Vec::new();
        let (kind, payload) = match frame {
            Frame::Text(text) => (WireKind::Text, text.as_bytes()),
            Frame::Binary(bytes) => (WireKind::Binary, bytes),
        };
        encode_frame(&mut again, kind, payload);
        assert!(again.len() <= used);
        assert_eq!(
            decode(&again, MAX_PAYLOAD),
            Ok(Decoded::Frame {
                frame,
                used: again.len()
            })
        );
        rest = &rest[used..];
    }
});

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
