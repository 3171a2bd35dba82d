//! Compressed frames: which kinds there are, and one compressor and one decompressor per thread.

use std::cell::RefCell;
use std::sync::OnceLock;

use bytes::Bytes;
use sockeye_engine_proto::WireKind;
use sockeye_engine_proto::frame::FrameError;
use sockeye_engine_proto::frame::compressed::{Compressor, Decompressor};

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor>> = const { RefCell::new(None) };
}

/// A kind of compressed frame. All receivers of a message share one frame of each kind, so that nothing in it may depend
/// on what one of them was sent before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    /// A length-prefixed frame with a marker in front.
    Native,
}

impl Codec {
    /// How many there are.
    const COUNT: usize = Self::Native as usize + 1;

    /// A whole frame, unless it would be no shorter than a plain one.
    fn compress(self, kind: WireKind, payload: &[u8]) -> Option<Bytes> {
        match self {
            Self::Native => compress_native(kind, payload),
        }
    }
}

/// What a session compresses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compression {
    pub(crate) codec: Codec,
    /// Packets of so many bytes and more.
    pub(crate) from: usize,
}

impl Compression {
    /// Whether anything is compressed.
    pub(crate) const fn is_on(self) -> bool {
        self.from < usize::MAX
    }

    /// The compressed frame of a packet that is sent to one peer alone.
    pub(crate) fn frame(self, kind: WireKind, payload: &[u8]) -> Option<Bytes> {
        match payload.len() < self.from {
            true => None,
            false => self.codec.compress(kind, payload),
        }
    }
}

/// The compressed frames of one message, each made when the first receiver wants it. Most messages never have one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Compressed(OnceLock<Box<[OnceLock<Option<Bytes>>; Codec::COUNT]>>);

impl Compressed {
    pub(crate) const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// The frame of a packet, which must be the same one every time.
    pub(crate) fn frame(
        &self,
        Compression { codec, from }: Compression,
        kind: WireKind,
        payload: &[u8],
    ) -> Option<&Bytes> {
        if payload.len() < from {
            return None;
        }
        let frames = self.0.get_or_init(Box::default);
        frames[codec as usize]
            .get_or_init(|| codec.compress(kind, payload))
            .as_ref()
    }
}

fn compress_native(kind: WireKind, payload: &[u8]) -> Option<Bytes> {
    let mut frame = Vec::new();
    let shorter = COMPRESSOR.with_borrow_mut(|compressor| {
        compressor
            .get_or_insert_default()
            .encode_frame(&mut frame, kind, payload)
    });
    shorter.then(|| frame.into())
}

/// The content of a compressed binary frame.
pub(crate) fn decompress(data: &[u8], max: usize) -> Result<Bytes, FrameError> {
    let inflated = DECOMPRESSOR
        .with_borrow_mut(|decompressor| decompressor.get_or_insert_default().decompress(data, max));
    inflated.map(Bytes::from)
}

/// The content of a compressed text frame.
pub(crate) fn decompress_text(data: &[u8], max: usize) -> Result<String, FrameError> {
    DECOMPRESSOR.with_borrow_mut(|decompressor| {
        decompressor
            .get_or_insert_default()
            .decompress_text(data, max)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_is_made_once_and_only_where_it_is_wanted() {
        let compression = Compression {
            codec: Codec::Native,
            from: 100,
        };
        let (short, long) = ([b'a'; 99], [b'a'; 100]);
        let frames = Compressed::new();
        assert_eq!(frames.frame(compression, WireKind::Text, &short), None);
        assert!(frames.0.get().is_none());
        let first = frames.frame(compression, WireKind::Text, &long).unwrap();
        let again = frames.frame(compression, WireKind::Text, &long).unwrap();
        assert_eq!(first.as_ptr(), again.as_ptr());
        assert_eq!(
            compression.frame(WireKind::Text, &long).as_ref(),
            Some(first)
        );
        assert_eq!(compression.frame(WireKind::Text, &short), None);
    }
}
