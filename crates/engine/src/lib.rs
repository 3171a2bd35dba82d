//! The driver of Engine.IO sessions, on tokio: the same at either end.
//!
//! Each session is run by one task, its [`Driver`], which owns the protocol state, the timer, the transport and the
//! [`Connection`] of the upper layer. Everyone else holds a [`SessionHandle`]: something to send to. How sessions begin
//! is not known here: `sockeye-listen` and `sockeye-dial` open them, each with a [`Side`] of its own.
//!
//! What the engine promises to the upper layer:
//!
//! * all methods of one connection run on one task, one after the other;
//! * messages arrive in order, and messages that are sent arrive in the order of their sending,
//!   whatever transport carries them and even while it changes;
//! * what is sent while a driver works through what it has read leaves in one write at the end
//!   (see [`batch`]), what is sent from elsewhere leaves at once;
//! * [`Connection::handle_close`] is called exactly once, and nothing comes after it.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod carrier;
mod clock;
mod command;
mod connection;
mod deflate;
mod dialect;
mod driver;
mod formats;
mod frames;
mod full_mark;
mod handle;
mod id;
mod io;
mod limits;
mod mailbox;
pub mod mask;
mod message;
pub mod net;
mod net_socket;
mod outbox;
mod peer;
mod request;
mod scratch;
mod seat;
mod seldom;
mod turn;
mod unheard;
mod websocket;

pub use carrier::{
    AnyCarrier, Carrier, Early, Exchange, NothingEarly, Outgoing, Polling, Probe, Reply, Requests,
    Upper, Wire,
};
pub use clock::now;
pub use connection::{Connection, Incoming};
pub use deflate::Agreed;
pub use dialect::Dialect;
pub use driver::{Driver, Side};
pub use frames::{Extent, FrameReader, ReadError};
pub use handle::{SendError, SendOptions, SessionHandle};
pub use id::SessionId;
pub use io::{Io, Seated, Socket, Stream};
pub use limits::SessionLimits;
pub use message::{HEADROOM, Message};
pub use net_socket::NetSocket;
pub use outbox::{Outlet, Outward};
pub use peer::{PeerCredentials, PeerInfo};
pub use request::{PendingPost, PollAnswer, PollPayload, Post, PostVerdict, Request};
pub use seat::{Seat, Seats};
pub use sockeye_engine_proto::{CloseReason, Packet, RequestError, Revision, TransportKind};
pub use sockeye_websocket::DeflateConfig;
pub use turn::{LateBatch, batch};
pub use unheard::{Mistaken, Unheard};
pub use websocket::{Upgraded, WebSocketFormat};
