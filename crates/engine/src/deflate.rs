//! Compression on bare streams: one compressor and one decompressor per thread.

use std::cell::RefCell;

use bytes::Bytes;
use sockeye_engine_proto::WireKind;
use sockeye_engine_proto::frame::FrameError;
use sockeye_engine_proto::frame::compressed::{Compressor, Decompressor};

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor>> = const { RefCell::new(None) };
}

/// A whole compressed frame, unless it would be no shorter than a plain one.
pub(crate) fn compress(kind: WireKind, payload: &[u8]) -> Option<Bytes> {
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
