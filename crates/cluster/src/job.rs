//! What a bus is to do.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sockeye_adapter::KeptSocket;
use sockeye_cluster_proto::legacy::LegacyAnswer;
use sockeye_cluster_proto::{Message, NodeId, Opts, Value};
use tokio::sync::oneshot;

use crate::census::Census;
use crate::clock::now;
use crate::fate::Fate;
use crate::replay::{Between, Replay};
use crate::saves::Saving;
use crate::sync::Mutex;

/// One thing that a bus is to do. [`Link::next`](crate::Link::next) gives them in the order in which they are to be done.
///
/// A bus says of each kind what it does with it, so that the compiler finds whichever does not know of a new one.
#[derive(Debug)]
pub enum Job {
    /// A namespace has come into being on this server: subscribe to what the others publish for it.
    Open(Opening),
    /// It is gone: what was subscribed for it is not wanted any more.
    Close(Closing),
    /// A message for the other servers.
    Publish(Publish),
    /// A room has got its first member here, or lost its last one. Only with [`interest`](crate::BusProfile::interest).
    Interest(Interest),
    /// How many servers have this namespace open, with this one? Only with [`Counting::Engine`](crate::Counting::Engine).
    CountNodes(CountNodes),
    /// Which of these servers have this namespace open? Only with [`Counting::Engine`](crate::Counting::Engine).
    FindNodes(FindNodes),
    /// Somebody waits until the engine has done all that it was asked for before. Dropped, it says that it has.
    Settle(Settling),
    /// A socket to be kept where all servers find it. Only with a [`log`](crate::BusProfile::log).
    Keep(Keep),
    /// A socket not to be kept any more, as it will not come back. Only with a [`log`](crate::BusProfile::log).
    Forget(Forget),
    /// A kept socket that somebody wants to be again. Only with a [`log`](crate::BusProfile::log).
    Restore(Restore),
}

/// A namespace that has come into being.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opening {
    /// Its name.
    pub namespace: Arc<str>,
    /// What this server is called in it.
    pub uid: NodeId,
}

/// A namespace that is gone. Whoever waits for that learns when this is [done](Self::done), or dropped.
#[derive(Debug)]
#[non_exhaustive]
pub struct Closing {
    /// Its name.
    pub namespace: Arc<str>,
    /// What this server was called in it.
    pub uid: NodeId,
    pub(crate) key: u64,
    pub(crate) done: Option<oneshot::Sender<()>>,
}

/// A message to be published. The bus says afterwards whether the engine [has it](crate::Link::published) or
/// [will not](crate::Link::failed), or [puts it back](crate::Link::put_back). To drop one is to say that it is lost.
#[non_exhaustive]
pub struct Publish {
    /// The namespace.
    pub namespace: Arc<str>,
    /// What this server is called in it.
    pub uid: NodeId,
    /// To whom.
    pub route: Route,
    /// What.
    pub message: Message,
    /// Says which one it is, if it is to be told to [`Link::receive`](crate::Link::receive) when it comes back. Only with a
    /// [`log`](crate::BusProfile::log).
    pub tag: Option<u64>,
    /// When it is too late, as soon as the bus has had it once.
    pub(crate) until: Option<Instant>,
    pub(crate) fate: Fate,
}

/// To whom a message goes, where an engine has several ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Every server that has the namespace.
    All,
    /// Those that have members in this room, which is the only one that the message is for. It may be the id of a socket.
    Room(Arc<str>),
    /// Every server; there will be answers.
    Request,
    /// The server that has asked; its id, where the dialect says it.
    Response(Option<NodeId>),
}

/// A room that this server wants to hear of, or does not any more.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Interest {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The room, which may be the id of a socket.
    pub room: Arc<str>,
    /// Whether it has members here.
    pub gained: bool,
}

/// A question for the engine.
#[derive(Debug)]
#[non_exhaustive]
pub struct CountNodes {
    /// The namespace.
    pub namespace: Arc<str>,
    pub(crate) census: Arc<Mutex<Census>>,
    pub(crate) asked: Instant,
    pub(crate) reply: oneshot::Sender<usize>,
}

/// A question for the engine, for each of some servers. Whoever has asked is told when there is an answer for each, and
/// otherwise, when this is dropped, that there is none.
#[derive(Debug)]
#[non_exhaustive]
pub struct FindNodes {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The servers, of which each hears a channel of its own.
    pub nodes: Vec<NodeId>,
    pub(crate) finding: Mutex<Finding>,
}

/// What is known so far.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) there: Vec<NodeId>,
    pub(crate) answers: usize,
    pub(crate) reply: Option<oneshot::Sender<Vec<NodeId>>>,
}

/// Tells somebody who waits, when it is dropped.
#[derive(Debug)]
pub struct Settling {
    pub(crate) _waiting: oneshot::Sender<()>,
}

/// A socket to be kept. Whoever waits for it to be safe learns that when this is dropped.
#[derive(Debug)]
#[non_exhaustive]
pub struct Keep {
    /// The namespace.
    pub namespace: Arc<str>,
    /// What this server is called in it.
    pub uid: NodeId,
    /// The socket.
    pub socket: KeptSocket,
    /// How long to keep it.
    pub time: Duration,
    pub(crate) _saving: Saving,
}

/// A socket that is not to be kept any more.
#[derive(Clone)]
#[non_exhaustive]
pub struct Forget {
    /// The namespace.
    pub namespace: Arc<str>,
    /// What this server is called in it.
    pub uid: NodeId,
    /// The private id under which the socket was kept.
    pub pid: Box<str>,
}

/// Asks for a kept socket. To drop this is to say that there is none.
#[non_exhaustive]
pub struct Restore {
    /// The namespace.
    pub namespace: Arc<str>,
    /// What this server is called in it.
    pub uid: NodeId,
    /// The private id under which the socket was kept.
    pub pid: Box<str>,
    /// The offset of the last event that it has got. It must be in the log still, so that all after it are.
    pub offset: Box<str>,
    /// That of the last event that this server was given, by [`Link::receive_logged`](crate::Link::receive_logged) or
    /// [`Link::opened`](crate::Link::opened): what stands behind it the core has from there.
    pub until: Box<str>,
    pub(crate) max_bytes: usize,
    pub(crate) reply: oneshot::Sender<Box<Found>>,
}

/// A kept socket that was found.
#[derive(Debug)]
pub struct Found {
    /// The socket, which is not kept any more.
    pub socket: KeptSocket,
    /// What was logged.
    pub logged: Between,
    /// How much longer it would have been kept.
    pub left: Duration,
}

impl Closing {
    /// All that was published before is on its way, and nothing comes any more.
    pub fn done(self) {
        if let Some(done) = self.done {
            let _ = done.send(());
        }
    }
}

impl CountNodes {
    /// Tells the number.
    pub fn answer(self, nodes: usize) {
        self.census.lock().counted(nodes, self.asked);
        let _ = self.reply.send(nodes);
    }

    /// Whether nobody waits for it any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.reply.is_closed()
    }
}

impl FindNodes {
    pub(crate) fn new(
        namespace: Arc<str>,
        nodes: Vec<NodeId>,
        reply: oneshot::Sender<Vec<NodeId>>,
    ) -> Self {
        Self {
            namespace,
            nodes,
            finding: Mutex::new(Finding {
                there: Vec::new(),
                answers: 0,
                reply: Some(reply),
            }),
        }
    }

    /// Tells of one of the servers whether it is there.
    pub fn answer(&self, node: &NodeId, is_there: bool) {
        let mut finding = self.finding.lock();
        finding.answers += 1;
        if is_there {
            finding.there.push(node.clone());
        }
        if finding.answers >= self.nodes.len()
            && let Some(reply) = finding.reply.take()
        {
            let _ = reply.send(std::mem::take(&mut finding.there));
        }
    }
}

impl Restore {
    /// Gives the socket, if somebody still wants to be it.
    ///
    /// # Errors
    ///
    /// Gives it back, to be kept for the rest of its time.
    pub fn answer(self, found: Box<Found>) -> Result<(), Box<Found>> {
        self.reply.send(found)
    }

    /// What this socket has missed, to be read from the log.
    #[must_use]
    pub const fn replay<'s>(&self, socket: &'s KeptSocket) -> Replay<'s> {
        Replay::new(socket, self.max_bytes)
    }

    /// Whether nobody waits for it any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.reply.is_closed()
    }
}

impl Publish {
    /// Whether it has waited too long, and is to be [put back](crate::Link::put_back) rather than published.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.until.is_some_and(|until| until <= now())
    }

    /// About how many bytes it takes in memory.
    pub(crate) fn size(&self) -> usize {
        let names = |names: &[Arc<str>]| -> usize {
            names
                .iter()
                .map(|name| name.len() + size_of::<Arc<str>>())
                .sum()
        };
        let opts = |opts: &Opts| names(&opts.rooms) + names(&opts.except);
        OVERHEAD
            + match &self.message {
                Message::Broadcast {
                    event, opts: to, ..
                } => event.size() + opts(to),
                Message::ServerSideEmit { event, .. } => event.size(),
                Message::Join { opts: to, rooms } | Message::Leave { opts: to, rooms } => {
                    opts(to) + names(rooms)
                }
                Message::Disconnect { opts: to, .. } | Message::FetchSockets { opts: to, .. } => {
                    opts(to)
                }
                Message::Sockets { sockets, .. } => sockets.size(),
                Message::ServerSideAnswer { answer, .. } | Message::BroadcastAck { answer, .. } => {
                    answer.as_ref().map_or(0, Value::size)
                }
                Message::LegacyAnswer {
                    answer: LegacyAnswer::SocketIds(texts) | LegacyAnswer::Rooms(texts),
                    ..
                } => names(texts),
                _ => 0,
            }
    }
}

impl Keep {
    /// About how many bytes it takes in memory.
    pub(crate) fn size(&self) -> usize {
        let rooms = self.socket.rooms.iter();
        let rooms: usize = rooms.map(|room| room.len() + 2 * size_of::<usize>()).sum();
        let data = self
            .socket
            .data
            .as_ref()
            .map_or(0, |data| data.to_string().len());
        OVERHEAD + rooms + data
    }
}

/// What a job takes beside its texts.
pub(crate) const OVERHEAD: usize = 256;

/// Without what is sent, and without rooms, which may be the ids of sockets.
impl fmt::Debug for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

/// Without what is secret.
impl fmt::Debug for Forget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forget")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

/// Without what is secret.
impl fmt::Debug for Restore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Restore")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use loom::future::block_on;

    use super::*;
    use crate::sync::{model, spawn};

    #[test]
    fn whoever_has_asked_learns_of_all_servers_in_any_order_of_answers() {
        model(3, || {
            let (reply, there) = oneshot::channel();
            let nodes = ["a", "b"].map(NodeId::new);
            let find = FindNodes::new("/".into(), nodes.to_vec(), reply);
            let find = Arc::new(find);
            for node in nodes.clone() {
                let find = Arc::clone(&find);
                spawn(move || find.answer(&node, true));
            }
            drop(find);
            let mut there = block_on(there).unwrap();
            there.sort_unstable();
            assert_eq!(there, nodes);
        });
    }

    #[test]
    fn whoever_has_asked_learns_of_an_answer_that_does_not_come() {
        model(3, || {
            let (reply, there) = oneshot::channel();
            let node = NodeId::new("a");
            let nodes = vec![node.clone(), NodeId::new("b")];
            let find = Arc::new(FindNodes::new("/".into(), nodes, reply));
            let other = Arc::clone(&find);
            spawn(move || find.answer(&node, true));
            spawn(move || drop(other));
            block_on(there).unwrap_err();
        });
    }
}
