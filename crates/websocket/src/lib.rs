//! RFC 6455 WebSocket frames and handshake without I/O.
//!
//! Nothing here reads, writes, asks the time or draws a random number: bytes go in, events come out,
//! and whatever has to be sent is appended to a buffer of the caller.
//!
//! - [`Decoder`] turns the bytes of one connection into [`Event`]s, in place: a message that came in
//!   one frame is borrowed from the caller's read buffer. It is as strict as the RFC allows.
//! - [`encode_frame`], [`prepend_header`] and [`encode_close`] make frames.
//! - [`CloseState`] follows the closing handshake.
//! - [`handshake`] holds what both ends must say and check before the first frame.
//! - [`DeflateConfig`] says whether and how messages are compressed (permessage-deflate, RFC 7692). The handshake makes a
//!   [`Deflate`] of it, a [`Deflater`] compressed frames, and an [`Inflater`] of what the decoder gives messages. Each
//!   message may be compressed or not, whatever was agreed on.
//!
//! # The read loop
//!
//! Read into a buffer and call [`Decoder::decode`] until it answers [`Decoded::NeedMore`]; drop `used`
//! bytes from the front after each event. The decoder keeps what it has to know between calls, so the
//! loop may stop and go on at any byte. A frame larger than the read buffer is best read into a `Vec`
//! of exactly the size that `NeedMore` names, and given to [`Decoder::decode_owned`], which hands its
//! payload out without a copy.
//!
//! After an [`Event::Close`] or an error nothing more may be decoded: whatever follows is to be thrown
//! away (RFC 6455 §5.5.1, §7.1.7). An error knows the code for the close frame to answer with.
//!
//! ```
//! use sockeye_websocket::{Decoded, Decoder, Event, Limits, OpCode, Role, encode_frame};
//!
//! let mut wire = Vec::new();
//! encode_frame(&mut wire, OpCode::Text, "hello".as_bytes(), Some([1, 2, 3, 4]));
//! encode_frame(&mut wire, OpCode::Ping, b"", Some([5, 6, 7, 8]));
//!
//! let mut decoder = Decoder::new(Role::Server, Limits::default());
//! let mut seen = Vec::new();
//! let mut rest = &mut wire[..];
//! loop {
//!     match decoder.decode(rest)? {
//!         Decoded::Event { event, used } => {
//!             if let Event::Text(text) = event {
//!                 seen.push(text.to_string());
//!             }
//!             rest = &mut rest[used..];
//!         }
//!         // Nobody has agreed on compression.
//!         Decoded::Deflated { used, .. } | Decoded::Skip { used } => rest = &mut rest[used..],
//!         Decoded::NeedMore { .. } => break,
//!     }
//! }
//! assert_eq!(seen, ["hello"]);
//! # Ok::<(), sockeye_websocket::ProtocolError>(())
//! ```

mod close;
pub mod close_code;
mod decoder;
mod deflate;
mod encode;
mod error;
mod event;
mod extensions;
pub mod handshake;
mod header;
mod mask;
mod opcode;
#[cfg(test)]
mod tests;
mod utf8;

pub use close::{CloseFrame, CloseState};
pub use decoder::{Decoded, Decoder, Deflated, Limits, Role};
pub use deflate::{
    ClientWindow, Context, Deflate, DeflateConfig, DeflateOffer, Deflater, InflateError, Inflater,
};
pub use encode::{encode_close, encode_frame, mask_frame, prepend_header};
pub use error::ProtocolError;
pub use event::{Event, Payload, Text};
pub use extensions::{ExtensionOffer, ExtensionSyntaxError, parse_extensions};
pub use header::{Header, MAX_HEADER, MAX_SERVER_HEADER, encode_header, frame_len};
pub use mask::apply_mask;
pub use opcode::OpCode;
pub use utf8::{InvalidUtf8, Utf8Bytes};
