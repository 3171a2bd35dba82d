//! Events between the servers of a cluster.

mod incoming;
mod limits;

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use sockeye_adapter::{AnswerTo, EventBody, Incomplete};
use sockeye_events::{
    AckError, EmitError, Event, EventError, EventSocket, ExtractError, FromEvent, HandlerFuture,
    Listeners, StateMap,
};
use sockeye_socket_proto::{Args, ToArgs};
use thiserror::Error;

pub(crate) use incoming::Incoming;
pub use limits::ServerSideLimits;

/// An event that another server has emitted to this one, in the place that a socket has for the events of clients.
///
/// Handlers of such events take the same parameters as others, but for those that a socket is asked for:
/// [`Data`](crate::Data), [`Args`], [`EventName`](crate::EventName), [`State`](crate::State),
/// [`Server`](crate::Server), and this itself.
#[derive(Clone)]
pub struct ServerSide(Arc<ServerSideCore>);

struct ServerSideCore {
    namespace: Arc<str>,
    state: Arc<StateMap>,
    answer: Mutex<Option<AnswerTo>>,
}

/// Why not every server of the cluster has answered.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServerSideError<T> {
    /// Some have not, or not in time.
    #[error(transparent)]
    Incomplete(#[from] Incomplete<T>),
    /// One of them has refused, or has answered with something else than what is expected.
    #[error("a server of the cluster gave no answer")]
    Answer(#[source] AckError),
    /// The event was not emitted.
    #[error("the event was not emitted")]
    Emit(#[from] EmitError),
}

/// Calls the handlers of an event of another server; `start` gets what they have to do, one after the other.
fn dispatch(
    listeners: &Listeners<ServerSide>,
    namespace: &Arc<str>,
    state: &Arc<StateMap>,
    event: &EventBody<'_>,
    answer: Option<AnswerTo>,
    start: impl FnMut(HandlerFuture),
) {
    // There is one answer, and it is found by the event, so that any number will do.
    let ack_id = answer.is_some().then_some(0);
    let server_side = ServerSide(Arc::new(ServerSideCore {
        namespace: Arc::clone(namespace),
        state: Arc::clone(state),
        answer: Mutex::new(answer),
    }));
    let event = Event::incoming(&server_side, event.name, event.args, ack_id);
    event.share_ack();
    if listeners.load().dispatch_aside(&event, start) {
        listeners.sweep(event.name());
    }
    event.all_called();
}

impl ServerSide {
    /// The name of the namespace in which the event was emitted.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.0.namespace
    }
}

impl EventSocket for ServerSide {
    fn acknowledge<A: ToArgs + ?Sized>(&self, _id: u64, args: &A) -> Result<(), EmitError> {
        let args = Args::new(args)?;
        // Unlocked, as what it does is the adapter's affair.
        let answer = self.0.answer.lock().take();
        if let Some(answer) = answer {
            answer(args);
        }
        Ok(())
    }

    fn state(&self) -> &StateMap {
        &self.0.state
    }

    fn report(&self, error: EventError) {
        let namespace = &*self.0.namespace;
        tracing::warn!(namespace, error = %format_args!("{error:#}"), "a server-side event failed");
    }
}

impl FromEvent<Self> for ServerSide {
    fn from_event(event: &Event<'_, Self>) -> Result<Self, ExtractError> {
        Ok(event.socket().clone())
    }
}

impl fmt::Debug for ServerSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSide")
            .field("namespace", &self.0.namespace)
            .finish_non_exhaustive()
    }
}
