//! Socket.IO 4 and 5 packets and namespaces without I/O.
//!
//! Text and attachments go in, packets come out; no socket, clock or lock is involved, so both ends of a
//! conversation can be played in memory.
//!
//! * [`decode`] finds the parts of a packet by scanning: the arguments of an event stay raw JSON until a handler
//!   asks for its own types.
//! * [`RawArgs`] and [`Args`] are such raw arguments, borrowed and owned. [`RawArgs::deserialize`] reads them into
//!   any `Deserialize` type, with binary attachments wherever the type wants bytes.
//! * [`ToArgs`] is what can be emitted; [`encode_event`] and [`encode_ack`] write it straight into one buffer with
//!   room in front for the headers of the layers below.
//! * [`lines`] has the same events as lines of JSON, the dialect of net-socket.io on TCP and Unix streams.
//! * [`parser`] is the seam for other formats of packets.
//! * [`Connection`] holds the state of every namespace of one connection to a server and turns packets into [`Input`]s;
//!   [`ClientConnection`] does the same at the client's end.
//!
//! ```
//! use sockeye_socket_proto::{Attachments, SocketRevision, decode, encode_event};
//!
//! let (mut buf, mut attachments) = (Vec::new(), Attachments::default());
//! let start = encode_event(&mut buf, 16, "/chat", Some(7), "sum", &(1, 2), &mut attachments)?;
//! let text = std::str::from_utf8(&buf[start..])?;
//! assert_eq!(text, r#"2/chat,7["sum",1,2]"#);
//!
//! let packet = decode(text, SocketRevision::V5, 10)?;
//! let (name, args) = packet.event()?;
//! assert_eq!((&*name, packet.ack_id), ("sum", Some(7)));
//! assert_eq!(args.deserialize::<(u32, u32)>()?, (1, 2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

mod args;
mod ascii;
mod client;
mod connection;
mod decode_error;
mod encode;
mod event;
pub mod lines;
mod members;
mod name;
mod packet;
mod packet_type;
pub mod parser;
mod revision;
mod scan;
mod whole;

pub use args::{Args, ArgsError, FromArgs, IncomingArgs, RawArgs, from_json};
pub use ascii::{escape_non_ascii, escape_packet};
pub use client::{ClientConnection, ClientInput, JoinError, Leaving};
pub use connection::{Connection, ConnectionConfig, Input, NamespaceKey, StrayPackets, Violation};
pub use decode_error::DecodeError;
pub use encode::{
    ArgsWriter, Attachments, BytesOut, EncodeError, EncodeErrorKind, EncodedEvent, EventLayout,
    EventMark, ToArgs, auth_query, encode_ack, encode_connect_accepted, encode_connect_error,
    encode_connect_request, encode_counted_ack, encode_disconnect, encode_event,
    encode_event_in_parts, encode_invalid_namespace,
};
pub use event::split_event;
pub use name::{RESERVED_EVENTS, is_reserved_event, read_name};
pub use packet::{RawPacket, decode};
pub use packet_type::PacketType;
pub use revision::SocketRevision;
pub use scan::{ScanError, skip_space, skip_value};
