//! The Socket.IO server: namespaces, sockets, rooms and broadcasts.
//!
//! [`Server`] holds everything; [`Namespace`] is one of its multiplexed paths and has the
//! handlers; [`Socket`] is one peer in one namespace; [`BroadcastOperator`] says to whom an
//! event goes. All are cheap to clone and can be used from any thread.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod acks;
mod broadcast;
mod captures;
mod cluster;
mod common;
mod config;
mod connection;
mod details;
mod directory;
mod extract;
mod family;
mod files;
mod handlers;
mod handshake;
mod link;
mod namespace;
mod namespaces;
mod parent;
mod pattern;
mod recovery;
mod request;
mod server;
mod server_side;
mod trace;
mod typed;

pub use acks::{AckSummary, Answerer, BroadcastAcks};
pub use broadcast::{BroadcastOperator, RemoteSocket};
pub use cluster::ClusterView;
pub use config::{ServerConfig, SlowReceiver};
pub use extract::{Captures, Extension};
pub use files::{ClientFiles, ClientFilesError};
pub use handshake::Handshake;
pub use namespace::{Namespace, Socket};
pub use parent::ParentNamespace;
pub use pattern::PatternError;
pub use recovery::RecoveryConfig;
pub use request::NamespaceRequest;
pub use server::{LayeredServer, Server, ServerLayer, ServerService, WeakServer};
pub use server_side::{ServerSide, ServerSideError, ServerSideLimits};

/// Answers an event whenever the handler chooses, instead of by its return value.
///
/// `T` is what the answer is made of; a tuple becomes several arguments. Taken as a parameter of a
/// handler, it has three methods: `is_wanted()` says whether the peer waits for an answer,
/// `send(answer)` sends it, and `refuse(error)` refuses. The last two do nothing if none is wanted
/// or another handler was first. See [`sockeye_events::Ack`].
///
/// ```
/// # use sockeye_server as sockeye;
/// use sockeye::{Ack, Data, EmitError, Server};
///
/// let io = Server::new();
/// io.on("upload", async |Data(size): Data<u64>, ack: Ack<u64>| -> Result<(), EmitError> {
///     ack.send(size)?;
///     // The client has its answer, and the work goes on here.
///     Ok(())
/// });
/// ```
pub type Ack<T = sockeye_socket_proto::Args> = sockeye_events::Ack<Socket, T>;

/// One emit to one socket, with options: what [`Socket::timeout`], [`Socket::volatile`] and
/// [`Socket::compress`] begin. See [`sockeye_link::Emission`].
pub type Emission<'s> = sockeye_link::Emission<'s, Socket>;

/// What other servers of a cluster are made of: for whoever writes an adapter.
pub mod adapter {
    pub use sockeye_adapter::{
        Adapter, Answer, AnswerTo, BroadcastOptions, Claim, Cluster, ClusterChange, ClusterCounts,
        ClusterState, Delivery, EventBody, HandshakeDetails, Incomplete, IntoCluster, KeptSocket,
        Local, LoggedEvent, Progress, Receivers, Reception, RecoveryStore, Restored, Resume,
        RoomEvent, RoomName, RoomNames, Save, SocketDetails, Target,
    };
}
pub use sockeye_adapter::{
    ClusterChange, ClusterCounts, ClusterState, HandshakeDetails, Incomplete, KeptSocket,
    RoomEvent, RoomName, RoomNames, Target,
};
pub use sockeye_engine::{
    DeflateConfig, Dialect, NetSocket, PeerCredentials, Revision, SessionLimits, TransportKind,
    batch,
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
/// The request that opened a connection.
pub use sockeye_listen::Handshake as SessionHandshake;
#[cfg(feature = "tls")]
pub use sockeye_listen::rustls;
pub use sockeye_listen::{
    Body, ConfigError, ConnectionError, ConnectionInfo, Cookie, Cors, EngineConfig, Headers,
    HttpCompression, LayerBody, ListenError, ListenOptions, ListenUrl, ListenUrlError, Listener,
    MissingRevision, RequestBody, RequestService, SameSite, SessionConfig, StaticFile,
};
pub use sockeye_socket_proto::lines::{BadLines, LinesConfig};
pub use sockeye_socket_proto::parser;
pub use sockeye_socket_proto::{
    Args, ArgsError, ArgsWriter, BytesOut, ConnectionConfig, DecodeError, EncodeError,
    EncodeErrorKind, FromArgs, RawArgs, StrayPackets, ToArgs, from_json,
};
