//! What the sockets of the server and of the client share: handlers and the extractors they are
//! made of, listener tables, acknowledgements, and the errors of all these.
//!
//! Everything here is generic over one type, the [`EventSocket`]: the server's `Socket` or the
//! client's. Applications use the re-exports of the `sockeye` crate, in which that parameter is
//! filled in.
//!
//! An event's way through this crate:
//!
//! 1. the owner of a connection makes an [`Event`], whose arguments are still raw JSON;
//! 2. [`ListenerTable::dispatch`] finds the handlers of its name;
//! 3. each handler extracts what its parameters ask for ([`FromEvent`]), runs, and its return
//!    value becomes the acknowledgement ([`IntoReply`]);
//! 4. a future that does not finish at its first poll joins the connection's [`Running`] set.

mod acks;
mod callback;
mod deadline;
mod error;
mod event;
mod extract;
mod failure;
mod handler;
mod listeners;
pub mod names;
mod often;
mod reason;
mod refusal;
mod reply;
mod running;
mod slot;
mod snapshot;
mod state;
mod table;
mod typed;

pub use acks::{AckFuture, AckTable, NoAnswer, Waiter};
pub use callback::{Callback, Called};
pub use deadline::Deadline;
pub use error::{AckError, EmitError, EventError, EventErrorKind, ExtractError, write_causes};
pub use event::{Event, EventSocket, PeerSocket};
pub use extract::{Ack, Data, DisconnectDetail, EventName, FromEvent, State};
pub use handler::{BoxHandler, erase};
pub use listeners::{Added, Listeners};
pub use often::Often;
pub use reason::DisconnectReason;
pub use refusal::{Failure, IntoRefusal, Refusal};
pub use reply::{IntoReply, Outcome, Reply, Responder};
pub use running::{HandlerFuture, Ordering, Running, Started, start, start_alone};
pub use slot::AckSlot;
pub use snapshot::{Cached, Snapshot};
pub use state::StateMap;
pub use table::{ListenerId, ListenerTable, Reached};
pub use typed::{EventArgs, EventCallback, EventParam, EventReply, NoAck, TypedEvent, erase_event};

/// What the code of `#[derive(Event)]` is made of; no part of the API.
#[doc(hidden)]
pub mod __private {
    pub use serde::Serialize;
    pub use serde::de::DeserializeOwned;

    pub use crate::typed::read;
}
