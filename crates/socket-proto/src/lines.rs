//! The lines dialect: one JSON object a line, as net-socket.io writes it to TCP and Unix streams.
//!
//! Any program that has JSON and a socket can take part, and plain net-socket.io peers get the bytes that they know.
//! There are no namespaces, handshakes, heartbeats or attachments here, and every stream is one socket.
//!
//! * [`decode`] finds the parts of a line by scanning, as [`crate::decode`] does with packets.
//! * [`encode_event`], [`encode_ack`] and [`encode_error`] append whole lines to a buffer.
//!
//! # Wire format
//!
//! ```text
//! {"eventName":"sum","args":[[1,2,3]]}            an event
//! {"eventName":"tick"}                            an event without arguments
//! {"eventName":"sum","args":[[1,2,3]],"id":7}     an event that wants an acknowledgement
//! {"ack":7,"args":[6]}                            the acknowledgement
//! {"error":{"message":"no","data":{"code":1}}}    an event was refused
//! ```
//!
//! The last three are extensions that plain peers ignore. Lines are written in ASCII (`\uXXXX`), with the keys in this
//! order, and end with CR LF. On the way in, a bare LF, white space around lines, blank lines, keys in any order and
//! unknown keys are all fine.
//!
//! Bytes are what Node makes of a `Buffer`: `{"type":"Buffer","data":[1,2,255]}`. They grow to three or four times their
//! size. Between peers of this and of other dialects, bytes change their form: attachments become Buffers, and, with
//! [`LinesConfig::revive_buffers`], Buffers become attachments.
//!
//! ```
//! use sockeye_socket_proto::lines::{Line, LinesConfig, decode, encode_event};
//!
//! let config = LinesConfig::default();
//! let mut line = Vec::new();
//! encode_event(&mut line, 1000, Some(7), "sum", &([1, 2, 3].as_slice(),))?;
//! assert_eq!(line, b"{\"eventName\":\"sum\",\"args\":[[1,2,3]],\"id\":7}\r\n");
//!
//! let Line::Event(event) = decode(&line, &config)? else {
//!     panic!("it is an event");
//! };
//! assert_eq!((&*event.name, event.ack_id), ("sum", Some(7)));
//! assert_eq!(event.args.deserialize::<Vec<u8>>()?, [1, 2, 3]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod decode;
mod encode;
mod error;
mod reserved;

pub use config::{BadLines, LinesConfig};
pub use decode::{Line, LineEvent, decode};
pub use encode::{encode_ack, encode_error, encode_event};
pub use error::{LineError, Verdict};
pub use reserved::{RESERVED_LINE_EVENTS, is_reserved_line_event};
