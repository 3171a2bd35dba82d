//! Compressed frames: which kinds there are, and the compressors and decompressors of each thread.

use std::cell::RefCell;
use std::sync::OnceLock;

use bytes::Bytes;
use sockeye_engine_proto::WireKind;
use sockeye_engine_proto::frame::FrameError;
use sockeye_engine_proto::frame::compressed::{Compressor, Decompressor};
use sockeye_websocket::{Context, Deflate, Deflater, Inflater, OpCode};

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor>> = const { RefCell::new(None) };
    /// Those that were used last, with the level and the window of each; the latest one in front.
    static DEFLATERS: RefCell<Vec<(u8, u8, Deflater)>> = const { RefCell::new(Vec::new()) };
    static INFLATER: RefCell<Option<Inflater>> = const { RefCell::new(None) };
}

/// How many compressors a thread keeps. Nearly all peers take the largest window, and one server agrees on three at most;
/// servers of other settings, or those of a client, are not to have memory spent on all that there are.
const MAX_DEFLATERS: usize = 3;

/// A kind of compressed frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    /// A length-prefixed frame with a marker in front.
    Native,
    /// A WebSocket frame, without a mask, that was compressed with a window of so many bits (9 to 15).
    WebSocket(u8),
    /// A WebSocket frame that refers to those before it: only the [stream](crate::outbox) can make it, in their order.
    Takeover(u8),
}

/// How many kinds can be shared by all receivers of a message. Nothing in these depends on what one of them was sent
/// before.
const SHARED_CODECS: usize = 8;

/// What both ends of a stream have agreed on about compression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Agreed {
    /// There is none.
    #[default]
    Nothing,
    /// Frames of a native stream may be compressed, and are from so many bytes on.
    Native(usize),
    /// Messages of a WebSocket may be compressed.
    WebSocket(Deflate),
}

impl From<Option<Deflate>> for Agreed {
    fn from(deflate: Option<Deflate>) -> Self {
        deflate.map_or(Self::Nothing, Self::WebSocket)
    }
}

/// What a session compresses, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compression {
    pub(crate) codec: Codec,
    pub(crate) level: u8,
    /// Packets of so many bytes and more; the largest number stands for never.
    pub(crate) from: u32,
}

impl Compression {
    /// Nothing is compressed.
    pub(crate) const OFF: Self = Self {
        codec: Codec::Native,
        level: 0,
        from: NEVER,
    };

    pub(crate) fn new(agreed: Agreed) -> Self {
        match agreed {
            Agreed::Nothing => Self::OFF,
            Agreed::Native(from) => Self::native(from),
            Agreed::WebSocket(deflate) => Self::websocket(&deflate),
        }
    }

    fn native(from: usize) -> Self {
        Self {
            from: length(from),
            ..Self::OFF
        }
    }

    fn websocket(agreed: &Deflate) -> Self {
        let codec = match agreed.context() {
            Context::Fresh => Codec::WebSocket(agreed.window_bits()),
            Context::Kept => Codec::Takeover(agreed.window_bits()),
        };
        let from = agreed.threshold().map_or(NEVER, length);
        Self {
            codec,
            level: agreed.level(),
            from,
        }
    }

    /// As one number, which threads can share without a lock.
    pub(crate) fn to_bits(self) -> u64 {
        let (kind, window) = match self.codec {
            Codec::Native => (0, 0),
            Codec::WebSocket(window) => (1, window),
            Codec::Takeover(window) => (2, window),
        };
        let [a, b, c, d] = self.from.to_le_bytes();
        u64::from_le_bytes([a, b, c, d, kind, window, self.level, 0])
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        let [a, b, c, d, kind, window, level, _] = bits.to_le_bytes();
        Self {
            codec: match kind {
                0 => Codec::Native,
                1 => Codec::WebSocket(window),
                _ => Codec::Takeover(window),
            },
            level,
            from: u32::from_le_bytes([a, b, c, d]),
        }
    }

    /// What is done to a message that may be compressed, or may not.
    pub(crate) fn allowed(self, allowed: bool) -> Packing {
        Packing::of(self.to_bits(), allowed)
    }

    /// Whether anything is compressed at all.
    const fn is_on(self) -> bool {
        self.from < NEVER
    }

    /// Whether a packet of this length is long enough.
    pub(crate) const fn takes(self, len: usize) -> bool {
        self.is_on() && len >= self.from as usize
    }

    /// A compressor for the messages of one stream alone, if they refer to each other.
    pub(crate) fn own_deflater(self) -> Option<Box<Deflater>> {
        match self.codec {
            Codec::Takeover(window) if self.from < NEVER => {
                Some(Box::new(Deflater::new(self.level, window, Context::Kept)))
            }
            _ => None,
        }
    }

    /// The compressed frame of a packet that is sent to one peer alone; `None` if it would be no shorter than a plain
    /// one, or depends on what was sent before.
    pub(crate) fn frame(self, kind: WireKind, payload: &[u8]) -> Option<Bytes> {
        match self.takes(payload.len()) {
            true => self.compress(kind, payload),
            false => None,
        }
    }

    fn compress(self, kind: WireKind, payload: &[u8]) -> Option<Bytes> {
        match self.codec {
            Codec::Native => compress_native(kind, payload),
            Codec::WebSocket(window) => deflate(self.level, window, kind, payload),
            Codec::Takeover(_) => None,
        }
    }
}

const NEVER: u32 = u32::MAX;

/// What is done to one message: a [`Compression`] as one number, of which the highest bit says that the message may be
/// compressed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packing(u64);

impl Packing {
    const MAY: u64 = 1 << 63;

    /// Of a compression as one number.
    #[inline]
    pub(crate) const fn of(compression: u64, allowed: bool) -> Self {
        Self(if allowed {
            compression | Self::MAY
        } else {
            compression
        })
    }

    /// Whether the message may be compressed, be it by somebody else.
    #[inline]
    pub(crate) const fn is_allowed(self) -> bool {
        self.0 & Self::MAY != 0
    }

    /// How it is to be compressed, if its packet is long enough. Most connections compress nothing, and of the messages of
    /// the others most are short: that is all that is looked at.
    #[inline]
    pub(crate) fn wanted(self, packet_len: impl FnOnce() -> usize) -> Option<Compression> {
        let from = self.0 & u64::from(NEVER);
        if from == u64::from(NEVER) || (packet_len() as u64) < from {
            return None;
        }
        self.is_allowed().then(|| Compression::from_bits(self.0))
    }
}

#[cfg(test)]
impl From<Option<Compression>> for Packing {
    fn from(compression: Option<Compression>) -> Self {
        compression
            .unwrap_or(Compression::OFF)
            .allowed(compression.is_some())
    }
}

/// No message is longer than the largest number.
fn length(bytes: usize) -> u32 {
    bytes.try_into().unwrap_or(NEVER)
}

/// The compressed frames of one message, each made when the first receiver wants it. Most messages never have one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Compressed(OnceLock<Box<[OnceLock<Option<Bytes>>; SHARED_CODECS]>>);

impl Compressed {
    pub(crate) const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// The frame of a packet, which must be the same one every time. Of two levels, the one that is wanted first counts.
    pub(crate) fn frame(
        &self,
        compression: Compression,
        kind: WireKind,
        payload: &[u8],
    ) -> Option<&Bytes> {
        let slot = match compression.codec {
            _ if !compression.takes(payload.len()) => return None,
            Codec::Native => 0,
            Codec::WebSocket(window) => usize::from(window - 8),
            Codec::Takeover(_) => return None,
        };
        let frames = self.0.get_or_init(Box::default);
        frames[slot]
            .get_or_init(|| compression.compress(kind, payload))
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

fn deflate(level: u8, window: u8, kind: WireKind, payload: &[u8]) -> Option<Bytes> {
    let mut frame = Vec::new();
    let shorter = DEFLATERS.with_borrow_mut(|deflaters| {
        let known = deflaters
            .iter()
            .position(|known| (known.0, known.1) == (level, window));
        match known {
            Some(index) => deflaters[..=index].rotate_right(1),
            None => {
                deflaters.truncate(MAX_DEFLATERS - 1);
                let deflater = Deflater::new(level, window, Context::Fresh);
                deflaters.insert(0, (level, window, deflater));
            }
        }
        let (.., deflater) = &mut deflaters[0];
        deflater.encode_frame(&mut frame, op_code(kind), payload, None)
    });
    shorter.then(|| frame.into())
}

/// The kind of message that holds such a packet.
pub(crate) const fn op_code(kind: WireKind) -> OpCode {
    match kind {
        WireKind::Text => OpCode::Text,
        WireKind::Binary => OpCode::Binary,
    }
}

/// Lends the thread's decompressor for WebSocket messages.
pub(crate) fn with_inflater<R>(inflate: impl FnOnce(&mut Inflater) -> R) -> R {
    INFLATER.with_borrow_mut(|inflater| {
        inflate(inflater.get_or_insert_with(|| Inflater::new(Context::Fresh)))
    })
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

    const fn websocket(window: u8) -> Compression {
        Compression {
            codec: Codec::WebSocket(window),
            level: 1,
            from: 100,
        }
    }

    #[test]
    fn frame_is_made_once_and_only_where_it_is_wanted() {
        let (short, long) = ([b'a'; 99], [b'a'; 100]);
        let frames = Compressed::new();
        let codecs = [Compression::native(100), websocket(9), websocket(15)];
        for compression in codecs {
            assert_eq!(frames.frame(compression, WireKind::Text, &short), None);
        }
        assert!(frames.0.get().is_none());
        for compression in codecs {
            let first = frames.frame(compression, WireKind::Text, &long).unwrap();
            let again = frames.frame(compression, WireKind::Text, &long).unwrap();
            assert_eq!(first.as_ptr(), again.as_ptr());
            let alone = compression.frame(WireKind::Text, &long);
            assert_eq!(alone.as_ref(), Some(first));
            assert_eq!(compression.frame(WireKind::Text, &short), None);
        }
        let made = |frames: &Compressed| {
            frames
                .0
                .get()
                .unwrap()
                .iter()
                .flat_map(OnceLock::get)
                .count()
        };
        assert_eq!(made(&frames), 3);
    }

    #[test]
    fn what_depends_on_earlier_messages_is_never_shared() {
        let compression = Compression {
            codec: Codec::Takeover(15),
            level: 1,
            from: 0,
        };
        let frames = Compressed::new();
        assert_eq!(
            frames.frame(compression, WireKind::Text, &[b'a'; 100]),
            None
        );
        assert_eq!(compression.frame(WireKind::Text, &[b'a'; 100]), None);
        assert!(compression.own_deflater().is_some());
        assert!(websocket(15).own_deflater().is_none());
    }

    #[test]
    fn compression_is_one_number() {
        for compression in [
            Compression::OFF,
            Compression::native(7),
            websocket(12),
            Compression {
                codec: Codec::Takeover(9),
                level: 9,
                from: NEVER - 1,
            },
        ] {
            assert_eq!(Compression::from_bits(compression.to_bits()), compression);
        }
        assert!(!Compression::OFF.takes(usize::MAX));
        assert!(Compression::native(0).takes(0));
    }

    #[test]
    fn peers_with_many_windows_do_not_have_a_compressor_each() {
        for window in [15, 9, 10, 15, 11, 12, 13, 15] {
            let frame = websocket(window).frame(WireKind::Binary, &[7; 1000]);
            assert!(frame.unwrap().len() < 50);
        }
        DEFLATERS.with_borrow(|deflaters| {
            let windows: Vec<_> = deflaters.iter().map(|(_, window, _)| *window).collect();
            assert_eq!(windows, [15, 13, 12]);
        });
    }
}
