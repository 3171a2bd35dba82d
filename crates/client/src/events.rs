use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use sockeye_events::{Added, EmitError, Event, EventName, ExtractError, FromEvent, ListenerId};
use sockeye_socket_proto::{Args, ArgsError, FromArgs, ToArgs};

use crate::handover::{Taker, handover};
use crate::{Ack, Socket};

/// The events of one name, or of all names, one after the other.
///
/// For programs that would rather loop than register handlers:
///
/// ```no_run
/// # use sockeye_client as sockeye;
/// use futures_util::StreamExt;
/// use sockeye::Client;
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let socket = Client::connect("http://localhost:3000").await?;
/// let mut prices = socket.events::<(String, f64)>("price");
/// while let Some(event) = prices.next().await {
///     let (name, price) = event.data()?;
///     println!("{name}: {price}");
/// }
/// # Ok(())
/// # }
/// ```
///
/// It lasts through reconnections and disconnections: it ends only if its handler is removed, by
/// [`off`](crate::Listeners::off) for one, and the connection has noticed at its next event. A program that
/// is to end with the connection awaits [`closed`](crate::Client::closed) beside it. A loop that is
/// slower than the server lets events wait, then the server itself; see
/// [`InboxLimits`](crate::InboxLimits).
#[must_use = "events are only had by polling"]
pub struct EventStream<T = Args> {
    listening: Listening,
    events: Taker<ReceivedEvent>,
    data: PhantomData<fn() -> T>,
}

/// The handler behind a stream, which goes with it.
pub(crate) struct Listening {
    socket: Socket,
    listener: ListenerId,
}

/// One event out of an [`EventStream`].
#[derive(Debug)]
pub struct ReceivedEvent<T = Args> {
    /// The event's name.
    pub name: Box<str>,
    /// The arguments, still raw.
    pub args: Args,
    /// Answers the event, if the server waits for that.
    pub ack: Ack,
    data: PhantomData<fn() -> T>,
}

impl<T: FromArgs> ReceivedEvent<T> {
    /// The arguments as the type of the stream: the first one, or several as a tuple.
    ///
    /// # Errors
    ///
    /// If they do not have its shape.
    pub fn data(&self) -> Result<T, ArgsError> {
        T::from_args(self.args.clone())
    }

    /// Answers the event; does nothing if the server does not wait for that, or another handler
    /// was first. A tuple becomes several arguments.
    ///
    /// # Errors
    ///
    /// If the connection that the event came by is gone, or the answer cannot be encoded.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "handlers give their result away"
    )]
    pub fn answer(self, answer: impl ToArgs) -> Result<(), EmitError> {
        self.ack.send(Args::new(&answer)?)
    }
}

impl FromEvent<Socket> for ReceivedEvent {
    fn from_event(event: &Event<'_, Socket>) -> Result<Self, ExtractError> {
        let EventName(name) = EventName::from_event(event)?;
        Ok(Self {
            name: name.into(),
            args: Args::from_event(event)?,
            ack: Ack::from_event(event)?,
            data: PhantomData,
        })
    }
}

impl Socket {
    /// The events of this name as a stream, from now on. Several streams and handlers each get
    /// all of them.
    pub fn events<T: FromArgs>(&self, name: &str) -> EventStream<T> {
        let (giver, events) = handover();
        let added = self.on(name, move |event: ReceivedEvent| giver.give(event));
        EventStream::new(Listening::new(self, added), events)
    }

    /// All events from the server as a stream, from now on.
    pub fn all_events(&self) -> EventStream {
        let (giver, events) = handover();
        let added = self.on_any(move |event: ReceivedEvent| giver.give(event));
        EventStream::new(Listening::new(self, added), events)
    }
}

impl Listening {
    pub(crate) fn new(socket: &Socket, added: Added<'_, Socket>) -> Self {
        Self {
            socket: socket.clone(),
            listener: added.id(),
        }
    }
}

impl<T> EventStream<T> {
    const fn new(listening: Listening, events: Taker<ReceivedEvent>) -> Self {
        Self {
            listening,
            events,
            data: PhantomData,
        }
    }
}

impl<T> Stream for EventStream<T> {
    type Item = ReceivedEvent<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll_take(cx).map(|event| {
            let ReceivedEvent {
                name, args, ack, ..
            } = event?;
            Some(ReceivedEvent {
                name,
                args,
                ack,
                data: PhantomData,
            })
        })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.socket.remove_listener(self.listener);
    }
}

impl<T> fmt::Debug for EventStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EventStream").field(&self.listening).finish()
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.listener.fmt(f)
    }
}
