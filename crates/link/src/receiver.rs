use std::fmt;

use sockeye_events::{EventSocket, Listeners, Refusal, Snapshot};
use sockeye_socket_proto::RawArgs;

use crate::middleware::BoxMiddleware;

/// What an [`Inbox`](crate::Inbox) needs of a socket.
pub trait Receiver: EventSocket {
    /// Whether events go to its handlers. What comes while not is dropped, unless it was
    /// [held](crate::Inbox::hold).
    fn is_connected(&self) -> bool;

    /// Its handlers, which it may share with others: a server's socket has its namespace's. They must be the same ones for as long as the socket is in an inbox.
    fn shared(&self) -> &Listeners<Self>;

    /// More handlers that it shares with others, called after those of [`shared`](Self::shared), if there are any: what
    /// one namespace has beside what all of its kind have. Its events cost more then. Default: none.
    fn shared_further(&self) -> Option<&Listeners<Self>> {
        None
    }

    /// The listeners and middlewares that are this socket's alone, if it has any. Its events cost more then: without
    /// them, no lock is taken and nothing is allocated to dispatch one.
    fn own(&self) -> Option<&Own<Self>>;

    /// Tells the peer that a middleware refused an event for which no answer is expected. Default: it is not told.
    fn refuse_without_ack(&self, refusal: &Refusal) {
        let _ = refusal;
    }

    /// What is to be remembered of an event by [`handle_receipt`](Self::handle_receipt). Default: nothing.
    fn receipt(&self, args: RawArgs<'_>, ack_id: Option<u64>) -> Option<Box<str>> {
        let _ = (args, ack_id);
        None
    }

    /// The event with this receipt has reached its handlers, or a middleware has kept it from them. An event that is
    /// lost with the connection before that has no part in this. Called in the order of the events.
    fn handle_receipt(&self, receipt: Box<str>) {
        drop(receipt);
    }
}

/// The handlers that are not of the first shared table, in the order in which they are called.
pub fn further<S: Receiver>(socket: &S) -> impl Iterator<Item = &Listeners<S>> {
    let own = socket.own().map(|own| &own.listeners);
    socket.shared_further().into_iter().chain(own)
}

/// Listeners and middlewares of one socket.
pub struct Own<S> {
    /// The listeners, called after those of the shared table.
    pub listeners: Listeners<S>,
    /// What decides about incoming events, in this order.
    pub middlewares: Snapshot<Vec<BoxMiddleware<S>>>,
}

impl<S: EventSocket> Default for Own<S> {
    fn default() -> Self {
        Self {
            listeners: Listeners::default(),
            middlewares: Snapshot::default(),
        }
    }
}

impl<S: EventSocket> fmt::Debug for Own<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Own")
            .field("listeners", &self.listeners)
            .field("middlewares", &self.middlewares.load().len())
            .finish()
    }
}
