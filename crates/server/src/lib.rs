//! The Socket.IO server: namespaces, sockets, rooms and broadcasts.
//!
//! [`Server`] holds everything; [`Namespace`] is one of its multiplexed paths and has the
//! handlers; [`Socket`] is one peer in one namespace; [`BroadcastOperator`] says to whom an
//! event goes. All are cheap to clone and can be used from any thread.

mod acks;
mod broadcast;
mod config;
mod connection;
mod emit;
mod files;
mod handshake;
mod middleware;
mod namespace;
mod packet;
mod server;
mod socket;

pub use acks::{AckSummary, BroadcastAcks};
pub use broadcast::BroadcastOperator;
pub use config::{ServerConfig, SlowReceiver};
pub use emit::Emission;
pub use files::{ClientFiles, ClientFilesError};
pub use handshake::Handshake;
pub use middleware::{IntoVerdict, Next};
pub use namespace::Namespace;
pub use server::Server;
pub use socket::Socket;

/// Answers one event at a time of the handler's choosing; see [`sockeye_events::Ack`].
pub type Ack<T = sockeye_socket_proto::Args> = sockeye_events::Ack<Socket, T>;

pub use sockeye_adapter::{RoomName, RoomNames, Target};
#[cfg(feature = "tls")]
pub use sockeye_engine::rustls;
pub use sockeye_engine::{
    ConfigError, ConnectionInfo, Cookie, Cors, EngineConfig, EngineLayer, EngineService, Headers,
    LayerBody, LayeredService, ListenError, ListenOptions, ListenUrl, Listener, MissingRevision,
    Revision, SameSite, StaticFile, TransportKind, UrlError, batch,
};
pub use sockeye_events::{
    AckError, AckFuture, Callback, Data, DisconnectReason, EmitError, Event, EventError,
    EventErrorKind, EventName, ExtractError, FromEvent, IntoRefusal, IntoReply, ListenerId,
    Ordering, Outcome, Refusal, Reply, State,
};
pub use sockeye_socket_proto::{Args, ArgsError, ConnectionConfig, FromArgs, StrayPackets, ToArgs};
