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
use tokio::sync::mpsc;
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
    happened: mpsc::Receiver<Notice>,
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
    let (sender, happened) = mpsc::channel(CAPACITY);
    let tell = sender.clone();
    socket.on_connect(move |socket: Socket| {
        tell_soon(
            &tell,
            Notice::Connected {
                id: socket.id(),
                transport: socket.transport(),
                recovered: socket.recovered(),
            },
        )
    });
    let tell = sender.clone();
    socket.on_any(move |EventName(name): EventName, args: Args, ack: Ack| {
        let name = name.into();
        tell_soon(&tell, Notice::Event { name, args, ack })
    });
    let tell = sender.clone();
    socket.on_disconnect(move |reason: DisconnectReason, detail: DisconnectDetail| {
        tell_soon(&tell, Notice::Disconnected(reason, detail.0))
    });
    let tell = sender.clone();
    socket
        .on_connect_error(move |error: ConnectError| tell_soon(&tell, Notice::ConnectError(error)));
    let client = socket.client();
    let tell = sender.clone();
    client.on_client_event(move |event| {
        if let ClientEvent::ReconnectScheduled(delay) = event {
            // It cannot wait here. Whoever is that far behind has other news than this.
            let _ = tell.try_send(Notice::Reconnecting(*delay));
        }
    });
    client.on_error(move |_, error| {
        let _ = sender.try_send(Notice::Problem(chain(error)));
    });
    Notices {
        happened,
        answers: FuturesUnordered::new(),
        ready: VecDeque::new(),
    }
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

    /// Waits for the next one. Cancel safe.
    pub(super) async fn next(&mut self) -> Notice {
        tokio::select! {
            // Servers tell everybody first, and then the one who has asked that it is done.
            biased;
            Some(notice) = self.happened.recv() => notice,
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

/// Tells; if there is no room for it now, then as soon as there is, in order.
fn tell_soon(sender: &mpsc::Sender<Notice>, notice: Notice) -> impl Future<Output = ()> + use<> {
    let sender = sender.clone();
    async move {
        // At the end nobody listens any more.
        let _ = sender.send(notice).await;
    }
}
