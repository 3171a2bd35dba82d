//! How packets are written: the standard format, and the seam for others.
//!
//! A [`Parser`] turns packets into messages, and a [`Decoder`] of its turns messages into packets. Both ends of a
//! connection must use the same one. Neither knows anything of namespaces, handlers or transports, and these know
//! nothing of it: a [`Packet`] has its arguments as JSON, with [placeholders](crate::Args#bytes) for what are bytes, whatever
//! they look like on the wire. So handlers, acknowledgements, rooms and buffers work with any parser as they do with the
//! standard one, and plain peers, who speak lines, are in the same rooms.
//!
//! The standard format is not spoken through this seam. What goes out in it is written straight into the buffer of the
//! transport ([`encode_event`](crate::encode_event) and its like), and what comes in is borrowed from the one that was
//! read ([`decode`](crate::decode)); another parser costs a copy of each packet.
//!
//! ```
//! use std::borrow::Cow;
//!
//! use sockeye_socket_proto::ConnectionConfig;
//! use sockeye_socket_proto::parser::{
//!     Decoder, Message, Packet, Parser, ParserError, SocketRevision, Standard,
//! };
//!
//! /// The standard format, upside down.
//! #[derive(Debug)]
//! struct Reversed;
//!
//! #[derive(Debug)]
//! struct ReversedDecoder(Box<dyn Decoder>);
//!
//! fn reverse(message: Message<'_>) -> Message<'static> {
//!     match message {
//!         Message::Text(text) => Message::Text(text.chars().rev().collect()),
//!         Message::Binary(data) => Message::Binary(data),
//!     }
//! }
//!
//! impl Parser for Reversed {
//!     fn encode(
//!         &self,
//!         packet: &Packet<'_>,
//!         revision: SocketRevision,
//!     ) -> Result<Vec<Message<'static>>, ParserError> {
//!         let messages = Standard.encode(packet, revision)?;
//!         Ok(messages.into_iter().map(reverse).collect())
//!     }
//!
//!     fn decoder(&self, revision: SocketRevision, limits: &ConnectionConfig) -> Box<dyn Decoder> {
//!         Box::new(ReversedDecoder(Standard.decoder(revision, limits)))
//!     }
//! }
//!
//! impl Decoder for ReversedDecoder {
//!     fn decode<'a>(&mut self, message: Message<'a>) -> Result<Option<Packet<'a>>, ParserError> {
//!         self.0.decode(reverse(message))
//!     }
//!
//!     fn is_unfinished(&self) -> bool {
//!         self.0.is_unfinished()
//!     }
//! }
//!
//! let mut decoder = Reversed.decoder(SocketRevision::V5, &ConnectionConfig::default());
//! let packet = decoder.decode(Message::Text(r#"]"ih"[7,tahc/2"#.into()))?.unwrap();
//! assert_eq!((&*packet.namespace, packet.ack_id), ("/chat", Some(7)));
//! # Ok::<(), ParserError>(())
//! ```

mod error;
mod json;
// Public for what servers of a cluster tell each other, which is in the same format.
#[cfg(feature = "msgpack")]
#[doc(hidden)]
pub mod msgpack;
mod standard;

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use crate::{ConnectionConfig, EncodeErrorKind};

pub use crate::packet_type::PacketType;
pub use crate::revision::SocketRevision;
pub use crate::whole::Packet;
pub use error::ParserError;
pub use json::Json;
#[cfg(feature = "msgpack")]
pub use msgpack::MessagePack;
pub use standard::Standard;

/// A format of packets, for both ends of a connection.
///
/// The counterpart of the `parser` option in JavaScript: [`encode`](Self::encode) is the `Encoder` there, and
/// [`decoder`](Self::decoder) makes the `Decoder`.
pub trait Parser: fmt::Debug + Send + Sync {
    /// Writes a packet as the messages that travel, in their order. They are not mixed with those of other packets.
    ///
    /// # Errors
    ///
    /// When the format has no way to write it. Whoever emits is told; a packet of the protocol itself is lost.
    fn encode(
        &self,
        packet: &Packet<'_>,
        revision: SocketRevision,
    ) -> Result<Vec<Message<'static>>, ParserError>;

    /// What reads the messages of one connection.
    ///
    /// A message is as long as the transport allows at most, but how many of them make a packet is for the decoder to
    /// bound: the attachments that `limits` allow are no more when they have been collected. What is left of a packet
    /// that never ends is dropped with the decoder.
    fn decoder(&self, revision: SocketRevision, limits: &ConnectionConfig) -> Box<dyn Decoder>;
}

/// Reads the messages of one connection, in the order in which they come.
pub trait Decoder: fmt::Debug + Send {
    /// Takes a message; says which packet it completes, if it does.
    ///
    /// What comes out is looked at as a packet of the standard format is: its JSON, its name, its placeholders and its
    /// namespace.
    ///
    /// # Errors
    ///
    /// When the peer breaks the format. The connection is closed then.
    fn decode<'a>(&mut self, message: Message<'a>) -> Result<Option<Packet<'a>>, ParserError>;

    /// Whether the last packet lacks something: it is waited for no longer than for a message that has begun. Default: no.
    fn is_unfinished(&self) -> bool {
        false
    }
}

/// What travels: one message of the layer below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes.
    Binary(Bytes),
}

/// Writes with another parser what has been encoded in the standard format: a text and its attachments.
///
/// # Errors
///
/// What the parser says.
pub fn translate(
    parser: &dyn Parser,
    text: &str,
    attachments: &[Bytes],
    revision: SocketRevision,
) -> Result<Vec<Message<'static>>, EncodeErrorKind> {
    let packet = Packet::read(text, attachments, revision).map_err(ParserError::new);
    packet
        .and_then(|packet| parser.encode(&packet, revision))
        .map_err(EncodeErrorKind::Parser)
}
