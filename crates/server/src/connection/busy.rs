//! What a connection cannot do at once.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use sockeye_events::{AckSlot, Event};
use sockeye_socket_proto::{Args, NamespaceKey};

use crate::Socket;
use crate::middleware::{BoxMiddleware, Decision, Next};

/// What cannot be done at once.
#[derive(Default)]
pub(super) struct Busy {
    /// Sockets about which a middleware is still thinking.
    pub(super) joining: FuturesUnordered<Joining>,
    /// Events for which no handler is free, or which wait behind one that is being decided about.
    pub(super) queue: VecDeque<QueuedEvent>,
    /// Bytes in the queue.
    queued: usize,
    /// The event about which a socket's middleware is thinking.
    pub(super) deciding: Option<Deciding>,
}

/// A socket that waits for the verdict of the namespace's middlewares.
pub(super) struct Joining {
    pub(super) socket: Socket,
    pub(super) chain: Chain,
}

/// An event that waits for the verdict of its socket's middlewares.
pub(super) struct Deciding {
    pub(super) socket: Socket,
    pub(super) key: NamespaceKey,
    pub(super) event: Box<str>,
    pub(super) ack: Option<AckSlot>,
    pub(super) chain: Chain,
}

/// Middlewares at work.
pub(super) type Chain = Pin<Box<dyn Future<Output = Next> + Send>>;

/// An event that has left the read buffer.
pub(super) struct QueuedEvent {
    pub(super) key: NamespaceKey,
    pub(super) name: String,
    pub(super) args: Args,
    pub(super) ack_id: Option<u64>,
}

impl QueuedEvent {
    fn size(&self) -> usize {
        let attachments: usize = self.args.attachments().iter().map(Bytes::len).sum();
        self.name.len() + self.args.as_json().len() + attachments
    }
}

impl Busy {
    pub(super) fn push(&mut self, event: QueuedEvent) {
        self.queued += event.size();
        self.queue.push_back(event);
    }

    pub(super) fn pop(&mut self) -> Option<QueuedEvent> {
        let event = self.queue.pop_front()?;
        self.queued -= event.size();
        Some(event)
    }

    /// Whether another event may be queued.
    pub(super) fn has_room(&self, max_events: usize, max_bytes: usize) -> bool {
        self.queue.len() < max_events && self.queued < max_bytes
    }

    pub(super) fn blocks_events(&self) -> bool {
        self.deciding.is_some() || !self.queue.is_empty()
    }
}

impl Future for Joining {
    type Output = (Socket, Next);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let next = ready!(self.chain.as_mut().poll(cx));
        Poll::Ready((self.socket.clone(), next))
    }
}

/// Asks one middleware after the other about an event. If all pass, the verdict is the event as
/// they have left it.
pub(super) async fn run(
    middlewares: Arc<Vec<BoxMiddleware>>,
    socket: Socket,
    mut name: String,
    mut args: Args,
    ack: Option<AckSlot>,
) -> Next {
    for middleware in middlewares.iter() {
        let decision = middleware(&Event::again(&socket, &name, args.as_raw(), ack.clone()));
        let next = match decision {
            Decision::Now(next) => next,
            Decision::Later(future) => future.await,
        };
        match next {
            Next::Pass => {}
            Next::Rewrite(new_name, new_args) => (name, args) = (new_name, new_args),
            verdict => return verdict,
        }
    }
    Next::Rewrite(name, args)
}
