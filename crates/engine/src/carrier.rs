//! What a driver says to whatever carries its session.
//!
//! A driver knows its carrier by a few verbs: [`read`](Carrier::read), [`write`](Carrier::write), and how it
//! [ends](Carrier::poll_end). The carrier sees its session as an [`Upper`]: what came goes up through it, and what is to go
//! out comes from it, either as bytes in a framing or packet by packet. Which of the two is up to the carrier's
//! [`Outlet`]. So a new carrier is one file, and no other changes.

mod polling;
mod requests;
mod stream;

use std::fmt;
use std::io;
use std::task::{Context, Poll};
use std::time::Instant;

use sockeye_engine_proto::{Lane, Message, Packet, Revision, Session, TransportEnd, TransportKind};

use crate::connection::{Connection, Incoming};
use crate::frames::Extent;
use crate::io::Io;
use crate::limits::SessionLimits;
use crate::outbox::{Outbox, Outlet, Outward};
use crate::request::Request;
use crate::unheard::Unheard;

pub use polling::Polling;
pub(crate) use polling::fill;
pub use requests::{Exchange, Reply, Requests};
pub use stream::{Early, NothingEarly, Wire};

/// What carries a session: long-polling at either end, a stream, or whatever else can carry packets in order.
///
/// All of its methods run in the turns of the session's driver, and none may block. Whoever returns without having got as
/// far as possible has left the task's waker where it is called from.
pub trait Carrier: fmt::Debug + Send + 'static {
    /// How it takes what goes out. Asked once, when it begins to carry the session.
    fn outlet(&self) -> Outlet;

    /// Reads once, and hands on what came; whether anything did.
    ///
    /// If not `ready`, nothing is to go to the application, as that is not ready itself or the peer of a server does not
    /// take what it is sent: what comes is left where it is, so that it is the peer's sending which has to wait.
    fn read(&mut self, ready: bool, upper: &mut dyn Upper, cx: &mut Context<'_>) -> bool;

    /// Writes what waits, as far as possible now.
    fn write(&mut self, upper: &mut dyn Upper, cx: &mut Context<'_>);

    /// A request of long-polling came.
    fn handle_request(&mut self, request: Request, upper: &mut dyn Upper) {
        let now = upper.now();
        request.misplaced(now, upper.session());
    }

    /// How much there is of a message that is not complete.
    fn extent(&self) -> Extent {
        Extent::default()
    }

    /// The message that is not complete has been so for too long. To close the session is all that is left.
    fn give_up(&mut self, why: &dyn fmt::Display, upper: &mut dyn Upper, cx: &mut Context<'_>) {
        let _ = (why, cx);
        upper.handle_closed(TransportEnd::Error);
    }

    /// Nothing more is sent, while the peer may go on. Only on [bare streams](TransportKind::is_bare_stream), whose
    /// halves end apart.
    fn end_half(&mut self) {}

    /// Another carrier has taken over, of this kind.
    fn be_replaced(&mut self, by: TransportKind) {
        let _ = by;
    }

    /// The session is closed, for its upper layer too, and takes nothing more. Last words are appended now.
    fn begin_end(&mut self, upper: &mut dyn Upper) {
        let _ = upper;
    }

    /// Writes what is left to be written after that; ready when the carrier may be dropped, which happens after some
    /// time in any case.
    fn poll_end(&mut self, upper: &mut dyn Upper, cx: &mut Context<'_>) -> Poll<()>;
}

/// A carrier in its place. Streams, which carry most sessions, lie in the driver itself and have nothing of their own.
#[derive(Debug)]
pub enum AnyCarrier {
    /// A stream.
    Stream(Wire),
    /// Whatever else there is.
    Other(Box<dyn Carrier>),
}

impl AnyCarrier {
    /// Any carrier but a stream.
    pub fn other(carrier: impl Carrier) -> Self {
        Self::Other(Box::new(carrier))
    }

    /// How it takes what goes out.
    #[must_use]
    pub fn outlet(&self) -> Outlet {
        match self {
            Self::Stream(wire) => wire.outlet(),
            Self::Other(carrier) => carrier.outlet(),
        }
    }

    /// What it is spoken to by.
    pub(crate) fn get(&mut self) -> &mut dyn Carrier {
        match self {
            Self::Stream(wire) => wire,
            Self::Other(carrier) => &mut **carrier,
        }
    }

    /// The stream of a peer that is to be received again, as another kind of peer.
    pub(crate) fn into_mistaken(self) -> Option<(Io, Box<dyn Unheard>)> {
        match self {
            Self::Stream(wire) => wire.into_mistaken(),
            Self::Other(_) => None,
        }
    }
}

impl From<Wire> for AnyCarrier {
    fn from(wire: Wire) -> Self {
        Self::Stream(wire)
    }
}

/// A transport that was opened for a session that another one carries. It takes over when both ends agree that it works.
pub trait Probe: Send + 'static {
    /// What it is.
    fn kind(&self) -> TransportKind;

    /// Reads one packet, and hands it to the session for [`Lane::Probe`]; whether something came.
    ///
    /// One at a time, because a commit makes what follows it the session's own.
    fn read(&mut self, session: &mut Session, now: Instant, cx: &mut Context<'_>) -> bool;

    /// Appends a packet.
    fn send(&mut self, packet: &Packet<'_>, revision: Revision);

    /// Writes what waits, as far as possible now.
    ///
    /// # Errors
    ///
    /// Nothing more can be written, and the probe is dropped.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<()>;

    /// It carries the session from now on. What it still has to write goes in front of everything else: a peer that
    /// commits without waiting for the answer to its probe gets that answer all the same.
    fn commit(self: Box<Self>) -> (AnyCarrier, Outlet);
}

/// A session as its carrier sees it: the state, the upper layer and what waits to go out.
pub trait Upper {
    /// The time of this turn.
    fn now(&self) -> Instant;

    /// What the session may take.
    fn limits(&self) -> &SessionLimits;

    /// The session's state.
    fn session(&mut self) -> &mut Session;

    /// The upper layer, for what is no message.
    fn connection(&mut self) -> &mut dyn Connection;

    /// Whether the application takes another message now.
    fn is_ready(&self) -> bool;

    /// Whether there is room for answers, as far as this task has appended them: what others have is seen in the next
    /// turn. Always, at an end that does not [wait for it](crate::Side::WAITS_FOR_ROOM).
    fn has_room(&self) -> bool;

    /// Whether the next packet may be handled at once. One read brings thousands, each of which may be answered at more
    /// length than it has itself.
    fn takes_more(&self) -> bool {
        self.is_ready() && self.has_room()
    }

    /// The same for whoever reads no further when the session is over, or about to be.
    fn goes_on(&mut self) -> bool {
        self.session().is_open() && self.takes_more()
    }

    /// Hands on a message for the application, or what holds one.
    fn handle_message(&mut self, message: Incoming<'_>, cx: &mut Context<'_>);

    /// Steps the session by a packet; gives what is in it for the application.
    fn step<'a>(&mut self, packet: Packet<'a>, cx: &mut Context<'_>) -> Option<Message<'a>>;

    /// Hands on a packet; whether what comes next may be handled at once.
    fn handle_packet(&mut self, packet: Packet<'_>, cx: &mut Context<'_>) -> bool {
        if let Some(message) = self.step(packet, cx) {
            self.handle_message(Incoming::of(&message), cx);
        }
        self.goes_on()
    }

    /// The transport has come to its end.
    fn handle_closed(&mut self, end: TransportEnd) {
        let now = self.now();
        self.session()
            .handle_transport_closed(now, Lane::Current, end);
    }

    /// The peer was there right now: something that is complete came from it, or it has made room for what was written.
    fn note_life(&mut self);

    /// Takes note of why the session is about to end, for logs and error messages.
    fn note(&mut self, cause: fmt::Arguments<'_>);

    /// A transport was opened for an upgrade.
    fn begin_upgrade(&mut self, probe: Box<dyn Probe>);

    /// How many bytes wait to go out.
    fn queued(&self) -> usize;

    /// Appends something of the carrier's own to what waits.
    fn append(&mut self, append: &mut dyn FnMut(&mut Outgoing<'_>));

    /// Takes as much of what waits as the peer takes. Nobody else appends meanwhile.
    fn send(&mut self, take: &mut dyn FnMut(&mut Outgoing<'_>));

    /// Tells the upper layer that nothing waits any more, if that is news; whether it was.
    fn tell_drained(&mut self, cx: &mut Context<'_>) -> bool;
}

/// What waits to go out, locked.
#[derive(Debug)]
pub struct Outgoing<'o>(pub(crate) &'o mut Outbox);

impl Outgoing<'_> {
    /// Hands on the packets that wait, from the front, for as long as they are taken.
    pub fn take(&mut self, take: impl FnMut(Outward<'_>) -> bool) {
        self.0.take_packets(take);
    }

    /// Whether a packet would be taken at once: as long as not, volatile messages are dropped. Only for carriers
    /// that take packets.
    pub const fn await_packets(&mut self, awaited: bool) {
        self.0.await_packets(awaited);
    }
}

/// Nothing carries the session any more.
#[derive(Debug)]
pub(crate) struct Gone;

impl Carrier for Gone {
    fn outlet(&self) -> Outlet {
        Outlet::packets(false)
    }

    fn read(&mut self, _: bool, _: &mut dyn Upper, _: &mut Context<'_>) -> bool {
        false
    }

    fn write(&mut self, _: &mut dyn Upper, _: &mut Context<'_>) {}

    fn poll_end(&mut self, _: &mut dyn Upper, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}
