//! A namespace that is asked for.

use std::fmt;
use std::sync::Arc;

use sockeye_events::{
    EmitError, Event, EventError, EventSocket, ExtractError, FromEvent, StateMap,
};
use sockeye_socket_proto::ToArgs;

use crate::Handshake;

/// A peer asks for a namespace that may be made for it: what the functions of [`Server::of_fn`](crate::Server::of_fn) decide
/// about.
///
/// They take the parameters of handlers that need no socket: [`State`](crate::State), [`Server`](crate::Server),
/// [`Handshake`], and this itself. Cheap to clone.
#[derive(Clone)]
pub struct NamespaceRequest(Arc<RequestCore>);

struct RequestCore {
    name: Box<str>,
    handshake: Handshake,
    state: Arc<StateMap>,
}

impl NamespaceRequest {
    pub(crate) fn new(name: &str, handshake: Handshake, state: Arc<StateMap>) -> Self {
        Self(Arc::new(RequestCore {
            name: name.into(),
            handshake,
            state,
        }))
    }

    /// The namespace's name, with its slash.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// How the peer introduced itself: the request that opened its connection, and its `auth` data for this namespace.
    #[must_use]
    pub fn handshake(&self) -> &Handshake {
        &self.0.handshake
    }
}

impl EventSocket for NamespaceRequest {
    /// Nobody waits for one.
    fn acknowledge<A: ToArgs + ?Sized>(&self, _id: u64, _args: &A) -> Result<(), EmitError> {
        Err(EmitError::Disconnected)
    }

    fn state(&self) -> &StateMap {
        &self.0.state
    }

    fn report(&self, error: EventError) {
        tracing::warn!(error = %format_args!("{error:#}"), "a namespace was not decided about");
    }
}

impl FromEvent<Self> for NamespaceRequest {
    fn from_event(event: &Event<'_, Self>) -> Result<Self, ExtractError> {
        Ok(event.socket().clone())
    }
}

impl FromEvent<NamespaceRequest> for Handshake {
    fn from_event(event: &Event<'_, NamespaceRequest>) -> Result<Self, ExtractError> {
        Ok(event.socket().handshake().clone())
    }
}

/// Without the handshake, in which tokens are.
impl fmt::Debug for NamespaceRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamespaceRequest")
            .field("name", &self.0.name)
            .finish_non_exhaustive()
    }
}
