//! Engine.IO 3 and 4 without I/O: packets, payloads and the session state machine.
//!
//! Nothing here opens a socket, reads a clock or draws a random number. A driver turns bytes into packets with
//! [`Packet`], [`payload`] or [`frame`], feeds them to a [`Session`] together with the time, and carries out what the
//! session says until [`Session::poll_output`] has nothing left. The same state machine therefore runs under tokio and
//! under the virtual clock of this crate's tests.
//!
//! The run loop of a driver, whatever it is built on:
//!
//! 1. wait for the first of: bytes or a request, something to send, [`Session::poll_timeout`];
//! 2. tell the session: one `handle_*` or `begin_*` call, with the time;
//! 3. drain [`Session::poll_output`] and do as told; start over until [`Output::Closed`] was seen.
//!
//! # Examples
//!
//! ```
//! use std::time::Instant;
//!
//! use sockeye_engine_proto::{
//!     CloseReason, Lane, Message, Output, Packet, Revision, Session, SessionConfig, TransportKind,
//! };
//!
//! let now = Instant::now();
//! let config = SessionConfig::default();
//! let mut session = Session::server(&config, Revision::V4, TransportKind::WebSocket, now);
//!
//! // A WebSocket message arrives.
//! let packet = Packet::decode_text(Revision::V4, "4hello")?;
//! let message = session.handle_packet(now, Lane::Current, packet);
//! assert_eq!(message, Some(Message::Text("hello".into())));
//!
//! // Some time later it is time for a heartbeat.
//! let due = session.poll_timeout().expect("the session is open");
//! session.handle_timeout(due);
//! let ping = Output::Send { lane: Lane::Current, packet: Packet::PING };
//! assert_eq!(session.poll_output(), Some(ping));
//!
//! // Nobody answers.
//! let due = session.poll_timeout().expect("the session is open");
//! session.handle_timeout(due);
//! assert_eq!(session.poll_output(), Some(Output::Closed(CloseReason::PingTimeout)));
//! # Ok::<(), sockeye_engine_proto::PacketError>(())
//! ```

mod error;
mod first_byte;
pub mod frame;
mod limits;
pub mod lines;
mod open;
mod packet;
pub mod payload;
mod revision;
mod session;
#[cfg(test)]
mod tests;
mod text;
mod text_encoding;
mod transport;

pub use error::{BadRequest, Refusal, RequestError};
pub use first_byte::FirstByte;
pub use limits::Limits;
pub use open::{Compression, OpenPacket, OpenPacketError, OpenRequest};
pub use packet::{Message, Packet, PacketError, WireKind};
pub use revision::Revision;
pub use session::{
    CloseReason, Lane, Output, PollVerdict, Role, Session, SessionConfig, TransportEnd,
    UpgradeRefused,
};
pub use text_encoding::TextEncoding;
pub use transport::TransportKind;
