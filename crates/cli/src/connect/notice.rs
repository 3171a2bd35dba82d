//! What happens on the connection, in the order in which it does.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use sockeye::client::{
    Ack, ClientEvent, ConnectError, DisconnectDetail, EventName, Socket, TransportKind,
};
use sockeye::{Args, DisconnectReason};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::coop::unconstrained;

use crate::report::chain;

/// Something to be shown.
#[derive(Debug)]
pub(super) enum Notice {
    Connected {
        id: Option<Arc<str>>,
        transport: Option<TransportKind>,
        recovered: bool,
    },
    Event {
        name: Box<str>,
        args: Args,
        ack: Ack,
    },
    /// What became of an event that was emitted with the wish for an answer.
    Answer {
        number: u64,
        event: String,
        result: Result<Args, sockeye::AckError>,
        took: Duration,
    },
    /// With what else is known of it.
    Disconnected(DisconnectReason, Option<Arc<str>>),
    ConnectError(ConnectError),
    Reconnecting(Duration),
    /// An event went wrong, on either side.
    Problem(String),
}

/// What has happened and is to be shown.
pub(super) struct Notices {
    happened: mpsc::UnboundedReceiver<Notice>,
    room: Arc<Semaphore>,
    /// Answers that are waited for. They are in one place, rather than in a task for each, so that
    /// they are not shown in another order than they came in.
    answers: FuturesUnordered<Answer>,
    /// Those that have come.
    ready: VecDeque<Notice>,
}

type Answer = Pin<Box<dyn Future<Output = Notice> + Send>>;

/// Notices that may wait to be shown. After that the server has to wait with its events.
const CAPACITY: usize = 256;

/// Has everything that happens to a socket told.
pub(super) fn listen(socket: &Socket) -> Notices {
    let (teller, notices) = telling();
    let tell = teller.clone();
    socket.on_connect(move |socket: Socket| {
        tell.tell(Notice::Connected {
            id: socket.id(),
            transport: socket.transport(),
            recovered: socket.recovered(),
        })
    });
    let tell = teller.clone();
    socket.on_any(move |EventName(name): EventName, args: Args, ack: Ack| {
        let name = name.into();
        tell.tell(Notice::Event { name, args, ack })
    });
    let tell = teller.clone();
    socket.on_disconnect(move |reason: DisconnectReason, detail: DisconnectDetail| {
        tell.tell(Notice::Disconnected(reason, detail.0))
    });
    let tell = teller.clone();
    socket.on_connect_error(move |error: ConnectError| tell.tell(Notice::ConnectError(error)));
    let client = socket.client();
    let tell = teller.clone();
    client.on_client_event(move |event| {
        if let ClientEvent::ReconnectScheduled(delay) = event {
            // It cannot wait here. Whoever is that far behind has other news than this.
            tell.tell_if_room(Notice::Reconnecting(*delay));
        }
    });
    client.on_error(move |_, error| teller.tell_if_room(Notice::Problem(chain(error))));
    notices
}

/// A teller, and what is told by it and its clones.
fn telling() -> (Teller, Notices) {
    let (sender, happened) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(CAPACITY));
    let teller = Teller {
        happened: sender,
        room: Arc::clone(&room),
    };
    let notices = Notices {
        happened,
        room,
        answers: FuturesUnordered::new(),
        ready: VecDeque::new(),
    };
    (teller, notices)
}

impl Notices {
    /// Waits for this answer, too.
    pub(super) fn expect(&mut self, answer: impl Future<Output = Notice> + Send + 'static) {
        self.answers.push(Box::pin(answer));
    }

    /// Whether an answer is waited for.
    pub(super) fn expects_answers(&self) -> bool {
        !(self.answers.is_empty() && self.ready.is_empty())
    }

    /// The next one of those that have happened by now; at the end, when nothing is waited for any more.
    pub(super) fn take_next(&mut self) -> Option<Notice> {
        // The runtime's budget must not make one look as if it had not happened.
        unconstrained(self.next()).now_or_never()
    }

    /// Waits for the next one. Cancel safe.
    pub(super) async fn next(&mut self) -> Notice {
        tokio::select! {
            // Servers tell everybody first, and then the one who has asked that it is done.
            biased;
            Some(notice) = self.happened.recv() => {
                self.room.add_permits(1);
                notice
            }
            Some(answer) = next_answer(&mut self.answers, &mut self.ready) => answer,
            else => std::future::pending().await,
        }
    }
}

/// The next answer, if one is waited for. Cancel safe.
///
/// One that was asked for just now may have come before it is looked at for the first time, and
/// then seems to be earlier than those that were woken by theirs. So all that have come are taken
/// together, in the order of the questions: whoever is answered in order sees that order.
async fn next_answer(
    answers: &mut FuturesUnordered<Answer>,
    ready: &mut VecDeque<Notice>,
) -> Option<Notice> {
    if ready.is_empty() {
        ready.push_back(answers.next().await?);
        // The runtime's budget must not make one look as if it had not come.
        while let Some(answer) = unconstrained(answers.next()).now_or_never().flatten() {
            ready.push_back(answer);
        }
        ready.make_contiguous().sort_by_key(|notice| match notice {
            Notice::Answer { number, .. } => *number,
            _ => 0,
        });
    }
    ready.pop_front()
}

/// Tells what happens.
///
/// A notice has its place among the others when the handler is called, and only then waits for its room: a bounded
/// channel would give both at once, to handlers that wait together in whichever order they are polled. They wait not
/// only when it is full, but as soon as the runtime finds that the connection has done enough for one turn.
#[derive(Clone)]
struct Teller {
    happened: mpsc::UnboundedSender<Notice>,
    /// A permit for each notice that may wait; each that is taken gives one back.
    room: Arc<Semaphore>,
}

impl Teller {
    /// Tells, and waits until there is room for it.
    fn tell(&self, notice: Notice) -> impl Future<Output = ()> + use<> {
        // At the end nobody listens any more.
        let _ = self.happened.send(notice);
        let room = Arc::clone(&self.room);
        async move {
            if let Ok(permit) = room.acquire().await {
                permit.forget();
            }
        }
    }

    /// Tells only if there is room at once.
    fn tell_if_room(&self, notice: Notice) {
        if let Ok(permit) = self.room.try_acquire() {
            permit.forget();
            let _ = self.happened.send(notice);
        }
    }
}

impl Drop for Notices {
    /// Lets go of the handlers that wait for room.
    fn drop(&mut self) {
        self.room.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(number: u64) -> Notice {
        Notice::Reconnecting(Duration::from_millis(number))
    }

    #[tokio::test]
    async fn burst_keeps_its_order_whoever_is_polled_first() {
        const BURST: u64 = 1000;
        let (teller, mut notices) = telling();
        // As a connection does it: every handler is polled where it is called, and those that wait go on together.
        let connection = tokio::spawn(async move {
            let waiting = FuturesUnordered::new();
            for number in 0..BURST {
                let mut told = Box::pin(teller.tell(numbered(number)));
                if (&mut told).now_or_never().is_none() {
                    waiting.push(told);
                }
            }
            waiting.collect::<Vec<_>>().await.len()
        });
        for number in 0..BURST {
            let Notice::Reconnecting(delay) = notices.next().await else {
                unreachable!("nothing else was told");
            };
            assert_eq!(delay, Duration::from_millis(number));
        }
        assert_ne!(connection.await.expect("nobody panics"), 0);
    }

    #[tokio::test]
    async fn what_cannot_wait_is_told_while_there_is_room() {
        let (teller, mut notices) = telling();
        for number in 0..300 {
            teller.tell_if_room(numbered(number));
        }
        let mut late = Box::pin(teller.tell(numbered(300)));
        assert!((&mut late).now_or_never().is_none());
        let told = std::iter::from_fn(|| notices.take_next()).count();
        assert_eq!(told, CAPACITY + 1);
        late.await;
    }

    #[tokio::test]
    async fn nobody_waits_once_nobody_listens() {
        let (teller, notices) = telling();
        drop(notices);
        for number in 0..300 {
            teller.tell(numbered(number)).await;
        }
    }
}
