//! Events on their way in: order, limits, middlewares, handlers.

mod limits;
mod queue;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::iter;
use std::sync::Arc;
use std::task::{Context, Poll};

use sockeye_events::{AckSlot, Cached, Event, HandlerFuture, ListenerTable, Responder, Running};
use sockeye_socket_proto::{IncomingArgs, NamespaceKey, RawArgs};
use thiserror::Error;

use crate::middleware::{self, Next, Verdict};
use crate::receiver::{Receiver, further};
pub use limits::{EventLimits, InboxLimits};
use queue::{EventQueue, QueuedEvent};

/// How many futures more than handlers may run before the peer is not read from: those of several listeners of
/// one event, and those that were [started](Inbox::start) for what is no event, such as the peer's mistakes.
const UNASKED: usize = 256;

/// The sockets of one connection, and the handlers that run for it.
///
/// The connection says who is in ([`insert`](Self::insert), [`remove`](Self::remove)), gives every event that comes to
/// [`deliver`](Self::deliver), drives what takes its time with [`poll`](Self::poll), and lets the peer wait while there
/// is no room ([`has_room`](Self::has_room)).
///
/// Costs little while nothing is going on: no allocation but that of the table of sockets.
///
/// # Ordering
///
/// Events start in the order in which they are delivered, over all sockets of the connection. What a handler does
/// before its first real wait happens before the next event starts. An event has to wait in a queue while as many
/// handlers are waiting as [`InboxLimits`] allow, or while these hold as many bytes, or while a socket's middleware thinks
/// about one before it.
///
/// # Before a socket is connected
///
/// A client may be told of events before it is told that it is in: they are the ones that it missed. It gives them to
/// [`hold`](Self::hold), and calls [`release`](Self::release) when the socket is connected and its handlers know.
pub struct Inbox<S: Receiver> {
    limits: Arc<InboxLimits>,
    /// By the index of their key. It has no spare places, as most connections have one socket only.
    members: Box<[Option<Member<S>>]>,
    running: Running,
    /// Most connections never need it.
    backlog: Option<Box<Backlog<S>>>,
}

/// More events are held for sockets that are not connected yet than [`InboxLimits::max_held_bytes`] allows.
///
/// The event is lost. As the ones after it would be out of order, the connection had better be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("more events were missed than `max_held_bytes` allows to hold")]
pub struct HoldOverflow;

/// A socket, with its own reference to the table of its handlers.
struct Member<S> {
    key: NamespaceKey,
    socket: S,
    listeners: Cached<ListenerTable<S>>,
}

/// What cannot be done at once.
struct Backlog<S> {
    /// Events for which no handler is free, or which wait behind one that is being decided about.
    queue: EventQueue<S>,
    /// The event about which a socket's middlewares are thinking.
    deciding: Option<Deciding<S>>,
    /// Events of sockets that are not connected yet.
    held: EventQueue<S>,
}

/// An event that waits for the verdict of its socket's middlewares.
struct Deciding<S> {
    turn: Turn<S>,
    event: Box<str>,
    ack: Option<AckSlot>,
    verdict: Verdict,
}

/// Whose event it is the turn of.
struct Turn<S> {
    socket: S,
    key: NamespaceKey,
    /// What the socket is to be told when the event has reached its handlers.
    receipt: Option<Box<str>>,
    /// Whether the socket had left before.
    is_late: bool,
}

impl<S: Receiver> Inbox<S> {
    /// An inbox without sockets.
    #[must_use]
    pub fn new(limits: Arc<InboxLimits>) -> Self {
        Self {
            limits,
            members: Box::default(),
            running: Running::default(),
            backlog: None,
        }
    }

    /// Puts a socket in, under the key that its events come with. It takes the place of one with the same index.
    pub fn insert(&mut self, key: NamespaceKey, socket: S) {
        if self.members.len() <= key.index() {
            let places = key.index() + 1;
            let mut members = std::mem::take(&mut self.members).into_vec();
            members.reserve_exact(places - members.len());
            members.resize_with(places, || None);
            self.members = members.into_boxed_slice();
        }
        let listeners = socket.shared().table().cached();
        self.members[key.index()] = Some(Member {
            key,
            socket,
            listeners,
        });
    }

    /// Takes a socket out, if one is in under this key. Its queued events go to nobody then, unless they are
    /// [kept](Self::keep_queued), and its held ones are dropped, also if it was not in yet.
    pub fn remove(&mut self, key: NamespaceKey) -> Option<S> {
        if let Some(backlog) = &mut self.backlog {
            backlog.held.take_of(key);
        }
        let slot = self.members.get_mut(key.index())?;
        let member = slot.take_if(|member| member.key == key)?;
        if self.members.iter().all(Option::is_none) {
            self.members = Box::default();
        }
        Some(member.socket)
    }

    /// The socket that is in under this key.
    #[must_use]
    pub fn socket(&self, key: NamespaceKey) -> Option<&S> {
        let member = self.members.get(key.index())?.as_ref()?;
        (member.key == key).then_some(&member.socket)
    }

    /// The sockets that are in, with their keys.
    pub fn sockets(&self) -> impl Iterator<Item = (NamespaceKey, &S)> {
        let members = self.members.iter().flatten();
        members.map(|member| (member.key, &member.socket))
    }

    /// An event came for the socket with this key: its middlewares are asked and its handlers run, now or when it is
    /// its turn. Nothing happens if there is no such socket then, or it is not connected.
    pub fn deliver(
        &mut self,
        key: NamespaceKey,
        name: Cow<'_, str>,
        args: IncomingArgs<'_>,
        ack_id: Option<u64>,
        cx: &mut Context<'_>,
    ) {
        let backlog = self.backlog.as_ref();
        let blocked = backlog.is_some_and(|backlog| backlog.blocks_events());
        if blocked || self.is_full() {
            let event = QueuedEvent {
                key,
                gone: None,
                name: name.into_owned(),
                args: args.into_args(),
                ack_id,
            };
            self.backlog().queue.push(event);
        } else {
            self.handle_event(key, &name, args.as_raw(), ack_id, cx);
        }
    }

    /// Keeps an event for a socket that is not connected yet, until [`release`](Self::release) or
    /// [`remove`](Self::remove). The socket need not be in.
    ///
    /// Held events do not count for [`has_room`](Self::has_room): what connects the socket comes behind them, so the
    /// peer must be read from. They have a limit of their own.
    ///
    /// # Errors
    ///
    /// If it is reached.
    pub fn hold(
        &mut self,
        key: NamespaceKey,
        name: Cow<'_, str>,
        args: IncomingArgs<'_>,
        ack_id: Option<u64>,
    ) -> Result<(), HoldOverflow> {
        let held = &mut self.backlog.get_or_insert_default().held;
        if !held.may_hold(&self.limits) {
            return Err(HoldOverflow);
        }
        held.push(QueuedEvent {
            key,
            gone: None,
            name: name.into_owned(),
            args: args.into_args(),
            ack_id,
        });
        Ok(())
    }

    /// Whether another event can be [held](Self::hold).
    pub fn may_hold(&self) -> bool {
        self.backlog
            .as_ref()
            .is_none_or(|backlog| backlog.held.may_hold(&self.limits))
    }

    /// Delivers what was held for this socket, which must be in and connected: behind what is queued, and before
    /// whatever comes after.
    pub fn release(&mut self, key: NamespaceKey, cx: &mut Context<'_>) {
        if let Some(backlog) = &mut self.backlog {
            let held = backlog.held.take_of(key);
            backlog.queue.append(held);
            let _ = self.poll_backlog(cx);
        }
    }

    /// Runs the handlers of an event of the library itself, such as `disconnect`, at once: those of the shared table,
    /// then the socket's own. The socket need not be in, and its middlewares are not asked.
    pub fn dispatch(&mut self, event: &Event<'_, S>, cx: &mut Context<'_>) {
        let socket = event.socket();
        for listeners in iter::once(socket.shared()).chain(further(socket)) {
            if listeners.load().dispatch(event, &mut self.running, cx) {
                listeners.sweep(event.name());
            }
        }
    }

    /// Polls a future for the first time, and drives it together with the handlers if it is not done. It counts as
    /// one of them.
    pub fn start(&mut self, future: HandlerFuture, cx: &mut Context<'_>) {
        self.running.start(future, cx);
    }

    /// A socket is about to be removed, and what its peer has said before is not to be lost: its queued events are
    /// handled when it is their turn, though it is gone by then, and count as received. If its middleware is still thinking
    /// about one of them, they go to nobody, as that one does.
    pub fn keep_queued(&mut self, key: NamespaceKey) {
        let Some(socket) = self.socket(key).cloned() else {
            return;
        };
        let Some(backlog) = &mut self.backlog else {
            return;
        };
        if backlog.is_deciding_about(key) {
            return;
        }
        for event in backlog.queue.of(key) {
            event.gone = Some(socket.clone());
            hand_in(&socket, socket.receipt(event.args.as_raw(), event.ack_id));
        }
    }

    /// The connection has ended: queued events are [kept](Self::keep_queued), and what is held, or cannot be decided about
    /// any more, is dropped, with what its socket has behind that. The sockets stay in, running handlers go on, and
    /// [`poll`](Self::poll) starts the others when it is their turn.
    pub fn close(&mut self) {
        let Some(backlog) = &mut self.backlog else {
            return;
        };
        backlog.held = EventQueue::default();
        let keys: Vec<_> = self.sockets().map(|(key, _)| key).collect();
        keys.into_iter().for_each(|key| self.keep_queued(key));
        let backlog = self.backlog();
        backlog.deciding.take_if(|deciding| !deciding.turn.is_late);
        backlog.queue.drop_unkept();
    }

    /// Takes out what still runs or waits, without the sockets, for somebody else to drive.
    #[must_use]
    pub fn take_rest(&mut self) -> Self {
        Self {
            limits: Arc::clone(&self.limits),
            members: Box::default(),
            running: std::mem::take(&mut self.running),
            backlog: self.backlog.take(),
        }
    }

    /// Drives handlers and middlewares, and starts queued events; ready when none is left. Held events do not count.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let running = self.running.poll(cx);
        if self.backlog.is_none() {
            return running;
        }
        let handled = self.poll_backlog(cx);
        // What was dispatched may have to be polled once more for its wakers.
        let running = self.running.poll(cx);
        if handled.is_ready() { running } else { handled }
    }

    /// Whether there is room in the queue. While there is none, the peer is not to be read from.
    #[must_use]
    pub fn has_room(&self) -> bool {
        if self.running.len() >= self.limits.handlers().saturating_add(UNASKED) {
            return false;
        }
        let held = self.running.held();
        self.backlog.as_ref().is_none_or(|backlog| {
            !backlog.blocks_events() || backlog.queue.has_room(&self.limits.events, held)
        })
    }

    /// Hands an event to its handlers, after the socket's own middlewares.
    fn handle_event(
        &mut self,
        key: NamespaceKey,
        name: &str,
        args: RawArgs<'_>,
        ack_id: Option<u64>,
        cx: &mut Context<'_>,
    ) {
        let Some(Some(member)) = self.members.get_mut(key.index()) else {
            return;
        };
        let socket = &member.socket;
        if member.key != key || !socket.is_connected() {
            return;
        }
        if socket.own().is_none() && socket.shared_further().is_none() {
            // The common case: everything is in the shared table.
            let event = Event::incoming(socket, name, args, ack_id);
            let table = member.listeners.read(socket.shared().table());
            let handlers = table.reached_by(name);
            let several = handlers.count() > 1;
            if several {
                event.share_ack();
            }
            if handlers.run(&event, &mut self.running, cx) {
                socket.shared().sweep(name);
            }
            if several {
                event.all_called();
            }
            hand_in(socket, socket.receipt(args, ack_id));
            return;
        }
        let turn = Turn {
            socket: socket.clone(),
            key,
            receipt: socket.receipt(args, ack_id),
            is_late: false,
        };
        let shared = Arc::clone(member.listeners.read(socket.shared().table()));
        self.ask_and_handle(turn, &shared, name, args, ack_id, cx);
    }

    /// Hands an event to those who hear of all events, and then, if its socket's own middlewares let it through, to the
    /// others.
    fn ask_and_handle(
        &mut self,
        turn: Turn<S>,
        shared: &ListenerTable<S>,
        name: &str,
        args: RawArgs<'_>,
        ack_id: Option<u64>,
        cx: &mut Context<'_>,
    ) {
        let socket = &turn.socket;
        let event = Event::incoming(socket, name, args, ack_id);
        event.share_ack();
        shared.dispatch_any(&event, &mut self.running, cx);
        for listeners in further(socket) {
            let table = listeners.load();
            table.dispatch_any(&event, &mut self.running, cx);
        }
        let middlewares = socket.own().map(|own| own.middlewares.load());
        let ack = event.ack_slot().cloned();
        let Some(middlewares) = middlewares.filter(|middlewares| !middlewares.is_empty()) else {
            let event = Event::again(socket, name, args, ack);
            self.dispatch(&event, cx);
            event.all_called();
            hand_in(socket, turn.receipt);
            return;
        };
        let verdict = middleware::ask(
            middlewares,
            socket.clone(),
            name.to_owned(),
            args.to_args(),
            ack.clone(),
        );
        let deciding = Deciding {
            turn,
            event: name.into(),
            ack,
            verdict: Box::pin(verdict),
        };
        self.decide(deciding, cx);
    }

    fn handle_queued(&mut self, event: QueuedEvent<S>, cx: &mut Context<'_>) {
        let QueuedEvent {
            key,
            gone,
            name,
            args,
            ack_id,
        } = event;
        let Some(socket) = gone else {
            return self.handle_event(key, &name, args.as_raw(), ack_id, cx);
        };
        let shared = socket.shared().load();
        let turn = Turn {
            socket,
            key,
            receipt: None,
            is_late: true,
        };
        self.ask_and_handle(turn, &shared, &name, args.as_raw(), ack_id, cx);
    }

    /// Goes on with an event if its socket's middlewares have decided, and waits otherwise.
    fn decide(&mut self, mut deciding: Deciding<S>, cx: &mut Context<'_>) {
        let Poll::Ready(next) = deciding.verdict.as_mut().poll(cx) else {
            self.backlog().deciding = Some(deciding);
            return;
        };
        let Deciding {
            turn, event, ack, ..
        } = deciding;
        let Turn {
            socket,
            key,
            receipt,
            is_late,
        } = turn;
        match next {
            Next::Rewrite(name, args) => {
                if is_late || self.socket(key).is_some() && socket.is_connected() {
                    let event = Event::again(&socket, &name, args.as_raw(), ack);
                    self.dispatch(&event, cx);
                    event.all_called();
                }
            }
            Next::Refuse(refusal) => {
                if ack.is_none() {
                    socket.refuse_without_ack(&refusal);
                }
                let event = Event::again(&socket, &event, RawArgs::empty(), ack);
                Responder::new(&event).refuse(refusal);
            }
            Next::Drop | Next::Pass => {}
        }
        if self.socket(key).is_some() {
            // It is no concern of a later stay.
            hand_in(&socket, receipt);
        }
    }

    /// Goes on with queued events; ready when there are none.
    fn poll_backlog(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(backlog) = &mut self.backlog {
            if let Some(deciding) = backlog.deciding.take() {
                self.decide(deciding, cx);
                if self.is_deciding() {
                    return Poll::Pending;
                }
                continue;
            }
            if backlog.queue.is_empty() {
                if backlog.held.is_empty() {
                    self.backlog = None;
                }
                break;
            }
            if self.is_full() {
                return Poll::Pending;
            }
            self.start_next(cx);
        }
        Poll::Ready(())
    }

    /// Starts the handlers of the first queued event.
    fn start_next(&mut self, cx: &mut Context<'_>) {
        let backlog = self.backlog.as_mut();
        if let Some(event) = backlog.and_then(|backlog| backlog.queue.pop()) {
            self.handle_queued(event, cx);
        }
    }

    fn is_deciding(&self) -> bool {
        let backlog = self.backlog.as_ref();
        backlog.is_some_and(|backlog| backlog.deciding.is_some())
    }

    /// Whether another handler would have to wait.
    fn is_full(&self) -> bool {
        !self.running.is_empty() && !self.limits.is_free(self.running.len(), self.running.held())
    }

    fn backlog(&mut self) -> &mut Backlog<S> {
        self.backlog.get_or_insert_default()
    }
}

impl<S> Default for Backlog<S> {
    fn default() -> Self {
        Self {
            queue: EventQueue::default(),
            deciding: None,
            held: EventQueue::default(),
        }
    }
}

impl<S> Backlog<S> {
    /// Whether the next event has to wait behind another one.
    fn blocks_events(&self) -> bool {
        self.deciding.is_some() || !self.queue.is_empty()
    }

    /// Whether the middleware of the socket under this key is thinking about an event.
    fn is_deciding_about(&self, key: NamespaceKey) -> bool {
        self.deciding
            .as_ref()
            .is_some_and(|deciding| deciding.turn.key == key)
    }
}

/// An event is through, as far as the connection is concerned.
fn hand_in<S: Receiver>(socket: &S, receipt: Option<Box<str>>) {
    if let Some(receipt) = receipt {
        socket.handle_receipt(receipt);
    }
}

impl<S: Receiver> fmt::Debug for Inbox<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let backlog = self.backlog.as_ref();
        f.debug_struct("Inbox")
            .field("sockets", &self.sockets().count())
            .field("running", &self.running.len())
            .field("queued", &backlog.map_or(0, |backlog| backlog.queue.len()))
            .field("held", &backlog.map_or(0, |backlog| backlog.held.len()))
            .field("deciding", &self.is_deciding())
            .finish()
    }
}
