//! What the connections of a server and of a client share above the session: [packets](packet) out, for one peer or
//! [for many](Encoded), and events [in](Inbox).
//!
//! A connection is the upper layer of one session. Its protocol state says what a message means, and that differs
//! between the two ends; what becomes of an event does not. So the connection owns an [`Inbox`] with its sockets, and
//! gives it every event: the inbox keeps the order and the limits, asks the socket's [middlewares](middleware) and
//! runs the handlers. The sockets are of the server's or the client's type; what is needed of them is a [`Receiver`].

mod emission;
mod encoded;
mod engine_packet;
mod error;
mod inbox;
mod line;
pub mod middleware;
pub mod packet;
mod peer;
mod receiver;
mod session;

pub use emission::{Emission, EmitOptions, Emitter};
pub use encoded::Encoded;
pub use engine_packet::{EnginePacket, wants_packets};
pub use error::tell_error;
pub use inbox::{EventLimits, HoldOverflow, Inbox, InboxLimits};
pub use line::{Said, read_line, refusal};
pub use middleware::{IntoVerdict, Next};
pub use peer::{Peer, received};
pub use receiver::{Own, Receiver, further};
pub use session::{disconnect_reason, socket_revision};
