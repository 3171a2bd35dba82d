//! What Socket.IO servers of a cluster tell each other, in the forms of Node's adapters, without I/O.
//!
//! Bytes go in, messages come out, and the other way round; no socket, clock or lock is involved.
//!
//! * A [`Message`] is what one server tells others about a namespace, whatever the dialect: an [`Event`] for sockets, who is
//!   to join which rooms, questions and the answers to them.
//! * Each dialect is a module: [`classic`] for Redis as most know it, [`cluster`] for cluster messages, which are a field of
//!   an entry in [`streams`] and may be elsewhere with [`postgres`]; [`mongo`] for documents, [`mickl`] for NATS.
//! * [`Channels`] are the names of channels on Redis.
//! * [`Limits`] bound what is read.
//!
//! An event that was received stays as it is in its message until somebody asks for it, as most are for nobody here:
//! envelope and target are read, and it is skipped over. No tree is built of it, neither then nor when it is written.
//!
//! ```
//! use sockeye_cluster_proto::{Event, Limits, Message, NodeId, Opts, cluster};
//! use sockeye_socket_proto::Args;
//!
//! let message = Message::Broadcast {
//!     event: Event::new("hello", Args::new(&(1, "x"))?.as_raw()),
//!     opts: Opts {
//!         rooms: vec!["news".into()],
//!         ..Opts::default()
//!     },
//!     request: None,
//! };
//! let mut frame = Vec::new();
//! cluster::encode_json_unless_binary(&mut frame, &NodeId::new("8c7cec449aa27f87"), "/", &message)?;
//! assert_eq!(
//!     std::str::from_utf8(&frame)?,
//!     r#"{"type":3,"data":{"packet":{"type":2,"data":["hello",1,"x"]},"#.to_owned()
//!         + r#""opts":{"rooms":["news"],"except":[],"flags":{}}},"uid":"8c7cec449aa27f87","nsp":"/"}"#
//! );
//!
//! let limits = Limits::default();
//! let received = cluster::decode(&frame.into(), &limits)?;
//! let Message::Broadcast { event, opts, .. } = received.message else {
//!     panic!("it was a broadcast");
//! };
//! assert_eq!(&*opts.rooms[0], "news");
//! let (name, args) = event.decode(&limits)?;
//! assert_eq!((&*name, args.as_json()), ("hello", r#"1,"x""#));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod channels;
pub mod classic;
pub mod cluster;
mod error;
mod id;
pub mod legacy;
mod limits;
mod message;
pub mod mickl;
pub mod mongo;
mod opts;
mod packet;
pub mod postgres;
mod session;
mod sink;
mod source;
pub mod streams;
#[cfg(test)]
mod testing;
mod value;

pub use channels::Channels;
pub use error::{DecodeError, EncodeError};
pub use id::{NodeId, RequestId};
pub use limits::Limits;
pub use message::{Envelope, Message};
pub use opts::{Flags, Opts};
pub use session::{Session, SessionMark};
pub use value::{Event, Value};
