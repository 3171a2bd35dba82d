//! What outlives a connection, so that a socket can come back as if nothing had happened.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;
use sockeye_socket_proto::Args;

use crate::Target;

/// What is kept of a socket that has lost its connection.
#[derive(Clone)]
#[non_exhaustive]
pub struct KeptSocket {
    /// The private id, under which it is asked for: whoever knows it can become this socket.
    pub pid: Box<str>,
    /// The socket's id.
    pub id: Arc<str>,
    /// The rooms that it was in; its id is one.
    pub rooms: Vec<Arc<str>>,
    /// When it has joined these, in the order of their names: the last event that was logged before. What such a room got until
    /// then is not for it, whatever it says that it has got. As [`progress`](Self::progress) it is of use only in the memory of
    /// its server, and those that are not in here count as joined from the first.
    pub joined: Vec<(Arc<str>, u64)>,
    /// What the application has stored with it for all servers to see.
    pub data: Option<Value>,
    /// How far it had come in the log of its server.
    pub progress: Progress,
}

/// How far a socket has come in the log of the server that it is on, whose events have numbers. A store that is not in
/// that server's memory makes no use of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The last event that was logged when the socket connected for the first time: it can have missed none before.
    pub joined: u64,
    /// The last one that was sent to it. If it has got that, it has got all that it was sent.
    pub sent: u64,
    /// The last one that was logged when sending to it ended.
    pub left: u64,
}

/// An event that those who are away get later.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoggedEvent {
    /// Its number, where the log is in this server's memory; 0 elsewhere.
    pub number: u64,
    /// The place in the log, which receivers get as a further argument behind the others.
    pub offset: Box<str>,
    /// The name.
    pub name: Box<str>,
    /// The arguments, without the offset.
    pub args: Args,
    /// Bytes travel as attachments, rather than inside of the JSON.
    pub binary: bool,
}

impl LoggedEvent {
    /// An event with attachments, if there are bytes in it, and without a number.
    #[must_use]
    pub fn new(offset: Box<str>, name: &str, args: Args) -> Self {
        Self {
            number: 0,
            offset,
            name: name.into(),
            args,
            binary: true,
        }
    }

    /// Its name, its JSON and its attachments in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let attachments: usize = self.args.attachments().iter().map(|part| part.len()).sum();
        self.name.len() + self.args.as_json().len() + attachments
    }
}

/// Who gets a logged event.
#[derive(Clone, Debug)]
pub enum Receivers {
    /// The socket with this id, and nobody else who may be in a room of that name.
    Socket(Arc<str>),
    /// Those whom a target means.
    Target(Target),
}

impl Receivers {
    /// Whether a socket with this id, in these rooms, gets the event.
    #[must_use]
    pub fn include(&self, id: &str, rooms: &[Arc<str>]) -> bool {
        let target = match self {
            Self::Socket(one) => return **one == *id,
            Self::Target(target) => target,
        };
        let is_in = |room: &str| is_in(room, id, rooms);
        let is_meant = target.rooms().len() == 0 || target.rooms().any(is_in);
        is_meant && !self.except(id, rooms)
    }

    /// Whether such a socket does not get the event, though it may be in a room that does.
    pub(crate) fn except(&self, id: &str, rooms: &[Arc<str>]) -> bool {
        match self {
            Self::Socket(_) => false,
            Self::Target(target) => target.excepted().any(|room| is_in(room, id, rooms)),
        }
    }
}

fn is_in(room: &str, id: &str, rooms: &[Arc<str>]) -> bool {
    *room == *id || rooms.iter().any(|own| **own == *room)
}

/// What somebody shows who wants to be a kept socket again.
#[derive(Clone, Copy)]
pub struct Claim<'a> {
    /// The private id.
    pub pid: &'a str,
    /// The offset of the last event that it has got; `None` if it has got none at all.
    pub offset: Option<&'a str>,
}

/// A kept socket, and what has been logged for it that it has not got.
#[derive(Debug)]
pub struct Restored {
    /// The socket, which is not kept any more.
    pub socket: KeptSocket,
    /// What it has missed, in the order of the log.
    pub missed: Vec<Arc<LoggedEvent>>,
    /// How much longer it would have been kept.
    pub left: Duration,
}

/// Takes a kept socket out of the hands of its store; or gives it back, if nobody waits for it any more, in which case it
/// is to be kept for the rest of its time. Dropped without being called, it says that there is no such socket.
pub type Resume = Box<dyn FnOnce(Restored) -> Option<Restored> + Send>;

/// What becomes of a socket that is to be [saved](RecoveryStore::save).
#[must_use]
pub enum Save {
    /// It is kept, or on its way to where it is.
    Taken,
    /// There is no room for it. When the future is ready, there may be.
    Later(BoxFuture<'static, ()>),
    /// There never is.
    Never,
}

/// Keeps the sockets of one namespace that have lost their connections, and knows what has been logged since.
///
/// A server that is alone has a [`MemoryStore`](crate::MemoryStore). In a cluster, the
/// [adapter](crate::Adapter::recovery) has one, for sockets that come back to another server: it logs the broadcasts that
/// it carries, hands them to each server's [`Local::broadcast`](crate::Local::broadcast) together with their
/// [offset](crate::BroadcastOptions::offset), and keeps sockets where all servers find them.
///
/// Neither method waits: what takes time is queued, and carried out in the order of the calls.
pub trait RecoveryStore: fmt::Debug + Send + Sync + 'static {
    /// Keeps a socket for this long. One of the same private id is replaced.
    fn keep(&self, socket: KeptSocket, time: Duration);

    /// Keeps a socket that is there, as its server is about to close. Nothing that waits is dropped for it, nor is it dropped
    /// for what comes later. Default: as [`keep`](Self::keep).
    fn save(&self, socket: KeptSocket, time: Duration) -> Save {
        self.keep(socket, time);
        Save::Taken
    }

    /// Forgets a kept socket, if there is one. Only for stores that keep sockets while they are there. Default: nothing.
    fn forget(&self, pid: &str) {
        let _ = pid;
    }

    /// Takes a kept socket out, if there is one with this private id and if all that it has missed is still known.
    /// What makes no sense is no error: there is no such socket then.
    ///
    /// `resume` is to be called at a moment that divides the log: what stands in it before is in
    /// [`missed`](Restored::missed), and what comes after goes through `Local::broadcast` after the call. A store that
    /// reads its log from afar so waits until this server has been handed what it has read, adds what was handed to it
    /// meanwhile, and calls between two broadcasts. It may be called before this returns, and must not call `Local` while
    /// it is at that.
    fn restore(&self, claim: Claim<'_>, resume: Resume);

    /// The future is ready when what was kept before is where other servers find it. Default: at once.
    fn saved(&self) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }

    /// The offset of the last event that this server has been handed, for a socket that connects now. `None` if there is
    /// none to go back to.
    fn offset(&self) -> Option<String>;
}

impl KeptSocket {
    /// What is kept of a socket of which nothing but its ids is known.
    #[must_use]
    pub fn new(pid: Box<str>, id: Arc<str>) -> Self {
        Self {
            pid,
            id,
            rooms: Vec::new(),
            joined: Vec::new(),
            data: None,
            progress: Progress::default(),
        }
    }
}

/// Without what is secret or may be personal.
impl fmt::Debug for KeptSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptSocket")
            .field("rooms", &self.rooms.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Save {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Taken => "Taken",
            Self::Later(_) => "Later",
            Self::Never => "Never",
        })
    }
}

impl fmt::Debug for Claim<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}
