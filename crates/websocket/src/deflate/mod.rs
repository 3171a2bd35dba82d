//! permessage-deflate (RFC 7692): what is agreed on, and what it does to messages.

mod config;
mod deflater;
mod inflater;
mod offer;

pub use config::{Deflate, DeflateConfig};
pub use deflater::Deflater;
pub use inflater::{InflateError, Inflater};
pub use offer::{ClientWindow, DeflateOffer};

/// What a compressed message may refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Context {
    /// Nothing but itself ("no context takeover"): both ends forget a message when it is done. One compressor and one
    /// decompressor serve any number of connections, and the same compressed bytes any number of peers.
    Fresh,
    /// The messages before it in its direction, too ("context takeover"). Each connection needs a compressor or a
    /// decompressor of its own.
    Kept,
}
