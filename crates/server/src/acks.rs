use std::collections::HashMap;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use sockeye_adapter::Answer;
use sockeye_events::{AckError, Deadline, EmitError, NoAnswer, Waiter};
use sockeye_meter as meter;
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
    local: LocalAcks,
    remote: Option<RemoteAcks>,
    shape: PhantomData<fn() -> T>,
}

/// Who answered a broadcast, and who did not.
#[derive(Debug)]
#[non_exhaustive]
pub struct AckSummary<T> {
    /// The answers, in the order in which they came.
    pub answers: Vec<(Answerer, T)>,
    /// Those who did not answer in time, or refused, with the reason.
    pub missing: Vec<(Answerer, AckError)>,
    /// How many other servers of the cluster have not even said how many sockets they asked.
    pub missing_servers: usize,
}

/// Who answers a broadcast, or does not.
#[derive(Clone, PartialEq, Eq)]
pub enum Answerer {
    /// A socket of this server.
    Local(Socket),
    /// A socket of another server of the cluster; its id, if that server tells it.
    Remote(Option<Arc<str>>),
}

impl Answerer {
    /// The socket's id, if it is known, as that of a socket of this server is.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Local(socket) => Some(socket.id()),
            Self::Remote(id) => id.as_deref(),
        }
    }

    /// The socket, if it is one of this server.
    #[must_use]
    pub const fn socket(&self) -> Option<&Socket> {
        match self {
            Self::Local(socket) => Some(socket),
            Self::Remote(_) => None,
        }
    }
}

/// Without the ids of remote ones, which may be secret.
impl fmt::Debug for Answerer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(socket) => f.debug_tuple("Local").field(socket).finish(),
            Self::Remote(_) => f.debug_struct("Remote").finish_non_exhaustive(),
        }
    }
}

impl<T> BroadcastAcks<T> {
    pub(crate) const fn new(local: LocalAcks, remote: Option<RemoteAcks>) -> Self {
        Self {
            local,
            remote,
            shape: PhantomData,
        }
    }

    /// How many receivers have not answered yet, of those that are known: other servers say after
    /// a while how many theirs are.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.local.waiting.len() + self.remote.as_ref().map_or(0, |remote| remote.pending())
    }

    /// How many other servers of the cluster will not say how many receivers they have.
    #[must_use]
    pub fn missing_servers(&self) -> usize {
        self.remote.as_ref().map_or(0, |remote| remote.missing)
    }
}

impl<T: FromArgs> BroadcastAcks<T> {
    /// Waits for all answers, or for the time to be up.
    pub async fn summary(mut self) -> AckSummary<T> {
        let mut summary = AckSummary {
            answers: Vec::new(),
            missing: Vec::new(),
            missing_servers: 0,
        };
        while let Some((answerer, answer)) = self.next().await {
            match answer {
                Ok(answer) => summary.answers.push((answerer, answer)),
                Err(error) => summary.missing.push((answerer, error)),
            }
        }
        let late = self.local.waiting.values().cloned().map(Answerer::Local);
        let pending = self.remote.as_ref().map_or(0, |remote| remote.pending());
        let unknown = std::iter::repeat_n(Answerer::Remote(None), pending);
        let late = late.chain(unknown);
        summary
            .missing
            .extend(late.map(|answerer| (answerer, AckError::Timeout)));
        summary.missing_servers = self.missing_servers();
        summary
    }
}

impl<T: FromArgs> Stream for BroadcastAcks<T> {
    type Item = (Answerer, Result<T, AckError>);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let local = self.local.poll_next_unpin(cx);
        if let Poll::Ready(Some((socket, answer))) = local {
            let answer = answer.map_err(AckError::from);
            let answer = answer.and_then(|args| AckError::read(Ok(args)));
            return Poll::Ready(Some((Answerer::Local(socket), answer)));
        }
        let remote = match &mut self.remote {
            Some(remote) => remote.poll_next_unpin(cx),
            None => Poll::Ready(None),
        };
        match remote {
            Poll::Ready(Some((id, answer))) => {
                Poll::Ready(Some((Answerer::Remote(id), AckError::read(answer))))
            }
            Poll::Ready(None) => local.map(|_| None),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T: FromArgs + Send + 'static> IntoFuture for BroadcastAcks<T> {
    type Output = AckSummary<T>;
    type IntoFuture = Pin<Box<dyn Future<Output = AckSummary<T>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.summary())
    }
}

impl<T> fmt::Debug for BroadcastAcks<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BroadcastAcks")
            .field("pending", &self.pending())
            .finish_non_exhaustive()
    }
}

/// The answers of this server's sockets. It ends when everyone has answered, or when the time is up.
pub(crate) struct LocalAcks {
    id: u64,
    asked: usize,
    deadline: Deadline,
    is_late: bool,
    waiting: HashMap<Arc<str>, Socket, foldhash::fast::RandomState>,
    failed: Vec<(Socket, EmitError)>,
    sender: Option<mpsc::UnboundedSender<LocalAnswer>>,
    answers: mpsc::UnboundedReceiver<LocalAnswer>,
}

/// The socket's id, and what it said.
type LocalAnswer = (Arc<str>, Result<Args, NoAnswer>);

impl LocalAcks {
    pub(crate) fn new(id: u64, timeout: Duration) -> Self {
        let (sender, answers) = mpsc::unbounded_channel();
        Self {
            id,
            asked: 0,
            deadline: Deadline::after(timeout),
            is_late: false,
            waiting: HashMap::default(),
            failed: Vec::new(),
            sender: Some(sender),
            answers,
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
        self.asked += 1;
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

    /// How many receivers there are.
    pub(crate) const fn asked(&self) -> usize {
        self.asked
    }
}

impl Stream for LocalAcks {
    type Item = (Socket, Result<Args, NoAnswer>);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some((socket, error)) = self.failed.pop() {
            return Poll::Ready(Some((socket, Err(NoAnswer::NotSent(error)))));
        }
        while let Poll::Ready(Some((id, answer))) = self.answers.poll_recv(cx) {
            if let Some(socket) = self.waiting.remove(&id) {
                return Poll::Ready(Some((socket, answer)));
            }
        }
        if self.waiting.is_empty() {
            return Poll::Ready(None);
        }
        ready!(self.deadline.poll(cx));
        // It may be asked again while others are waited for.
        if !std::mem::replace(&mut self.is_late, true) {
            meter::acks_timed_out(self.waiting.len());
            // Whoever keeps this for longer does not keep the sockets waiting.
            self.forget();
        }
        Poll::Ready(None)
    }
}

impl LocalAcks {
    /// No answer is waited for any more.
    fn forget(&self) {
        for socket in self.waiting.values() {
            socket.acks().remove(self.id);
        }
    }
}

impl Drop for LocalAcks {
    fn drop(&mut self) {
        self.forget();
    }
}

/// The answers of other servers' sockets.
pub(crate) struct RemoteAcks {
    /// `None` when there are no more.
    answers: Option<BoxStream<'static, Answer>>,
    /// For an adapter that forgets to end.
    deadline: Deadline,
    asked: usize,
    heard: usize,
    missing: usize,
}

impl RemoteAcks {
    /// `timeout` is how long the adapter may wait for answers.
    pub(crate) fn new(answers: BoxStream<'static, Answer>, timeout: Duration) -> Self {
        Self {
            answers: Some(answers),
            deadline: Deadline::after(timeout.saturating_add(GRACE)),
            asked: 0,
            heard: 0,
            missing: 0,
        }
    }

    /// How many have been asked and have not answered. Answers may come before that number.
    const fn pending(&self) -> usize {
        self.asked.saturating_sub(self.heard)
    }
}

/// What an adapter gets beyond the time for the answers, to say which are missing.
const GRACE: Duration = Duration::from_secs(1);

impl Stream for RemoteAcks {
    type Item = (Option<Arc<str>>, Result<Args, NoAnswer>);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while let Some(answers) = &mut self.answers {
            let Poll::Ready(answer) = answers.poll_next_unpin(cx) else {
                ready!(self.deadline.poll(cx));
                self.answers = None;
                break;
            };
            let heard = match answer {
                Some(Answer::Asked(sockets)) => {
                    self.asked += sockets;
                    continue;
                }
                Some(Answer::Missing(servers)) => {
                    self.missing += servers;
                    continue;
                }
                Some(Answer::Given { id, args }) => (id, Ok(args)),
                Some(Answer::Lost { id }) => (id, Err(NoAnswer::Disconnected)),
                None => {
                    self.answers = None;
                    break;
                }
            };
            self.heard += 1;
            return Poll::Ready(Some(heard));
        }
        Poll::Ready(None)
    }
}
