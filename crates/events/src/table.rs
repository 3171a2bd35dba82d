use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Context;

use crate::handler::BoxHandler;
use crate::reply::Role;
use crate::running::Stopwatch;
use crate::{Event, EventSocket, HandlerFuture, Running};

/// The handlers of a namespace or of one socket, by event name.
///
/// A plain value that is replaced as a whole when it changes (see [`Snapshot`](crate::Snapshot)).
pub struct ListenerTable<S> {
    named: Table<S>,
    /// Those of what happens to the connection itself. Events of the peer may well be called the
    /// same, so they have a table of their own.
    stream: Table<S>,
    any: Vec<Listener<S>>,
    any_outgoing: Vec<Listener<S>>,
}

type Table<S> = HashMap<Box<str>, Vec<Listener<S>>, foldhash::fast::RandomState>;

/// The handlers of a table that one event reaches, found by a single look at it.
pub struct Reached<'a, S> {
    any: &'a [Listener<S>],
    named: &'a [Listener<S>],
}

/// Names one listener, to remove just that one. Those that were added later are larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerId(u64);

/// One registered handler.
struct Listener<S> {
    id: ListenerId,
    handler: BoxHandler<S>,
    /// For `once`: whether it has run already.
    spent: Option<Arc<AtomicBool>>,
}

impl<S: EventSocket> ListenerTable<S> {
    /// Adds a handler of one event.
    pub fn on(&mut self, name: &str, handler: BoxHandler<S>) -> ListenerId {
        add(&mut self.named, name, Listener::new(handler))
    }

    /// Adds a handler of something that happens to the connection itself: `end`, `drain`, `close`.
    /// Events of the peer that have the same name do not reach it.
    pub fn on_stream(&mut self, name: &str, handler: BoxHandler<S>) -> ListenerId {
        add(&mut self.stream, name, Listener::new(handler))
    }

    /// Adds a handler that runs for the next such event only.
    pub fn once(&mut self, name: &str, handler: BoxHandler<S>) -> ListenerId {
        let spent = Some(Arc::default());
        let listener = Listener {
            spent,
            ..Listener::new(handler)
        };
        add(&mut self.named, name, listener)
    }

    /// Adds a handler that runs for every incoming event, before the event's own.
    pub fn on_any(&mut self, handler: BoxHandler<S>) -> ListenerId {
        push(&mut self.any, Listener::new(handler))
    }

    /// Adds a handler for every incoming event in front of the others.
    pub fn prepend_any(&mut self, handler: BoxHandler<S>) -> ListenerId {
        insert(&mut self.any, 0, Listener::new(handler))
    }

    /// Adds a handler that sees every outgoing event.
    pub fn on_any_outgoing(&mut self, handler: BoxHandler<S>) -> ListenerId {
        push(&mut self.any_outgoing, Listener::new(handler))
    }

    /// Adds a handler that sees every outgoing event in front of the others.
    pub fn prepend_any_outgoing(&mut self, handler: BoxHandler<S>) -> ListenerId {
        insert(&mut self.any_outgoing, 0, Listener::new(handler))
    }

    /// Removes the handlers of one event, or of what happens to the connection under this name;
    /// says how many there were.
    pub fn off(&mut self, name: &str) -> usize {
        let removed = [self.named.remove(name), self.stream.remove(name)];
        removed.iter().flatten().map(Vec::len).sum()
    }

    /// Removes the handlers of all events (`on` and `once`), and of what happens to the connection.
    pub fn off_all(&mut self) {
        self.named.clear();
        self.stream.clear();
    }

    /// Removes all `on_any` handlers.
    pub fn off_any(&mut self) {
        self.any.clear();
    }

    /// Removes all `on_any_outgoing` handlers.
    pub fn off_any_outgoing(&mut self) {
        self.any_outgoing.clear();
    }

    /// Removes one handler, whichever way it was added; says whether it was there.
    pub fn remove(&mut self, id: ListenerId) -> bool {
        let mut found = false;
        let mut keep = |listener: &Listener<S>| {
            found |= listener.id == id;
            listener.id != id
        };
        self.any.retain(&mut keep);
        self.any_outgoing.retain(&mut keep);
        for table in [&mut self.named, &mut self.stream] {
            table.retain(|_, listeners| {
                listeners.retain(&mut keep);
                !listeners.is_empty()
            });
        }
        found
    }

    /// The names of the events, and of what happens to the connection, that have handlers: each
    /// once, in the order in which their oldest handlers were added.
    #[must_use]
    pub fn event_names(&self) -> Vec<String> {
        let tables = self.named.iter().chain(&self.stream);
        let mut names: Vec<(ListenerId, &str)> = tables
            .filter_map(|(name, listeners)| Some((listeners.first()?.id, &**name)))
            .collect();
        names.sort_unstable();
        let mut seen = HashSet::new();
        names.retain(|(_, name)| seen.insert(*name));
        names.iter().map(|(_, name)| (*name).to_owned()).collect()
    }

    /// How many handlers there are for this event, or for what happens to the connection under this
    /// name. Those of every event do not count.
    #[must_use]
    pub fn count(&self, name: &str) -> usize {
        self.listeners(name).len()
    }

    /// The handlers of this event, or of what happens to the connection under this name, in the order in which they run.
    #[must_use]
    pub fn listeners(&self, name: &str) -> Vec<ListenerId> {
        let tables = [&self.named, &self.stream];
        ids(tables.iter().filter_map(|table| table.get(name)).flatten())
    }

    /// The catch-all handlers, in the order in which they run.
    #[must_use]
    pub fn listeners_any(&self) -> Vec<ListenerId> {
        ids(&self.any)
    }

    /// The handlers of outgoing events, in the order in which they run.
    #[must_use]
    pub fn listeners_any_outgoing(&self) -> Vec<ListenerId> {
        ids(&self.any_outgoing)
    }

    /// Whether outgoing events have a handler.
    #[must_use]
    pub fn has_outgoing(&self) -> bool {
        !self.any_outgoing.is_empty()
    }

    /// The handlers that an event of this name reaches.
    #[must_use]
    pub fn reached_by(&self, name: &str) -> Reached<'_, S> {
        Reached {
            any: &self.any,
            named: self.named.get(name).map_or(&[], Vec::as_slice),
        }
    }

    /// Runs the catch-all handlers.
    pub fn dispatch_any(&self, event: &Event<'_, S>, running: &mut Running, cx: &mut Context<'_>) {
        run(&self.any, event, Role::Observer, running, cx);
    }

    /// Runs the handlers of the event's name; true if a `once` handler was used up, which the
    /// owner then takes out with [`sweep`](Self::sweep).
    pub fn dispatch(
        &self,
        event: &Event<'_, S>,
        running: &mut Running,
        cx: &mut Context<'_>,
    ) -> bool {
        let named = self.reached_by(event.name()).named;
        run(named, event, Role::Handler, running, cx)
    }

    /// Calls the handlers of what has happened to the connection; `start` gets each future right
    /// after its handler was called.
    pub fn dispatch_stream(&self, event: &Event<'_, S>, start: impl FnMut(HandlerFuture)) {
        let listeners = self.stream.get(event.name());
        listeners
            .into_iter()
            .flatten()
            .filter_map(|listener| listener.handler.call(event, Role::Handler))
            .for_each(start);
    }

    /// Whether there are handlers of what happens to the connection under this name.
    #[must_use]
    pub fn has_stream(&self, name: &str) -> bool {
        self.stream.contains_key(name)
    }

    /// Whether there are handlers of this event, as opposed to those of every one.
    #[must_use]
    pub fn has_named(&self, name: &str) -> bool {
        self.named.contains_key(name)
    }

    /// The same as [`dispatch`](Self::dispatch) outside of the connection's task: `start` gets each
    /// future right after its handler was called.
    pub fn dispatch_local(
        &self,
        event: &Event<'_, S>,
        mut start: impl FnMut(HandlerFuture),
    ) -> bool {
        call(
            self.reached_by(event.name()).named,
            event,
            Role::Handler,
            &mut |future, _| start(future),
        )
    }

    /// The same with the handlers of every event, which are called first.
    pub fn dispatch_aside(
        &self,
        event: &Event<'_, S>,
        mut start: impl FnMut(HandlerFuture),
    ) -> bool {
        call(&self.any, event, Role::Observer, &mut |future, _| {
            start(future);
        });
        self.dispatch_local(event, start)
    }

    /// Runs the handlers of outgoing events.
    pub fn dispatch_outgoing(&self, event: &Event<'_, S>) -> Vec<HandlerFuture> {
        self.any_outgoing
            .iter()
            .filter_map(|listener| listener.handler.call(event, Role::Observer))
            .collect()
    }

    /// Takes out the `once` handlers of this name that have run.
    pub fn sweep(&mut self, name: &str) {
        if let Some(listeners) = self.named.get_mut(name) {
            listeners.retain(|listener| !listener.is_spent());
            if listeners.is_empty() {
                self.named.remove(name);
            }
        }
    }
}

impl<S: EventSocket> Reached<'_, S> {
    /// How many there are, catch-all ones included.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.any.len() + self.named.len()
    }

    /// Runs them, the catch-all ones first; what comes back is as for
    /// [`ListenerTable::dispatch`].
    #[inline]
    pub fn run(&self, event: &Event<'_, S>, running: &mut Running, cx: &mut Context<'_>) -> bool {
        if !self.any.is_empty() {
            run(self.any, event, Role::Observer, running, cx);
        }
        run(self.named, event, Role::Handler, running, cx)
    }
}

fn ids<'l, S: 'l>(listeners: impl IntoIterator<Item = &'l Listener<S>>) -> Vec<ListenerId> {
    let listeners = listeners.into_iter();
    let left = listeners.filter(|listener| !listener.is_spent());
    left.map(|listener| listener.id).collect()
}

#[inline]
fn run<S: EventSocket>(
    listeners: &[Listener<S>],
    event: &Event<'_, S>,
    role: Role,
    running: &mut Running,
    cx: &mut Context<'_>,
) -> bool {
    call(listeners, event, role, &mut |future, since| {
        running.start_with(future, || event.size(), since, cx);
    })
}

#[inline]
fn call<S: EventSocket>(
    listeners: &[Listener<S>],
    event: &Event<'_, S>,
    role: Role,
    start: &mut impl FnMut(HandlerFuture, Stopwatch),
) -> bool {
    let mut used_up = false;
    for listener in listeners {
        if let Some(spent) = &listener.spent {
            used_up = true;
            if spent.swap(true, Ordering::AcqRel) {
                continue;
            }
        }
        let since = Stopwatch::start::<S>();
        match listener.handler.call(event, role) {
            Some(future) => start(future, since),
            None => since.stop(),
        }
    }
    used_up
}

fn add<S>(table: &mut Table<S>, name: &str, listener: Listener<S>) -> ListenerId {
    push(table.entry(name.into()).or_default(), listener)
}

fn push<S>(list: &mut Vec<Listener<S>>, listener: Listener<S>) -> ListenerId {
    let end = list.len();
    insert(list, end, listener)
}

fn insert<S>(list: &mut Vec<Listener<S>>, at: usize, listener: Listener<S>) -> ListenerId {
    let id = listener.id;
    list.insert(at, listener);
    id
}

impl<S> Listener<S> {
    fn new(handler: BoxHandler<S>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = ListenerId(NEXT.fetch_add(1, Ordering::Relaxed));
        Self {
            id,
            handler,
            spent: None,
        }
    }

    fn is_spent(&self) -> bool {
        self.spent
            .as_ref()
            .is_some_and(|spent| spent.load(Ordering::Acquire))
    }
}

impl<S> Clone for Listener<S> {
    fn clone(&self) -> Self {
        Self {
            id: self.id,
            handler: Arc::clone(&self.handler),
            spent: self.spent.clone(),
        }
    }
}

impl<S> Clone for ListenerTable<S> {
    fn clone(&self) -> Self {
        Self {
            named: self.named.clone(),
            stream: self.stream.clone(),
            any: self.any.clone(),
            any_outgoing: self.any_outgoing.clone(),
        }
    }
}

impl<S> Default for ListenerTable<S> {
    fn default() -> Self {
        Self {
            named: HashMap::default(),
            stream: HashMap::default(),
            any: Vec::new(),
            any_outgoing: Vec::new(),
        }
    }
}

impl<S> fmt::Debug for Reached<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reached")
            .field("named", &self.named.len())
            .field("any", &self.any.len())
            .finish()
    }
}

impl<S> fmt::Debug for ListenerTable<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenerTable")
            .field("named", &self.named.keys())
            .field("stream", &self.stream.keys())
            .field("any", &self.any.len())
            .field("any_outgoing", &self.any_outgoing.len())
            .finish()
    }
}
