use std::collections::VecDeque;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use super::network::Network;
use super::time::{expect, settle};
use crate::client::{ReceivedEvent, Socket};
use crate::{DisconnectReason, FromArgs, Listeners};

/// A client's socket that keeps what it hears, until the test asks for it.
///
/// It dereferences to the [`Socket`] itself. When it is dropped, and every clone of that socket is, the client disconnects.
pub struct Client {
    socket: Socket,
    network: Network,
    heard: Arc<Heard>,
}

/// What a socket has heard.
#[derive(Default)]
pub(super) struct Heard {
    state: Mutex<Arrivals>,
    news: Notify,
}

#[derive(Default)]
struct Arrivals {
    events: VecDeque<ReceivedEvent>,
    ends: VecDeque<DisconnectReason>,
}

impl Client {
    pub(super) const fn new(socket: Socket, network: Network, heard: Arc<Heard>) -> Self {
        Self {
            socket,
            network,
            heard,
        }
    }

    /// The network between this client and the server.
    #[must_use]
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// Takes the next event of this name, which may have come already, and leaves those of other names.
    ///
    /// # Panics
    ///
    /// If none comes in [time](super::PATIENCE).
    pub async fn next_event(&self, name: &str) -> ReceivedEvent {
        let next = self.heard.wait(|state| {
            let at = state.events.iter().position(|event| &*event.name == name);
            at.and_then(|at| state.events.remove(at))
        });
        let missing = || format!("no event {name:?} came, only {:?},", self.heard.names());
        expect(next, missing).await
    }

    /// Takes the arguments of the next event of this name: the first one, or several as a tuple.
    ///
    /// # Panics
    ///
    /// If none comes, or its arguments are others.
    pub async fn next<T: FromArgs>(&self, name: &str) -> T {
        let event = self.next_event(name).await;
        let shown = format!("{:?}", event.args);
        match T::from_args(event.args) {
            Ok(data) => data,
            Err(error) => panic!("the event {name:?} came with {shown}: {error}"),
        }
    }

    /// Takes all events that have come and were not taken yet.
    #[must_use]
    pub fn take_events(&self) -> Vec<ReceivedEvent> {
        self.heard.state().events.drain(..).collect()
    }

    /// Waits until nobody has [anything left to do](settle), and sees to it that no event has come that was not taken.
    ///
    /// # Panics
    ///
    /// If one has.
    pub async fn hears_nothing(&self) {
        settle().await;
        let names = self.heard.names();
        assert!(names.is_empty(), "nothing was to come, and {names:?} did");
    }

    /// Waits until the socket is connected, be it again or still.
    ///
    /// # Panics
    ///
    /// If it does not get so far in [time](super::PATIENCE).
    pub async fn until_connected(&self) {
        let connected = self.heard.wait(|_| self.socket.connected().then_some(()));
        expect(connected, || "the socket did not connect".to_owned()).await;
    }

    /// Waits until the socket has lost its connection, which it may have already, and tells why: each loss once.
    ///
    /// # Panics
    ///
    /// If it keeps it for longer than [`PATIENCE`](super::PATIENCE).
    pub async fn until_disconnected(&self) -> DisconnectReason {
        let end = self.heard.wait(|state| state.ends.pop_front());
        expect(end, || "the socket did not disconnect".to_owned()).await
    }
}

impl Heard {
    /// Has these listeners tell what they hear.
    pub(super) fn listen(self: &Arc<Self>, listeners: &Listeners<Socket>) {
        let heard = Arc::clone(self);
        listeners
            .on_any(move |event: ReceivedEvent| heard.tell(|state| state.events.push_back(event)));
        let heard = Arc::clone(self);
        listeners.on_disconnect(move |reason: DisconnectReason| {
            heard.tell(|state| state.ends.push_back(reason));
        });
        let heard = Arc::clone(self);
        listeners.on_connect(move || heard.tell(|_| {}));
    }

    fn tell(&self, what: impl FnOnce(&mut Arrivals)) {
        what(&mut self.state());
        self.news.notify_waiters();
    }

    /// Waits for something to be there to take.
    async fn wait<T>(&self, mut take: impl FnMut(&mut Arrivals) -> Option<T>) -> T {
        loop {
            // It hears of everything from here on, polled or not.
            let news = self.news.notified();
            if let Some(found) = take(&mut self.state()) {
                return found;
            }
            news.await;
        }
    }

    fn names(&self) -> Vec<Box<str>> {
        let state = self.state();
        state
            .events
            .iter()
            .map(|event| event.name.clone())
            .collect()
    }

    fn state(&self) -> MutexGuard<'_, Arrivals> {
        self.state.lock().expect("nothing panics with it in hand")
    }
}

impl Deref for Client {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.socket
    }
}

/// Events know their socket, which knows who hears them.
impl Drop for Client {
    fn drop(&mut self) {
        self.take_events().clear();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.socket).finish()
    }
}
