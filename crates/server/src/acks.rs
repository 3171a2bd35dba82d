use std::collections::HashMap;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use sockeye_events::{AckError, Deadline, EmitError, NoAnswer, Waiter};
use sockeye_socket_proto::{Args, FromArgs};
use tokio::sync::mpsc;

use crate::Socket;

/// The answers to a broadcast.
///
/// As a [`Stream`] it gives each receiver with its answer as they come in: `Err` for one that
/// disconnected first, that refused or whose answer has the wrong shape, and for one that could not
/// be sent to at all. It ends when everyone has answered, or when the time is up.
///
/// Awaited as a whole it gives an [`AckSummary`], which also says who did not answer.
#[must_use = "the answers are only had by awaiting them"]
pub struct BroadcastAcks<T> {
    id: u64,
    deadline: Deadline,
    waiting: HashMap<Arc<str>, Socket, foldhash::fast::RandomState>,
    failed: Vec<(Socket, EmitError)>,
    sender: Option<mpsc::UnboundedSender<Answer>>,
    answers: mpsc::UnboundedReceiver<Answer>,
    shape: PhantomData<fn() -> T>,
}

/// Who answered a broadcast, and who did not.
#[derive(Debug)]
#[non_exhaustive]
pub struct AckSummary<T> {
    /// The answers, in the order in which they came.
    pub answers: Vec<(Socket, T)>,
    /// Those who did not answer in time, or refused, with the reason.
    pub missing: Vec<(Socket, AckError)>,
}

/// The socket's id, and what it said.
type Answer = (Arc<str>, Result<Args, NoAnswer>);

impl<T> BroadcastAcks<T> {
    pub(crate) fn new(id: u64, timeout: Duration) -> Self {
        let (sender, answers) = mpsc::unbounded_channel();
        Self {
            id,
            deadline: Deadline::after(timeout),
            waiting: HashMap::default(),
            failed: Vec::new(),
            sender: Some(sender),
            answers,
            shape: PhantomData,
        }
    }

    /// Sends to one receiver and waits for its answer.
    pub(crate) fn expect(
        &mut self,
        socket: Socket,
        send: impl FnOnce(&Socket) -> Result<(), EmitError>,
    ) {
        let Some(sender) = self.sender.clone() else {
            return;
        };
        let id = socket.shared_id();
        // The channel holds at most one answer of each receiver.
        let waiter = Waiter::new(move |answer| drop(sender.send((id, answer))));
        let limit = socket.namespace().config().max_pending_acks;
        let sent = socket
            .acks()
            .insert(self.id, waiter, limit)
            .and_then(|()| send(&socket));
        match sent {
            Ok(()) => drop(self.waiting.insert(socket.shared_id(), socket)),
            Err(error) => {
                socket.acks().remove(self.id);
                self.failed.push((socket, error));
            }
        }
    }

    /// Everyone has been sent to.
    pub(crate) fn sent(&mut self) {
        self.sender = None;
    }

    /// How many receivers have not answered yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.waiting.len()
    }
}

impl<T: FromArgs> BroadcastAcks<T> {
    /// Waits for all answers, or for the time to be up.
    pub async fn summary(mut self) -> AckSummary<T> {
        let mut summary = AckSummary {
            answers: Vec::new(),
            missing: Vec::new(),
        };
        while let Some((socket, answer)) = std::future::poll_fn(|cx| self.poll_answer(cx)).await {
            match answer {
                Ok(answer) => summary.answers.push((socket, answer)),
                Err(error) => summary.missing.push((socket, error)),
            }
        }
        let late = self
            .waiting
            .values()
            .map(|socket| (socket.clone(), AckError::Timeout));
        summary.missing.extend(late);
        summary
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Option<(Socket, Result<T, AckError>)>> {
        if let Some((socket, error)) = self.failed.pop() {
            return Poll::Ready(Some((socket, Err(error.into()))));
        }
        while let Poll::Ready(Some((id, answer))) = self.answers.poll_recv(cx) {
            let Some(socket) = self.waiting.remove(&id) else {
                continue;
            };
            return Poll::Ready(Some((socket, AckError::read(answer))));
        }
        if self.waiting.is_empty() {
            return Poll::Ready(None);
        }
        self.deadline.poll(cx).map(|()| None)
    }
}

impl<T: FromArgs> Stream for BroadcastAcks<T> {
    type Item = (Socket, Result<T, AckError>);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_answer(cx)
    }
}

impl<T: FromArgs + Send + 'static> IntoFuture for BroadcastAcks<T> {
    type Output = AckSummary<T>;
    type IntoFuture = Pin<Box<dyn Future<Output = AckSummary<T>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.summary())
    }
}

impl<T> Drop for BroadcastAcks<T> {
    fn drop(&mut self) {
        for socket in self.waiting.values() {
            socket.acks().remove(self.id);
        }
    }
}

impl<T> fmt::Debug for BroadcastAcks<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BroadcastAcks")
            .field("pending", &self.waiting.len())
            .finish_non_exhaustive()
    }
}
