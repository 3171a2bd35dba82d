//! An adapter of a stranger: the servers of one process, joined by channels.
//!
//! It stands on the adapter crate alone, and what it sends has left the sender for good: texts and bytes, no handles.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};
use sockeye_adapter::{
    Adapter, Answer, AnswerTo, BroadcastOptions, Cluster, Delivery, EventBody, Incomplete, Local,
    RecoveryStore, Resume, RoomEvent, SocketDetails, Target,
};
use sockeye_socket_proto::{Args, RawArgs};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, timeout_at};

use crate::store::{Shared, Store};

/// What the channels of all servers meet in.
#[derive(Default)]
pub(crate) struct Hub {
    nodes: Mutex<Vec<Node>>,
    next: AtomicU64,
    /// Broadcasts are logged, and say as their last argument where.
    has_log: bool,
    /// Broadcasts are logged where sockets can come back for them.
    store: Option<Arc<Shared>>,
    /// Broadcasts that were handed to a server.
    pub(crate) delivered: AtomicU64,
}

/// One server's end of one namespace.
struct Node {
    id: u64,
    server: &'static str,
    namespace: String,
    local: Weak<dyn Local>,
    inbox: UnboundedSender<(u64, Message)>,
    rooms: HashSet<Arc<str>>,
    is_frozen: bool,
}

pub(crate) enum Message {
    Broadcast(Event, BroadcastOptions),
    /// The same, as it stands in the log under this number.
    Logged(u64, Event, BroadcastOptions),
    Restore(String, u64, Resume),
    Ask(u64, Event, BroadcastOptions),
    Fetch(u64, Target),
    Join(Target, Vec<Arc<str>>),
    Leave(Target, Vec<Arc<str>>),
    Disconnect(Target, bool),
    ServerSide(Option<u64>, Event),
    Reply(u64, Reply),
    Gone,
}

pub(crate) enum Reply {
    Answer(Answer),
    /// Sockets, as JSON.
    Sockets(String),
    Args(Wire),
    Gone,
}

#[derive(Clone)]
pub(crate) struct Event {
    name: String,
    args: Wire,
}

#[derive(Clone)]
pub(crate) struct Wire {
    json: String,
    attachments: Vec<Bytes>,
}

impl Wire {
    fn new(args: RawArgs<'_>) -> Self {
        Self {
            json: format!("[{}]", args.as_json()),
            attachments: args.attachments().to_vec(),
        }
    }

    fn raw(&self) -> RawArgs<'_> {
        let args = RawArgs::from_array(&self.json).expect("own JSON");
        args.with_attachments(&self.attachments)
    }
}

impl Event {
    fn new(event: &EventBody<'_>) -> Self {
        Self {
            name: event.name.to_owned(),
            args: Wire::new(event.args),
        }
    }

    pub(crate) fn body(&self) -> EventBody<'_> {
        EventBody {
            name: &self.name,
            args: self.args.raw(),
        }
    }
}

impl Hub {
    /// One with a log.
    pub(crate) fn with_log() -> Self {
        Self {
            has_log: true,
            ..Self::default()
        }
    }

    /// One to whose servers sockets come back.
    pub(crate) fn with_store() -> Self {
        Self {
            store: Some(Arc::default()),
            ..Self::default()
        }
    }

    pub(crate) const fn store(&self) -> Option<&Arc<Shared>> {
        self.store.as_ref()
    }

    /// Logs a broadcast and hands it to all servers that have the namespace, all of them in the order of the log.
    fn log(&self, shared: &Shared, namespace: &str, event: &Event, mut options: BroadcastOptions) {
        let nodes = self.nodes.lock().unwrap();
        let number = shared.append(namespace, event.clone(), options.clone());
        options.offset = Some(number.to_string().into());
        let of_namespace = nodes.iter().filter(|node| node.namespace == namespace);
        for node in of_namespace.filter(|node| !node.is_frozen) {
            let message = Message::Logged(number, event.clone(), options.clone());
            let _ = node.inbox.send((node.id, message));
        }
    }

    /// Sends to one server's end of a namespace.
    pub(crate) fn send_to(&self, node: u64, message: Message) {
        let nodes = self.nodes.lock().unwrap();
        if let Some(node) = nodes.iter().find(|other| other.id == node) {
            let _ = node.inbox.send((node.id, message));
        }
    }

    /// The cluster for one more server.
    pub(crate) fn server(self: &Arc<Self>, name: &'static str) -> Member {
        Member {
            hub: Arc::clone(self),
            name,
        }
    }

    /// What a server has of its main namespace.
    pub(crate) fn local(&self, server: &str) -> Arc<dyn Local> {
        let nodes = self.nodes.lock().unwrap();
        let mut nodes = nodes.iter().filter(|node| node.server == server);
        let node = nodes.find(|node| node.namespace == "/").unwrap();
        node.local.upgrade().unwrap()
    }

    /// Nothing reaches the server any more, nor is anybody told.
    pub(crate) fn freeze(&self, server: &str) {
        let mut nodes = self.nodes.lock().unwrap();
        let frozen = nodes.iter_mut().filter(|node| node.server == server);
        frozen.for_each(|node| node.is_frozen = true);
    }

    /// The server is gone, and the others notice.
    pub(crate) fn kill(&self, server: &str) {
        let ids = |node: &Node| (node.server == server).then_some(node.id);
        let ids: Vec<_> = self.nodes.lock().unwrap().iter().filter_map(ids).collect();
        ids.into_iter().for_each(|id| self.remove(id));
    }

    fn remove(&self, id: u64) {
        let mut nodes = self.nodes.lock().unwrap();
        nodes.retain(|node| node.id != id);
        for node in nodes.iter() {
            let _ = node.inbox.send((id, Message::Gone));
        }
    }

    /// Sends to the other servers that have the namespace and, if rooms are named, one of them; gives their ids.
    fn send(
        &self,
        from: u64,
        namespace: &str,
        target: Option<&Target>,
        mut message: impl FnMut() -> Message,
    ) -> Vec<u64> {
        let nodes = self.nodes.lock().unwrap();
        let is_of = |node: &&Node| {
            let mut rooms = target.into_iter().flat_map(Target::rooms).peekable();
            node.id != from
                && node.namespace == namespace
                && (rooms.peek().is_none() || rooms.any(|room| node.rooms.contains(room)))
        };
        let send = |node: &Node| {
            if !node.is_frozen {
                let _ = node.inbox.send((from, message()));
            }
            node.id
        };
        nodes.iter().filter(is_of).map(send).collect()
    }
}

/// One server, as a member of the cluster.
pub(crate) struct Member {
    hub: Arc<Hub>,
    name: &'static str,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Cluster for Member {
    fn open(&self, local: Arc<dyn Local>) -> Arc<dyn Adapter> {
        let (inbox, messages) = unbounded_channel();
        let id = self.hub.next.fetch_add(1, Ordering::Relaxed);
        let namespace = local.namespace().to_owned();
        let weak = Arc::downgrade(&local);
        let store = self.hub.store().map(|_| {
            Arc::new(Store {
                hub: Arc::clone(&self.hub),
                node: id,
                namespace: namespace.clone(),
                local: Weak::clone(&weak),
                handed: Arc::default(),
            })
        });
        let adapter = Arc::new(Channel {
            store,
            hub: Arc::clone(&self.hub),
            id,
            namespace: namespace.clone(),
            local: Weak::clone(&weak),
            pending: Mutex::default(),
            is_closed: AtomicBool::new(false),
        });
        self.hub.nodes.lock().unwrap().push(Node {
            id,
            server: self.name,
            namespace,
            local: Weak::clone(&weak),
            inbox,
            rooms: HashSet::new(),
            is_frozen: false,
        });
        tokio::spawn(receive(Arc::downgrade(&adapter), weak, messages));
        adapter
    }
}

struct Channel {
    store: Option<Arc<Store>>,
    hub: Arc<Hub>,
    id: u64,
    namespace: String,
    local: Weak<dyn Local>,
    pending: Mutex<HashMap<u64, UnboundedSender<(u64, Reply)>>>,
    is_closed: AtomicBool,
}

impl Channel {
    /// Sends to the others, and says who they are.
    fn tell(&self, target: Option<&Target>, message: impl FnMut() -> Message) -> Vec<u64> {
        self.hub.send(self.id, &self.namespace, target, message)
    }

    /// The same with something to be answered.
    fn request(&self, message: impl Fn(u64) -> Message, timeout: Option<Duration>) -> Pending {
        let (sender, replies) = unbounded_channel();
        let number = self.hub.next.fetch_add(1, Ordering::Relaxed);
        self.pending.lock().unwrap().insert(number, sender);
        let nodes = self.tell(None, || message(number));
        Pending {
            waiting: nodes.into_iter().map(|node| (node, None)).collect(),
            replies,
            deadline: Instant::now() + timeout.unwrap_or(Duration::from_secs(5)),
            lost: 0,
        }
    }

    fn answer(&self, to: u64, number: u64, reply: Reply) {
        let nodes = self.hub.nodes.lock().unwrap();
        if let Some(node) = nodes.iter().find(|node| node.id == to) {
            let _ = node.inbox.send((self.id, Message::Reply(number, reply)));
        }
    }
}

impl Adapter for Channel {
    fn broadcast(&self, event: &EventBody<'_>, options: &BroadcastOptions) -> Delivery {
        if let (Some(shared), false) = (self.hub.store(), options.volatile) {
            let (hub, shared) = (Arc::clone(&self.hub), Arc::clone(shared));
            let (event, options) = (Event::new(event), options.clone());
            let namespace = self.namespace.clone();
            tokio::spawn(async move {
                tokio::task::yield_now().await;
                hub.log(&shared, &namespace, &event, options);
            });
            return Delivery::Later;
        }
        if !self.hub.has_log {
            let event = || Message::Broadcast(Event::new(event), options.clone());
            self.tell(Some(&options.target), event);
            return Delivery::Now;
        }
        // Where it stands in the log is known a little later only.
        let (hub, local, id) = (Arc::clone(&self.hub), self.local.clone(), self.id);
        let (mut event, options) = (Event::new(event), options.clone());
        let namespace = self.namespace.clone();
        tokio::spawn(async move {
            tokio::task::yield_now().await;
            event.args.json.pop();
            event.args.json.push_str(r#","offset"]"#);
            let message = || Message::Broadcast(Event::new(&event.body()), options.clone());
            hub.send(id, &namespace, Some(&options.target), message);
            if let Some(local) = local.upgrade() {
                local.broadcast(&event.body(), &options);
            }
        });
        Delivery::Later
    }

    fn ask(&self, event: &EventBody<'_>, options: &BroadcastOptions) -> BoxStream<'static, Answer> {
        let message = |number| Message::Ask(number, Event::new(event), options.clone());
        let pending = self.request(message, options.timeout);
        stream::unfold(pending, Pending::next_answer).boxed()
    }

    fn fetch_sockets(
        &self,
        target: &Target,
        timeout: Option<Duration>,
    ) -> BoxFuture<'static, Result<Vec<SocketDetails>, Incomplete<SocketDetails>>> {
        let message = |number| Message::Fetch(number, target.clone());
        let replies = self.request(message, timeout).collect(|reply| match reply {
            Reply::Sockets(json) => serde_json::from_str::<Vec<_>>(&json).ok(),
            _ => None,
        });
        let flat = |sockets: Vec<Vec<_>>| sockets.into_iter().flatten().collect();
        replies
            .map(move |result| match result {
                Ok(sockets) => Ok(flat(sockets)),
                Err(Incomplete { answers, missing }) => {
                    let answers = flat(answers);
                    Err(Incomplete { answers, missing })
                }
            })
            .boxed()
    }

    fn join(&self, target: &Target, rooms: &[Arc<str>]) {
        self.tell(None, || Message::Join(target.clone(), rooms.to_vec()));
    }

    fn leave(&self, target: &Target, rooms: &[Arc<str>]) {
        self.tell(None, || Message::Leave(target.clone(), rooms.to_vec()));
    }

    fn disconnect(&self, target: &Target, close: bool) {
        self.tell(None, || Message::Disconnect(target.clone(), close));
    }

    fn server_side_emit(&self, event: &EventBody<'_>) {
        self.tell(None, || Message::ServerSide(None, Event::new(event)));
    }

    fn server_side_ask(
        &self,
        event: &EventBody<'_>,
        timeout: Option<Duration>,
    ) -> BoxFuture<'static, Result<Vec<Args>, Incomplete<Args>>> {
        let message = |number| Message::ServerSide(Some(number), Event::new(event));
        let replies = self.request(message, timeout).collect(|reply| match reply {
            Reply::Args(args) => Some(args.raw().to_args()),
            _ => None,
        });
        replies.boxed()
    }

    fn server_count(&self) -> BoxFuture<'static, usize> {
        let nodes = self.hub.nodes.lock().unwrap();
        let of_namespace = |node: &&Node| node.namespace == self.namespace;
        let count = nodes.iter().filter(of_namespace).count();
        async move { count }.boxed()
    }

    fn room_changed(&self, event: &RoomEvent) {
        let mut nodes = self.hub.nodes.lock().unwrap();
        let Some(node) = nodes.iter_mut().find(|node| node.id == self.id) else {
            return;
        };
        match event {
            RoomEvent::Created { room } => assert!(node.rooms.insert(Arc::clone(room))),
            RoomEvent::Deleted { room } => assert!(node.rooms.remove(room)),
            _ => {}
        }
    }

    fn recovery(&self) -> Option<Arc<dyn RecoveryStore>> {
        Some(Arc::clone(self.store.as_ref()?) as _)
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        let nodes = self.hub.nodes.lock().unwrap();
        let own = nodes.iter().find(|node| node.id == self.id);
        assert!(
            own.is_none_or(|node| node.rooms.is_empty()),
            "all have left"
        );
        drop(nodes);
        assert!(
            !self.is_closed.swap(true, Ordering::Relaxed),
            "closed twice"
        );
        self.hub.remove(self.id);
        async {}.boxed()
    }
}

/// What other servers have been asked.
struct Pending {
    /// Who has not said all: for broadcasts, of how many sockets answers are still to come.
    waiting: HashMap<u64, Option<usize>>,
    replies: UnboundedReceiver<(u64, Reply)>,
    deadline: Instant,
    /// Sockets that went with their server.
    lost: usize,
}

impl Pending {
    /// One reply of each server.
    async fn collect<T>(
        mut self,
        read: impl Fn(Reply) -> Option<T>,
    ) -> Result<Vec<T>, Incomplete<T>> {
        let (mut answers, mut missing) = (Vec::new(), 0);
        while !self.waiting.is_empty() {
            let Ok(Some((from, reply))) = timeout_at(self.deadline, self.replies.recv()).await
            else {
                break;
            };
            if self.waiting.remove(&from).is_some() {
                match read(reply) {
                    Some(answer) => answers.push(answer),
                    None => missing += 1,
                }
            }
        }
        match missing + self.waiting.len() {
            0 => Ok(answers),
            missing => Err(Incomplete { answers, missing }),
        }
    }

    async fn next_answer(mut self) -> Option<(Answer, Self)> {
        loop {
            if self.lost > 0 {
                self.lost -= 1;
                return Some((Answer::Lost { id: None }, self));
            }
            self.waiting.retain(|_, sockets| *sockets != Some(0));
            if self.waiting.is_empty() {
                return None;
            }
            let Ok(Some((from, reply))) = timeout_at(self.deadline, self.replies.recv()).await
            else {
                let silent = self.waiting.values().filter(|count| count.is_none());
                let silent = silent.count();
                self.waiting.clear();
                return Some((Answer::Missing(silent), self));
            };
            match reply {
                Reply::Answer(answer) => {
                    match (&answer, self.waiting.get_mut(&from)) {
                        (Answer::Asked(count), Some(sockets)) => *sockets = Some(*count),
                        (_, Some(Some(sockets))) => *sockets -= 1,
                        _ => continue,
                    }
                    return Some((answer, self));
                }
                _ => match self.waiting.remove(&from) {
                    Some(None) => return Some((Answer::Missing(1), self)),
                    Some(Some(sockets)) => self.lost = sockets,
                    None => {}
                },
            }
        }
    }
}

/// Does for others what they ask for, one after the other.
async fn receive(
    adapter: Weak<Channel>,
    local: Weak<dyn Local>,
    mut messages: UnboundedReceiver<(u64, Message)>,
) {
    while let Some((from, message)) = messages.recv().await {
        let (Some(adapter), Some(local)) = (adapter.upgrade(), local.upgrade()) else {
            return;
        };
        match message {
            Message::Broadcast(event, options) => {
                adapter.hub.delivered.fetch_add(1, Ordering::Relaxed);
                local.broadcast(&event.body(), &options);
            }
            Message::Logged(number, event, options) => {
                let store = adapter.store.as_ref().unwrap();
                store.handed.store(number, Ordering::Relaxed);
                local.broadcast(&event.body(), &options);
            }
            Message::Restore(pid, got, resume) => {
                let store = adapter.store.as_ref().unwrap();
                store.resume(&pid, got, resume);
            }
            Message::Ask(number, event, options) => {
                let mut answers = local.ask(&event.body(), &options);
                tokio::spawn(async move {
                    while let Some(answer) = answers.next().await {
                        adapter.answer(from, number, Reply::Answer(answer));
                    }
                });
            }
            Message::Fetch(number, target) => {
                let sockets = serde_json::to_string(&local.sockets(&target)).unwrap();
                adapter.answer(from, number, Reply::Sockets(sockets));
            }
            Message::Join(target, rooms) => local.join(&target, &rooms),
            Message::Leave(target, rooms) => local.leave(&target, &rooms),
            Message::Disconnect(target, close) => local.disconnect(&target, close),
            Message::ServerSide(number, event) => {
                let answer = |number| -> AnswerTo {
                    let adapter = Arc::clone(&adapter);
                    Box::new(move |args| {
                        let args = Wire::new(args.as_raw());
                        adapter.answer(from, number, Reply::Args(args));
                    })
                };
                local.server_side_event(&event.body(), number.map(answer));
            }
            Message::Reply(number, reply) => {
                if let Some(pending) = adapter.pending.lock().unwrap().get(&number) {
                    let _ = pending.send((from, reply));
                }
            }
            Message::Gone => {
                let mut pending = adapter.pending.lock().unwrap();
                pending.retain(|_, pending| pending.send((from, Reply::Gone)).is_ok());
            }
        }
    }
}
