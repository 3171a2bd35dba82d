//! The Socket.IO client: sockets that stay connected, over every transport.
//!
//! [`Client`] is the connection to one server, which comes back by itself when it is lost;
//! [`Socket`] is its part in one namespace, with the same handlers, extractors and
//! acknowledgements as the server's sockets have. Both are cheap to clone and can be used from
//! any thread.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod blocking;
mod builder;
mod client;
mod clock;
mod config;
mod connect;
mod connection;
mod error;
mod events;
mod handover;
mod heartbeat;
mod hooks;
mod life;
mod outgoing;
mod run;
mod socket;
mod typed;

pub use builder::ClientBuilder;
pub use client::Client;
pub use config::{BufferPolicy, ClientConfig, Reconnection, SocketConfig};
pub use error::{ConfigError, ConnectError};
pub use events::{EventStream, ReceivedEvent};
pub use hooks::ClientEvent;
pub use socket::Socket;
pub use typed::{ReceivedTypedEvent, TypedEventStream};

/// One emit, with options: what [`Socket::timeout`], [`Socket::volatile`] and [`Socket::compress`]
/// begin. See [`sockeye_link::Emission`].
pub type Emission<'s> = sockeye_link::Emission<'s, Socket>;

/// Answers an event whenever the handler chooses, instead of by its return value.
///
/// `T` is what the answer is made of; a tuple becomes several arguments. Taken as a parameter of a
/// handler, it has three methods: `is_wanted()` says whether the server waits for an answer,
/// `send(answer)` sends it, and `refuse(error)` refuses. The last two do nothing if none is wanted
/// or another handler was first.
pub type Ack<T = sockeye_socket_proto::Args> = sockeye_events::Ack<Socket, T>;

#[cfg(feature = "tls")]
pub use sockeye_dial::rustls;
pub use sockeye_dial::transport;
pub use sockeye_dial::{
    ConnectRequest, ConnectUrl, ConnectUrlError, ConnectorConfig, ConnectorError, DialConfig,
    DialError, OpenError, ProxyUrl, ProxyUrlError, RedirectLocation, ResponseError, TlsOptions,
    TransportOptions, UnixProblem,
};
pub use sockeye_engine::{
    DeflateConfig, Dialect, NetSocket, PeerCredentials, Revision, SessionLimits, TransportKind,
};
#[doc(hidden)]
pub use sockeye_events::__private;
pub use sockeye_events::{
    AckError, AckFuture, Added, Callback, Data, DisconnectDetail, DisconnectReason, EmitError,
    Event, EventArgs, EventCallback, EventError, EventErrorKind, EventName, EventParam, EventReply,
    ExtractError, Failure, FromEvent, IntoRefusal, IntoReply, ListenerId, Listeners, NoAck,
    Ordering, Outcome, Refusal, Reply, State, TypedEvent,
};
pub use sockeye_link::{EnginePacket, InboxLimits, IntoVerdict, Next};
pub use sockeye_socket_proto::lines::{BadLines, LinesConfig};
pub use sockeye_socket_proto::parser;
pub use sockeye_socket_proto::{
    Args, ArgsError, ArgsWriter, BytesOut, ConnectionConfig, DecodeError, EncodeError,
    EncodeErrorKind, FromArgs, RawArgs, StrayPackets, ToArgs, from_json,
};
