use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::handler::{BoxHandler, erase};
use crate::names::{
    CLOSE, CONNECT, DISCONNECT, DISCONNECTING, DRAIN, END, HEARTBEAT, PACKET, UPGRADE, UPGRADING,
};
use crate::often::{Often, Wanted};
use crate::table::{ListenerId, ListenerTable};
use crate::typed::erase_event;
use crate::{Callback, EventCallback, EventSocket, IntoReply, PeerSocket, Snapshot, TypedEvent};

/// The handlers of a namespace or of one socket, with the methods that add, list and remove them.
///
/// A server's namespaces have one, which all their sockets share, and each of its sockets one of its own, which costs
/// nothing before it is used; a client's sockets have one each, and the builder of a client one for the socket that it
/// makes. All of them dereference to it: what is said here of `listeners.on(…)` is done by `io.on(…)` or
/// `socket.on(…)`. Events of the other servers of a cluster have one beside it, in each namespace, without what only peers
/// have.
///
/// # Handlers
///
/// A handler is a plain or async function of extractors (see [`Callback`]). What it returns, if not `()`, answers the
/// event. Several handlers of one event run in the order of their adding, those of the namespace before the socket's;
/// the first answer counts. They may be added and removed at any time, by handlers too: it holds from the next event
/// on.
///
/// # What adding gives
///
/// Everything that adds a handler gives an [`Added`], which can be dropped: it has the handler's
/// [`id`](Added::id), with which [`remove_listener`](Self::remove_listener) takes out just that one, and goes on with
/// the next handler.
///
/// ```
/// use sockeye_events::{Data, EventSocket, ListenerId, Listeners};
///
/// /// Handlers for a server's namespace, one socket of it, or a client's socket.
/// fn calculate<S: EventSocket>(listeners: &Listeners<S>) -> ListenerId {
///     listeners
///         .on("sum", async |Data(numbers): Data<Vec<i64>>| numbers.iter().sum::<i64>())
///         .once("hello", || "good day")
///         .on_any(|| println!("an event"))
///         .id()
/// }
/// ```
///
/// # Names
///
/// `connect`, `connect_error`, `disconnecting` and `disconnect` are the library's own: peers cannot emit them. For a
/// server's namespace, `connection` is another word for `connect`. A handler of `error` is told what goes wrong with
/// one socket, if it was added to the socket itself, and takes it as an `Arc<`[`EventError`](crate::EventError)`>`. An
/// event `error` that a peer emits, which is possible everywhere but on TCP and Unix-domain streams, reaches the same
/// handlers, as [`EventErrorKind::Peer`](crate::EventErrorKind::Peer).
pub struct Listeners<S> {
    table: Snapshot<ListenerTable<S>>,
    /// Whether there are handlers of outgoing events, so that emitting need not look.
    has_outgoing: AtomicBool,
    /// Whether there are handlers of the connection's packets, so that nobody need look when one comes.
    wants_packets: Wanted,
    /// The same of its heartbeats.
    wants_heartbeats: Wanted,
    /// What an event is called here that has another name.
    own_name: OwnName,
}

type OwnName = fn(&str) -> &str;

/// A handler was added. It has the handler's [`id`](Self::id), and dereferences to the [`Listeners`] that it was added
/// to, for the next one.
pub struct Added<'l, S> {
    listeners: &'l Listeners<S>,
    id: ListenerId,
}

/// Handlers of the peer's events.
impl<S: EventSocket> Listeners<S> {
    /// Adds a handler of an event.
    pub fn on<M: 'static, F>(&self, name: &str, handler: F) -> Added<'_, S>
    where
        F: Callback<S, M>,
        F::Output: IntoReply,
    {
        self.add_named(name, erase(handler))
    }

    /// Adds a handler that runs for the next such event only: on a namespace, of whichever socket.
    pub fn once<M: 'static, F>(&self, name: &str, handler: F) -> Added<'_, S>
    where
        F: Callback<S, M>,
        F::Output: IntoReply,
    {
        self.add_once(name, erase(handler))
    }

    /// Adds a handler of a typed event.
    ///
    /// The handler's last parameter says which event it is; the others are extractors. It returns the event's
    /// acknowledgement, `()` if that has none, or a `Result` with one of these. Remove the handlers of the event with
    /// [`off`](Self::off) and [`TypedEvent::NAME`].
    pub fn on_event<M: 'static, F>(&self, handler: F) -> Added<'_, S>
    where
        F: EventCallback<S, M>,
    {
        self.add_named(F::Event::NAME, erase_event(handler))
    }

    /// Adds a handler that runs for the next such typed event only; see [`once`](Self::once).
    pub fn once_event<M: 'static, F>(&self, handler: F) -> Added<'_, S>
    where
        F: EventCallback<S, M>,
    {
        self.add_once(F::Event::NAME, erase_event(handler))
    }

    /// Adds a handler of every incoming event, which runs before the event's own, for events that have none too, and
    /// before the socket's middlewares. It answers nothing. [`off_all`](Self::off_all) leaves it.
    pub fn on_any<M: 'static, F>(&self, handler: F) -> Added<'_, S>
    where
        F: Callback<S, M>,
        F::Output: IntoReply,
    {
        self.add(|table| table.on_any(erase(handler)))
    }

    /// Adds a handler of every incoming event in front of the others.
    pub fn prepend_any<M: 'static, F>(&self, handler: F) -> Added<'_, S>
    where
        F: Callback<S, M>,
        F::Output: IntoReply,
    {
        self.add(|table| table.prepend_any(erase(handler)))
    }
}

/// Handlers of the events that are emitted.
impl<S: PeerSocket> Listeners<S> {
    /// Adds a handler that is told of every event that is emitted: for a broadcast, once for each receiver. On a server
    /// it is called by whoever emits, before the event is sent; on a client when the event is sent, which for one that
    /// waits for a connection is when there is one. Acknowledgements are no events.
    pub fn on_any_outgoing<M: 'static, F>(&self, handler: F) -> Added<'_, S>
    where
        F: Callback<S, M>,
        F::Output: IntoReply,
    {
        self.add(|table| table.on_any_outgoing(erase(handler)))
    }

    /// Adds a handler of every event that is emitted in front of the others; see
    /// [`on_any_outgoing`](Self::on_any_outgoing).
    pub fn prepend_any_outgoing<M: 'static, F>(&self, handler: F) -> Added<'_, S>
    where
        F: Callback<S, M>,
        F::Output: IntoReply,
    {
        self.add(|table| table.prepend_any_outgoing(erase(handler)))
    }

    /// Removes the handlers of [`on_any_outgoing`](Self::on_any_outgoing) and
    /// [`prepend_any_outgoing`](Self::prepend_any_outgoing).
    pub fn off_any_outgoing(&self) {
        self.change(ListenerTable::off_any_outgoing);
    }

    /// The handlers of [`on_any_outgoing`](Self::on_any_outgoing) and
    /// [`prepend_any_outgoing`](Self::prepend_any_outgoing), in the order in which they run.
    #[must_use]
    pub fn listeners_any_outgoing(&self) -> Vec<ListenerId> {
        self.table.load().listeners_any_outgoing()
    }
}

/// Handlers of what happens to a socket and to the connection below it.
impl<S: PeerSocket> Listeners<S> {
    /// Calls this handler when a socket has been connected.
    ///
    /// On a server: before the socket's first event, after the namespace's middlewares have let it in; on a single
    /// socket it can be asked for in one of these. What an async handler does after it first had to wait may happen
    /// after that event: what must be there in time belongs into a middleware.
    ///
    /// On a client: first, and after each interruption. What was emitted meanwhile has been sent already.
    pub fn on_connect<M: 'static, F>(&self, handler: F) -> Added<'_, S>
    where
        F: Callback<S, M>,
        F::Output: IntoReply,
    {
        self.on(CONNECT, handler)
    }

    /// Calls this handler when a socket is about to be disconnected, by whomever. It can take the
    /// [`DisconnectReason`](crate::DisconnectReason) as a parameter, and the [`DisconnectDetail`](crate::DisconnectDetail)
    /// for what else is known.
    ///
    /// On a server: what the handler does before it first has to wait finds the socket still in its rooms. Emitting to
    /// the socket is an error already.
    ///
    /// On a client: the socket's id is still known, and no acknowledgement that is waited for has failed yet. What is
    /// emitted from here on waits for the next connection. A socket that was only being connected when its connection
    /// ended hears of `disconnect` alone. After this side's own `disconnect` this is told by the connection's task, a
    /// little later.
    pub fn on_disconnecting<M: 'static, F>(&self, handler: F) -> Added<'_, S>
    where
        F: Callback<S, M>,
        F::Output: IntoReply,
    {
        self.on(DISCONNECTING, handler)
    }

    /// Calls this handler when a socket has been disconnected, by whomever. On a server that happens once for each
    /// socket, on a client each time the connection is lost. It can take the
    /// [`DisconnectReason`](crate::DisconnectReason) as a parameter, and the
    /// [`DisconnectDetail`](crate::DisconnectDetail) for what else is known.
    pub fn on_disconnect<M: 'static, F>(&self, handler: F) -> Added<'_, S>
    where
        F: Callback<S, M>,
        F::Output: IntoReply,
    {
        self.on(DISCONNECT, handler)
    }

    /// Calls this handler when the peer has closed its half of the connection, which is to say that it will send
    /// nothing more. Only TCP, TLS and Unix-domain streams have halves.
    ///
    /// On a server: the peer can be sent to still, and what the handler emits before it first has to wait gets there.
    /// Then the connection closes, unless the listener allows half-open ones.
    pub fn on_end<M: 'static, F>(&self, handler: F) -> Added<'_, S>
    where
        F: Callback<S, M>,
        F::Output: IntoReply,
    {
        self.add(|table| table.on_stream(END, erase(handler)))
    }

    /// Calls this handler when everything is written to a peer that had let more than the high-water mark wait, which
    /// is when a volatile event would have been dropped. To send much, awaiting the socket's `ready` is simpler.
    pub fn on_drain<M: 'static, F>(&self, handler: F) -> Added<'_, S>
    where
        F: Callback<S, M>,
        F::Output: IntoReply,
    {
        self.add(|table| table.on_stream(DRAIN, erase(handler)))
    }

    /// Calls this handler when the connection of a server's socket has gone over from long-polling to another transport, which
    /// its `transport` tells. It is told once at most, and to the sockets that are connected then; a connection that began
    /// on a WebSocket or a stream stays there. At a client, `ClientEvent::Upgrade` tells.
    pub fn on_upgrade<M: 'static, F>(&self, handler: F) -> Added<'_, S>
    where
        F: Callback<S, M>,
        F::Output: IntoReply,
    {
        self.add(|table| table.on_stream(UPGRADE, erase(handler)))
    }

    /// Calls this handler when the client of a server's socket, whose connection is on long-polling, has tried another
    /// transport and is answered on it: the connection is about to go over, of which [`on_upgrade`](Self::on_upgrade) tells.
    /// If the client thinks better of it, that never comes.
    pub fn on_upgrading<M: 'static, F>(&self, handler: F) -> Added<'_, S>
    where
        F: Callback<S, M>,
        F::Output: IntoReply,
    {
        self.add(|table| table.on_stream(UPGRADING, erase(handler)))
    }

    /// Calls this handler when a packet has come over the connection, before anything else is done with it: messages,
    /// which are Socket.IO's packets and attachments, and heartbeats. It takes the packet as an `EnginePacket`. Peers that
    /// speak in lines send none, and what came before a socket was connected is not told to it.
    ///
    /// Each packet is copied for the handlers. Without any, it costs a look at a flag for each socket of the connection.
    pub fn on_packet<M: 'static, F>(&self, handler: F) -> Added<'_, S>
    where
        F: Callback<S, M>,
        F::Output: IntoReply,
    {
        self.add(|table| table.on_stream(PACKET, erase(handler)))
    }

    /// Calls this handler when the peer has been heard: at a server when the answer to its ping has come, or the ping of a
    /// peer of Engine.IO 3; at a client when the server's ping has come, or its answer.
    pub fn on_heartbeat<M: 'static, F>(&self, handler: F) -> Added<'_, S>
    where
        F: Callback<S, M>,
        F::Output: IntoReply,
    {
        self.add(|table| table.on_stream(HEARTBEAT, erase(handler)))
    }

    /// Calls this handler when a connection over which a socket was connected is closed for good: after `disconnect`,
    /// when what waited is written or given up. It can take the [`DisconnectReason`](crate::DisconnectReason), which is
    /// why the socket was disconnected, and the [`DisconnectDetail`](crate::DisconnectDetail) of the connection's end.
    ///
    /// A server's socket that has left the namespace before, with the connection going on, is told then, too; if it came
    /// and went more than once, its last stay is. One that has left a namespace which was made on demand is not told, as
    /// that namespace may be gone by then.
    pub fn on_close<M: 'static, F>(&self, handler: F) -> Added<'_, S>
    where
        F: Callback<S, M>,
        F::Output: IntoReply,
    {
        self.add(|table| table.on_stream(CLOSE, erase(handler)))
    }
}

/// Removing and counting. Each of these is about the handlers that were added here, a namespace's or a socket's own.
impl<S: EventSocket> Listeners<S> {
    /// Removes the handlers of one event; says how many there were. What [`on_end`](Self::on_end),
    /// [`on_drain`](Self::on_drain), [`on_upgrading`](Self::on_upgrading), [`on_upgrade`](Self::on_upgrade),
    /// [`on_packet`](Self::on_packet), [`on_heartbeat`](Self::on_heartbeat) and [`on_close`](Self::on_close) have added goes
    /// by `end`, `drain`, `upgrading`, `upgrade`, `packet`, `heartbeat` and `close`, here and in [`event_names`](Self::event_names), beside the handlers of events that are called so.
    pub fn off(&self, name: &str) -> usize {
        self.change(|table| table.off((self.own_name)(name)))
    }

    /// Removes the handlers of all events, those of the library's own included. Those of [`on_any`](Self::on_any) and
    /// [`on_any_outgoing`](Self::on_any_outgoing) stay.
    pub fn off_all(&self) {
        self.change(ListenerTable::off_all);
    }

    /// Removes the handlers of [`on_any`](Self::on_any) and [`prepend_any`](Self::prepend_any).
    pub fn off_any(&self) {
        self.change(ListenerTable::off_any);
    }

    /// Removes one handler, whichever way it was added; says whether it was there.
    pub fn remove_listener(&self, id: ListenerId) -> bool {
        self.change(|table| table.remove(id))
    }

    /// The events that have handlers, in the order in which their oldest handlers were added.
    #[must_use]
    pub fn event_names(&self) -> Vec<String> {
        self.table.load().event_names()
    }

    /// The handlers of one event, in the order in which they run, each by what [removes](Self::remove_listener) it. Those of
    /// every event are not among them.
    #[must_use]
    pub fn listeners(&self, name: &str) -> Vec<ListenerId> {
        self.table.load().listeners((self.own_name)(name))
    }

    /// The handlers of [`on_any`](Self::on_any) and [`prepend_any`](Self::prepend_any), in the order in which they run.
    #[must_use]
    pub fn listeners_any(&self) -> Vec<ListenerId> {
        self.table.load().listeners_any()
    }

    /// How many handlers one event has. Those of every event do not count.
    #[must_use]
    pub fn listener_count(&self, name: &str) -> usize {
        self.table.load().count((self.own_name)(name))
    }

    /// Whether an event has handlers.
    #[must_use]
    pub fn has_listeners(&self, name: &str) -> bool {
        self.listener_count(name) > 0
    }

    fn add_named(&self, name: &str, handler: BoxHandler<S>) -> Added<'_, S> {
        self.add(|table| table.on((self.own_name)(name), handler))
    }

    fn add_once(&self, name: &str, handler: BoxHandler<S>) -> Added<'_, S> {
        self.add(|table| table.once((self.own_name)(name), handler))
    }

    fn add(&self, add: impl FnOnce(&mut ListenerTable<S>) -> ListenerId) -> Added<'_, S> {
        let id = self.change(add);
        Added {
            listeners: self,
            id,
        }
    }

    fn change<R>(&self, change: impl FnOnce(&mut ListenerTable<S>) -> R) -> R {
        self.table.update(|table| {
            let result = change(table);
            self.has_outgoing
                .store(table.has_outgoing(), Ordering::Release);
            self.wants_packets.set(table.has_stream(PACKET));
            self.wants_heartbeats.set(table.has_stream(HEARTBEAT));
            result
        })
    }
}

/// What the ends do with it. No part of the API.
#[doc(hidden)]
impl<S: EventSocket> Listeners<S> {
    /// Listeners of events of which some go by another name here.
    #[must_use]
    pub fn with_own_names(own_name: OwnName) -> Self {
        Self {
            own_name,
            ..Self::default()
        }
    }

    /// The handlers as they stand.
    pub fn load(&self) -> Arc<ListenerTable<S>> {
        self.table.load()
    }

    /// Whether there are handlers of outgoing events.
    #[inline]
    pub fn has_outgoing(&self) -> bool {
        self.has_outgoing.load(Ordering::Acquire)
    }

    /// The handlers as they stand, if there are some of outgoing events.
    pub fn load_outgoing(&self) -> Option<Arc<ListenerTable<S>>> {
        self.has_outgoing().then(|| self.load())
    }

    /// Whether there are handlers of the connection's packets.
    #[inline]
    pub fn wants_packets(&self) -> bool {
        self.wants_packets.get()
    }

    /// For a reader who asks again and again, with [`Cached::read`](crate::Cached::read).
    pub const fn table(&self) -> &Snapshot<ListenerTable<S>> {
        &self.table
    }

    /// Takes over the handlers that were prepared elsewhere, in place of its own.
    pub fn adopt(&self, prepared: &Self) {
        let handlers = prepared.load();
        self.change(|table| table.clone_from(&handlers));
    }

    /// Takes out the `once` handlers of this event that have run.
    pub fn sweep(&self, name: &str) {
        self.table.update(|table| table.sweep(name));
    }
}

impl<S> Added<'_, S> {
    /// What the handler can be removed by; see [`Listeners::remove_listener`].
    #[must_use]
    pub const fn id(&self) -> ListenerId {
        self.id
    }
}

impl<S> Deref for Added<'_, S> {
    type Target = Listeners<S>;

    fn deref(&self) -> &Listeners<S> {
        self.listeners
    }
}

impl<S> Clone for Added<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Added<'_, S> {}

impl<S> fmt::Debug for Added<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Added").field(&self.id).finish()
    }
}

impl<S> Default for Listeners<S> {
    fn default() -> Self {
        Self {
            table: Snapshot::default(),
            has_outgoing: AtomicBool::new(false),
            wants_packets: Wanted::new(Often::Packet),
            wants_heartbeats: Wanted::new(Often::Heartbeat),
            own_name: |name| name,
        }
    }
}

impl<S> fmt::Debug for Listeners<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Listeners")
            .field(&self.table.load())
            .finish()
    }
}
