//! What a server does for the others of its cluster.

use std::sync::Arc;

use futures_util::stream::BoxStream;
use sockeye_socket_proto::Args;

use crate::{Answer, BroadcastOptions, EventBody, KeptSocket, SocketDetails, Target};

/// One server's part of a namespace, as an [`Adapter`](crate::Adapter) uses it for what other servers have asked for.
///
/// Nothing here goes on to other servers, and nothing waits for a peer. Only connected sockets are meant.
pub trait Local: Send + Sync + 'static {
    /// The namespace's name, with its slash.
    fn namespace(&self) -> &str;

    /// How many sockets are meant: the cheap way to see that an event need not be decoded, as it is for nobody here. Those
    /// that are just coming back count as well, whoever is meant.
    fn count(&self, target: &Target) -> usize;

    /// Whether anybody is in this room, or has this id.
    fn has_room(&self, room: &str) -> bool;

    /// Emits an event, which gets its [offset](BroadcastOptions::offset) as a further argument if it has one. Those are to
    /// come one at a time, in the order of the log. What cannot be encoded is logged.
    fn broadcast(&self, event: &EventBody<'_>, options: &BroadcastOptions);

    /// Emits an event whose receivers are to answer. The stream begins with [`Answer::Asked`], for nobody too, and ends when
    /// everyone has answered or is gone, or when the time in the options is over, for which the server has a default.
    ///
    /// The event is sent at once; dropping the stream only ends the waiting.
    fn ask(&self, event: &EventBody<'_>, options: &BroadcastOptions) -> BoxStream<'static, Answer>;

    /// The sockets, with what other servers may see of them.
    fn sockets(&self, target: &Target) -> Vec<SocketDetails>;

    /// The names of all rooms that somebody is in, and the ids of all sockets, each once and in no particular order.
    fn rooms(&self) -> Vec<Arc<str>>;

    /// Puts sockets into rooms.
    fn join(&self, target: &Target, rooms: &[Arc<str>]);

    /// Takes sockets out of rooms.
    fn leave(&self, target: &Target, rooms: &[Arc<str>]);

    /// Disconnects sockets; with `close`, together with their connections.
    fn disconnect(&self, target: &Target, close: bool);

    /// Runs the handlers of an event that another server has emitted to this one. Whoever emitted it gets their first answer
    /// through `answer`, if it waits for one; it is dropped if there will be none. Says what becomes of it, as what is lost is for
    /// the adapter to tell.
    ///
    /// Has to be called within a Tokio runtime, in which handlers that wait go on.
    fn server_side_event(&self, event: &EventBody<'_>, answer: Option<AnswerTo>) -> Reception;

    /// The time of a kept socket is over, and nobody has come back for it: tells the application, if that wants to know.
    fn recovery_expired(&self, socket: KeptSocket);
}

/// Takes the answer to a server-side event.
pub type AnswerTo = Box<dyn FnOnce(Args) + Send>;

/// What becomes of an event that another server has emitted to this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reception {
    /// Its handlers have begun.
    Started,
    /// It waits, as too many handlers of others do.
    Queued,
    /// Too many wait, and this one is lost.
    Dropped,
}
