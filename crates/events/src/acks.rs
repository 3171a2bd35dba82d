use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use sockeye_meter::{self as meter, Tally};
use sockeye_socket_proto::{Args, FromArgs};
use tokio::sync::oneshot;

use crate::{AckError, Deadline, EmitError, Refusal};

/// The acknowledgements that one socket waits for.
///
/// Costs one word and a lock while none is pending. What waits is told of every outcome: the
/// answer, or that the socket was disconnected.
#[derive(Default)]
pub struct AckTable {
    pending: Mutex<Pending>,
}

struct Pending {
    #[expect(
        clippy::box_collection,
        reason = "a map is six words, and idle sockets have none"
    )]
    table: Option<Box<HashMap<u64, Waiter, foldhash::fast::RandomState>>>,
    /// What is counted of them.
    share: Tally<{ meter::ACKS }>,
}

/// What is told when an acknowledgement comes, or that none will.
pub struct Waiter(Box<dyn FnOnce(Result<Args, NoAnswer>) + Send>);

/// Why no answer will come.
#[derive(Debug)]
pub enum NoAnswer {
    /// The socket was disconnected first.
    Disconnected,
    /// It was waited for long enough.
    Timeout,
    /// The event was kept until there was a connection, and cannot go over it.
    NotSent(EmitError),
}

impl Waiter {
    /// A waiter that runs this function, on the task of the connection.
    pub fn new(function: impl FnOnce(Result<Args, NoAnswer>) + Send + 'static) -> Self {
        Self(Box::new(function))
    }

    /// Tells the outcome.
    pub fn tell(self, answer: Result<Args, NoAnswer>) {
        (self.0)(answer);
    }
}

impl AckError {
    /// What an outcome is to one who waits for an answer of this type: the answer, or why there is none. That the peer
    /// has refused is never an answer.
    ///
    /// # Errors
    ///
    /// Why there is none.
    #[doc(hidden)]
    pub fn read<T: FromArgs>(answer: Result<Args, NoAnswer>) -> Result<T, Self> {
        let args = answer?;
        match Refusal::from_answer(&args) {
            Some(refusal) => Err(Self::Refused(refusal)),
            None => Ok(T::from_args(args)?),
        }
    }
}

impl From<NoAnswer> for AckError {
    fn from(none: NoAnswer) -> Self {
        match none {
            NoAnswer::Disconnected => Self::Disconnected,
            NoAnswer::Timeout => Self::Timeout,
            NoAnswer::NotSent(error) => Self::Emit(error),
        }
    }
}

impl AckTable {
    /// A table whose acknowledgements are counted, as for a server's socket.
    #[must_use]
    pub const fn counted() -> Self {
        Self {
            pending: Mutex::new(Pending {
                table: None,
                share: Tally::new(),
            }),
        }
    }

    /// Starts to wait for this id; at most `limit` acknowledgements may be pending.
    ///
    /// # Errors
    ///
    /// [`EmitError::TooManyPendingAcks`] if the limit is reached.
    pub fn insert(&self, id: u64, waiter: Waiter, limit: usize) -> Result<(), EmitError> {
        let mut pending = self.pending.lock();
        let table = pending.table.get_or_insert_default();
        if table.len() >= limit {
            return Err(EmitError::TooManyPendingAcks);
        }
        table.insert(id, waiter);
        pending.tidy();
        Ok(())
    }

    /// Stops waiting for this id, without telling its waiter.
    pub fn remove(&self, id: u64) -> Option<Waiter> {
        let mut pending = self.pending.lock();
        let waiter = pending.table.as_mut()?.remove(&id);
        pending.tidy();
        waiter
    }

    /// Hands an answer to its waiter; false if nothing waits for this id (any more).
    pub fn answer(&self, id: u64, args: impl FnOnce() -> Args) -> bool {
        // The waiter runs after the lock is released: it may well emit again.
        match self.remove(id) {
            Some(waiter) => {
                waiter.tell(Ok(args()));
                true
            }
            None => false,
        }
    }

    /// Tells every waiter that no answer will come, as the socket is disconnected.
    pub fn fail_all(&self) {
        self.fail_where(|_| true);
    }

    /// Tells the waiters of these ids that no answer will come, as the socket is disconnected.
    pub fn fail_where(&self, mut is_lost: impl FnMut(u64) -> bool) {
        let mut pending = self.pending.lock();
        let Some(table) = pending.table.as_mut() else {
            return;
        };
        let lost: Vec<_> = table
            .extract_if(|id, _| is_lost(*id))
            .map(|(_, waiter)| waiter)
            .collect();
        pending.tidy();
        drop(pending);
        for waiter in lost {
            waiter.tell(Err(NoAnswer::Disconnected));
        }
    }

    /// Whether something waits for this id.
    #[must_use]
    pub fn contains(&self, id: u64) -> bool {
        let pending = self.pending.lock();
        let table = pending.table.as_ref();
        table.is_some_and(|table| table.contains_key(&id))
    }

    /// How many acknowledgements are pending.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pending.lock().len()
    }

    /// Whether none is pending.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Pending {
    fn len(&self) -> usize {
        self.table.as_ref().map_or(0, |table| table.len())
    }

    /// After a change.
    fn tidy(&mut self) {
        self.share.set(self.len());
        self.table.take_if(|table| table.is_empty());
    }
}

/// Nothing is pending, or counted.
impl Default for Pending {
    fn default() -> Self {
        Self {
            table: None,
            share: Tally::uncounted(),
        }
    }
}

impl fmt::Debug for AckTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AckTable")
            .field("len", &self.len())
            .finish()
    }
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waiter")
    }
}

/// The answer to an event that was emitted with an acknowledgement; see `emit_with_ack`.
///
/// The event has been sent when this exists. Dropping it stops the waiting; an answer that comes
/// later is ignored.
#[must_use = "the answer is only had by awaiting it"]
pub struct AckFuture<T> {
    state: Awaiting,
    answer: PhantomData<fn() -> T>,
}

enum Awaiting {
    Failed(Option<EmitError>),
    Waiting {
        receiver: oneshot::Receiver<Result<Args, NoAnswer>>,
        timeout: Option<Deadline>,
        guard: Guard,
    },
}

/// Takes the waiter out of the table when nobody waits any more.
struct Guard {
    id: u64,
    table: Weak<dyn AsRef<AckTable> + Send + Sync>,
}

impl Guard {
    fn tell_timeout(&self) {
        tracing::debug!(ack_id = self.id, "no answer in time");
        if let Some(table) = self.table.upgrade()
            && (*table).as_ref().pending.lock().share.is_counted()
        {
            meter::acks_timed_out(1);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(table) = self.table.upgrade() {
            (*table).as_ref().remove(self.id);
        }
    }
}

impl<T> AckFuture<T> {
    /// Registers with a socket's table, then lets `emit` send the event.
    ///
    /// `owner` is what holds the table. It is not kept alive by the future.
    #[doc(hidden)]
    pub fn register(
        owner: &Arc<dyn AsRef<AckTable> + Send + Sync>,
        id: u64,
        limit: usize,
        timeout: Option<Duration>,
        emit: impl FnOnce() -> Result<(), EmitError>,
    ) -> Self {
        let (sender, receiver) = oneshot::channel();
        let waiter = Waiter::new(move |answer| {
            let _ = sender.send(answer);
        });
        let table = (**owner).as_ref();
        if let Err(error) = table.insert(id, waiter, limit) {
            return Self::failed(error);
        }
        let guard = Guard {
            id,
            table: Arc::downgrade(owner),
        };
        if let Err(error) = emit() {
            return Self::failed(error);
        }
        let timeout = timeout.map(Deadline::after);
        Self {
            state: Awaiting::Waiting {
                receiver,
                timeout,
                guard,
            },
            answer: PhantomData,
        }
    }

    /// A future that fails at once.
    pub const fn failed(error: EmitError) -> Self {
        Self {
            state: Awaiting::Failed(Some(error)),
            answer: PhantomData,
        }
    }
}

impl<T: FromArgs> Future for AckFuture<T> {
    type Output = Result<T, AckError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.state {
            Awaiting::Failed(error) => {
                let error = error.take().expect("polled after it was ready");
                Poll::Ready(Err(error.into()))
            }
            Awaiting::Waiting {
                receiver,
                timeout,
                guard,
            } => {
                if let Poll::Ready(answer) = Pin::new(receiver).poll(cx) {
                    return Poll::Ready(match answer {
                        Ok(answer) => AckError::read(answer),
                        Err(_) => Err(AckError::Disconnected),
                    });
                }
                match timeout.as_mut().map(|timeout| timeout.poll(cx)) {
                    Some(Poll::Ready(())) => {
                        guard.tell_timeout();
                        Poll::Ready(Err(AckError::Timeout))
                    }
                    _ => Poll::Pending,
                }
            }
        }
    }
}

impl<T> fmt::Debug for AckFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            Awaiting::Failed(error) => f.debug_tuple("AckFuture").field(error).finish(),
            Awaiting::Waiting { guard, .. } => f.debug_tuple("AckFuture").field(&guard.id).finish(),
        }
    }
}
