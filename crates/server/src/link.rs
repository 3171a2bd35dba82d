use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

use parking_lot::Mutex;
use sockeye_engine::{Dialect, Revision, SessionHandle};
use sockeye_events::HandlerFuture;
use sockeye_listen::Handshake;
use sockeye_socket_proto::NamespaceKey;

/// What all sockets of one connection share, and others may touch.
pub(crate) struct Link {
    pub(crate) session: SessionHandle,
    /// The request that opened the session.
    pub(crate) request: Arc<Handshake>,
    next_ack: AtomicU32,
    /// Whether the peer takes acknowledgements in the form of protocol revision 3.
    pub(crate) counted_acks: AtomicBool,
    /// Of its sockets, those that come or are refused.
    pub(crate) coming: News,
    /// And those that go.
    pub(crate) going: News,
    #[expect(
        clippy::box_collection,
        reason = "a list is three words, and idle connections have none"
    )]
    requests: Mutex<Option<Box<Vec<Request>>>>,
}

/// How often something has happened on a connection, as long as that is news.
pub(crate) struct News(AtomicU8);

impl News {
    /// How often something is news. A peer can come and go all day long, or be refused, with a few bytes each time, and each line
    /// of a log is many times that.
    const MAX: u8 = 100;

    const fn new() -> Self {
        Self(AtomicU8::new(0))
    }

    /// It happens once more; whether that is news.
    pub(crate) fn is_news(&self) -> bool {
        // One task does this for the whole connection.
        let before = self.0.load(Ordering::Relaxed);
        let is_news = before < Self::MAX;
        if is_news {
            self.0.store(before + 1, Ordering::Relaxed);
        }
        is_news
    }
}

/// What is asked of the connection's own task.
pub(crate) enum Request {
    /// The server takes the socket out of its namespace.
    Leave(NamespaceKey),
    /// The server takes all sockets out of their namespaces and closes the connection.
    Close,
    /// A handler of an outgoing event has something to wait for.
    Run(HandlerFuture),
}

/// Ack ids of single sockets count up to here and begin again; larger ones belong to broadcasts.
/// Clients in Java and C++ read ids as 32-bit numbers.
pub(crate) const ACK_ID_LIMIT: u32 = 1 << 30;

impl Link {
    pub(crate) const fn new(
        session: SessionHandle,
        request: Arc<Handshake>,
        counted_acks: bool,
    ) -> Self {
        Self {
            session,
            request,
            next_ack: AtomicU32::new(0),
            counted_acks: AtomicBool::new(counted_acks),
            coming: News::new(),
            going: News::new(),
            requests: Mutex::new(None),
        }
    }

    /// What the peer speaks, for logs and what is counted.
    pub(crate) fn revision_name(&self) -> &'static str {
        match (self.session.dialect(), self.session.revision()) {
            (Dialect::Lines, _) => "lines",
            (Dialect::Packets, Revision::V3) => "3",
            (Dialect::Packets, Revision::V4) => "4",
        }
    }

    pub(crate) fn take_requests(&self) -> Vec<Request> {
        self.requests
            .lock()
            .take()
            .map_or_else(Vec::new, |requests| *requests)
    }

    /// An id for an acknowledgement of a single socket; they count per connection, from 1.
    pub(crate) fn next_ack_id(&self) -> u64 {
        let count = self.next_ack.fetch_add(1, Ordering::Relaxed);
        u64::from(count % (ACK_ID_LIMIT - 1) + 1)
    }

    pub(crate) fn request(&self, request: Request) {
        self.note(request);
        self.call();
    }

    /// Notes what is asked, for whoever must not wake the driver yet: it is to be [called](Self::call) then.
    pub(crate) fn note(&self, request: Request) {
        self.requests.lock().get_or_insert_default().push(request);
    }

    /// Calls the driver for what is asked.
    pub(crate) fn call(&self) {
        if !self.session.wake() {
            // Nobody comes for it, and what it holds may hold this link: they would keep each other for ever. What
            // was left before the driver went is dropped by the connection.
            drop(self.take_requests());
        }
    }
}
