//! Compressed frames, between peers that have agreed on them in their [open packets](crate::OpenRequest).
//!
//! # Wire format
//!
//! A zero byte in front of a frame says that its payload is compressed. The payload is raw deflate (RFC 1951), from the
//! first to a final block; each frame is compressed by itself, so that idle connections keep nothing and one compressed
//! frame may go to many peers. The header counts the compressed bytes, and its binary flag is that of the content. What
//! comes out is not empty, and bounded as if it had come as it is. Both ends may mix compressed frames and others as
//! they like.
//!
//! Without the agreement the zero is what it has always been: the header of an empty frame, which no peer takes.

use flate2::{Compress, Decompress, FlushCompress, FlushDecompress, Status};

use super::{Frame, FrameError, Raw, decode_raw, encode_frame};
use crate::WireKind;

/// What [`decode`] found at the front of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded<'b> {
    /// A whole frame; the first `used` bytes of the buffer are done with.
    Frame {
        /// The frame.
        frame: Frame<'b>,
        /// Its bytes, header included.
        used: usize,
    },
    /// The same, but compressed; for a [`Decompressor`].
    Compressed {
        /// What comes out of it.
        kind: WireKind,
        /// The deflate stream.
        data: &'b [u8],
        /// Its bytes, marker and header included.
        used: usize,
    },
    /// Call again with more bytes; see [`frame::Decoded::NeedMore`](super::Decoded::NeedMore).
    NeedMore {
        /// Bytes, counted from the start of the buffer, without which there is no next step.
        total: usize,
    },
}

impl<'b> From<super::Decoded<'b>> for Decoded<'b> {
    fn from(decoded: super::Decoded<'b>) -> Self {
        match decoded {
            super::Decoded::Frame { frame, used } => Self::Frame { frame, used },
            super::Decoded::NeedMore { total } => Self::NeedMore { total },
        }
    }
}

/// Looks for one frame at the front of `buf`, compressed or not. Like [`frame::decode`](super::decode), it remembers
/// nothing.
///
/// # Errors
///
/// See [`FrameError`].
pub fn decode(buf: &[u8], max_payload: usize) -> Result<Decoded<'_>, FrameError> {
    let Some((&MARKER, marked)) = buf.split_first() else {
        return super::decode(buf, max_payload).map(Decoded::from);
    };
    Ok(match decode_raw(marked, max_payload)? {
        Raw::Frame {
            kind,
            payload,
            used,
        } => Decoded::Compressed {
            kind,
            data: payload,
            used: 1 + used,
        },
        Raw::NeedMore { total } => Decoded::NeedMore { total: 1 + total },
    })
}

/// Compresses frames, one after the other. It holds about 300 KiB: keep one for each thread rather than for each
/// connection.
#[derive(Debug)]
pub struct Compressor {
    deflate: Compress,
    buf: Vec<u8>,
}

impl Compressor {
    /// A compressor.
    #[must_use]
    pub fn new() -> Self {
        Self {
            deflate: Compress::new(flate2::Compression::new(LEVEL), false),
            buf: Vec::new(),
        }
    }

    /// Appends a compressed frame to `out`, marker and header included; false, and nothing is appended, if it would not
    /// be shorter than the frame as it is.
    pub fn encode_frame(&mut self, out: &mut Vec<u8>, kind: WireKind, payload: &[u8]) -> bool {
        let Some(room) = payload.len().checked_sub(2) else {
            return false;
        };
        self.deflate.reset();
        self.buf.clear();
        self.buf.reserve_exact(room);
        let end = self
            .deflate
            .compress_vec(payload, &mut self.buf, FlushCompress::Finish);
        let shorter = matches!(end, Ok(Status::StreamEnd)) && self.buf.len() <= room;
        if shorter {
            out.reserve(1 + super::MAX_HEADER + self.buf.len());
            out.push(MARKER);
            encode_frame(out, kind, &self.buf);
        }
        if self.buf.capacity() > KEEP {
            self.buf = Vec::new();
        }
        shorter
    }
}

impl Default for Compressor {
    fn default() -> Self {
        Self::new()
    }
}

/// Decompresses what [`Decoded::Compressed`] holds, one frame after the other. It holds about 40 KiB.
#[derive(Debug)]
pub struct Decompressor {
    inflate: Decompress,
}

impl Decompressor {
    /// A decompressor.
    #[must_use]
    pub fn new() -> Self {
        Self {
            inflate: Decompress::new(false),
        }
    }

    /// The payload of a frame. The memory that this takes grows with what comes out, up to `max_payload`, and not with
    /// what might.
    ///
    /// # Errors
    ///
    /// [`FrameError::Inflate`] if the data is not one deflate stream and nothing else, [`FrameError::InflatedTooLarge`]
    /// if more than `max_payload` bytes come out of it, [`FrameError::Empty`] if none do.
    pub fn decompress(&mut self, data: &[u8], max_payload: usize) -> Result<Vec<u8>, FrameError> {
        self.inflate.reset(false);
        let mut out = Vec::new();
        let mut used = 0;
        loop {
            if out.len() == out.capacity() {
                // Room for one byte too many, to see whether there is one.
                let most = max_payload.saturating_add(1) - out.len();
                out.reserve_exact(out.len().max(FIRST_ROOM).min(most));
            }
            let before = self.inflate.total_in();
            let status =
                self.inflate
                    .decompress_vec(&data[used..], &mut out, FlushDecompress::None);
            let status = status.map_err(|_| FrameError::Inflate)?;
            let read = self.inflate.total_in() - before;
            used += usize::try_from(read).map_err(|_| FrameError::Inflate)?;
            if out.len() > max_payload {
                return Err(FrameError::InflatedTooLarge { max: max_payload });
            }
            match status {
                Status::StreamEnd if used < data.len() => return Err(FrameError::Inflate),
                Status::StreamEnd if out.is_empty() => return Err(FrameError::Empty),
                Status::StreamEnd => return Ok(out),
                // There is room, but the data has come to its end before the stream.
                _ if out.len() < out.capacity() => return Err(FrameError::Inflate),
                _ => {}
            }
        }
    }

    /// The payload of a text frame.
    ///
    /// # Errors
    ///
    /// As for [`decompress`](Self::decompress), and [`FrameError::Utf8`].
    pub fn decompress_text(
        &mut self,
        data: &[u8],
        max_payload: usize,
    ) -> Result<String, FrameError> {
        let bytes = self.decompress(data, max_payload)?;
        String::from_utf8(bytes).map_err(|_| FrameError::Utf8)
    }
}

impl Default for Decompressor {
    fn default() -> Self {
        Self::new()
    }
}

pub(super) const MARKER: u8 = 0;

/// Between zlib's fastest, 1, and its default, 6: events are small and many.
const LEVEL: u32 = 3;

/// A buffer of more than this is not kept after a large frame.
const KEEP: usize = 64 * 1024;

const FIRST_ROOM: usize = 4096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn compressed(kind: WireKind, payload: &[u8]) -> Vec<u8> {
        let mut out = b"before".to_vec();
        assert!(Compressor::new().encode_frame(&mut out, kind, payload));
        out.split_off(6)
    }

    fn data_of(frame: &[u8]) -> &[u8] {
        match decode(frame, 1 << 20) {
            Ok(Decoded::Compressed { data, used, .. }) if used == frame.len() => data,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_format_is_as_documented() {
        let frame = compressed(WireKind::Text, &[b'4'; 1000]);
        assert_eq!(frame[0], 0);
        assert_eq!(usize::from(frame[1]), frame.len() - 2);
        let frame = compressed(WireKind::Binary, &[7; 1000]);
        assert_eq!(usize::from(frame[1] & 0x7f), frame.len() - 2);
        assert_eq!(frame[1] & 0x80, 0x80);
        // Made by another implementation: zlib.compressobj(wbits=-15), 4 and thirty times "ab".
        let foreign = [0x33, 0x49, 0x4c, 0x22, 0x1f, 0x02, 0x00];
        let text = Decompressor::new().decompress_text(&foreign, 100);
        assert_eq!(text.unwrap(), format!("4{}", "ab".repeat(30)));
    }

    #[test]
    fn what_does_not_shrink_is_left_alone() {
        let mut out = Vec::new();
        for payload in [&b""[..], b"4", b"4a", b"42[\"e\",1]", &[1, 2, 3, 250, 0, 9]] {
            assert!(!Compressor::new().encode_frame(&mut out, WireKind::Text, payload));
        }
        assert!(out.is_empty());
    }

    #[test]
    fn a_bomb_is_refused_by_its_limit() {
        let bomb = compressed(WireKind::Binary, &vec![0; 50_000_000]);
        assert!(bomb.len() < 300_000);
        let error = Decompressor::new().decompress(data_of(&bomb), 1_000_000);
        assert_eq!(error, Err(FrameError::InflatedTooLarge { max: 1_000_000 }));
        assert!(error.unwrap_err().to_string().contains("1000000"));
        let exact = compressed(WireKind::Binary, &vec![0; 1_000_000]);
        let exact = Decompressor::new().decompress(data_of(&exact), 1_000_000);
        assert_eq!(exact.unwrap().len(), 1_000_000);
    }

    #[test]
    fn only_whole_streams_are_taken() {
        let frame = compressed(WireKind::Text, &[b'4'; 1000]);
        let data = data_of(&frame);
        let mut inflate = Decompressor::new();
        for len in 0..data.len() {
            let error = inflate.decompress(&data[..len], 10_000);
            assert_eq!(error, Err(FrameError::Inflate), "{len}");
        }
        let longer = [data, b"x"].concat();
        assert_eq!(
            inflate.decompress(&longer, 10_000),
            Err(FrameError::Inflate)
        );
        assert_eq!(inflate.decompress(&[0xff; 9], 10), Err(FrameError::Inflate));
        // One stored block of no bytes.
        let empty = [1, 0, 0, 0xff, 0xff];
        assert_eq!(inflate.decompress(&empty, 10), Err(FrameError::Empty));
        // After all that it still works.
        assert_eq!(inflate.decompress(data, 1000).unwrap().len(), 1000);
    }

    #[test]
    fn text_must_be_utf8() {
        let frame = compressed(WireKind::Text, &[0xff; 100]);
        let error = Decompressor::new().decompress_text(data_of(&frame), 1000);
        assert_eq!(error, Err(FrameError::Utf8));
    }

    #[test]
    fn markers_do_not_add_up() {
        assert_eq!(decode(&[0, 0, 1, b'4'], 10), Err(FrameError::Empty));
        assert_eq!(decode(&[0], 10), Ok(Decoded::NeedMore { total: 2 }));
        assert_eq!(decode(&[0, 126], 10), Ok(Decoded::NeedMore { total: 4 }));
        let error = FrameError::TooLarge { len: 11, max: 10 };
        assert_eq!(decode(&[0, 11], 10), Err(error));
        assert_eq!(super::super::decode(&[0, 1, 3], 10), Err(FrameError::Empty));
    }

    fn payload() -> impl Strategy<Value = Vec<u8>> {
        let unit = prop::collection::vec(any::<u8>(), 1..40);
        (unit, 1_usize..400).prop_map(|(unit, times)| unit.repeat(times))
    }

    proptest! {
        #[test]
        fn frames_come_back(payloads in prop::collection::vec((payload(), any::<bool>()), 1..8)) {
            let (mut compressor, mut decompressor) = (Compressor::new(), Decompressor::new());
            let mut wire = Vec::new();
            for (payload, _) in &payloads {
                if !compressor.encode_frame(&mut wire, WireKind::Binary, payload) {
                    encode_frame(&mut wire, WireKind::Binary, payload);
                }
            }
            let mut rest = &wire[..];
            for (payload, _) in &payloads {
                // However little has come, the decoder asks for more.
                let mut wanted = 1;
                while let Decoded::NeedMore { total } = decode(&rest[..wanted], 20_000).unwrap() {
                    prop_assert!(total > wanted);
                    wanted = total;
                }
                let used = match decode(rest, 20_000).unwrap() {
                    Decoded::Frame { frame, used } => {
                        prop_assert_eq!(frame, Frame::Binary(payload));
                        used
                    }
                    Decoded::Compressed { kind, data, used } => {
                        prop_assert_eq!(kind, WireKind::Binary);
                        prop_assert!(used < payload.len() + 9);
                        prop_assert_eq!(&decompressor.decompress(data, payload.len()).unwrap(), payload);
                        let less = payload.len() - 1;
                        prop_assert_eq!(
                            decompressor.decompress(data, less),
                            Err(FrameError::InflatedTooLarge { max: less })
                        );
                        used
                    }
                    Decoded::NeedMore { .. } => unreachable!("all of it is there"),
                };
                prop_assert_eq!(used, wanted);
                rest = &rest[used..];
            }
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn no_bytes_panic(data in prop::collection::vec(any::<u8>(), 0..200), max in 0_usize..300) {
            let _ = decode(&data, max);
            if let Ok(out) = Decompressor::new().decompress(&data, max) {
                prop_assert!(out.len() <= max && !out.is_empty());
            }
        }
    }
}
