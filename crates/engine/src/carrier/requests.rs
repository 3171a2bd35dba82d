//! A client's session on long-polling: at most one GET and one POST that are on their way.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use sockeye_engine_proto::payload::{self, PayloadDialect, PayloadError};
use sockeye_engine_proto::{Packet, PollVerdict, TransportEnd, TransportKind, WireKind};

use super::polling::fill;
use super::{Carrier, Probe, Upper};
use crate::outbox::Outlet;

/// What will have come of a request; the error is a text that says what went wrong.
pub type Reply<T> = Pin<Box<dyn Future<Output = Result<T, String>> + Send>>;

/// The requests that a session makes: addressed, authorised, and failed if their answer has not
/// the status that it must have.
pub trait Exchange: Send {
    /// Asks for packets.
    fn get(&self) -> Reply<(WireKind, Bytes)>;

    /// Sends packets.
    fn post(&self, payload: payload::Encoded) -> Reply<()>;

    /// Opens a transport to move to; `None` if there is to be no upgrade.
    fn upgrade(&self) -> Option<Reply<Box<dyn Probe>>>;

    /// What has taken over; `None` if nothing can.
    fn upgraded(&self, to: Option<TransportKind>);
}

/// Long-polling as the client has it: requests go out.
pub struct Requests {
    exchange: Box<dyn Exchange>,
    dialect: PayloadDialect,
    /// How many bytes the server takes at once.
    max_payload: usize,
    /// How many packets go into one body.
    max_packets: usize,
    get: Option<Reply<(WireKind, Bytes)>>,
    post: Option<Reply<()>>,
    /// What is being opened for an upgrade.
    upgrade: Option<Reply<Box<dyn Probe>>>,
    /// Packets of the last answer for which the application was not ready.
    backlog: VecDeque<Packet<'static>>,
    farewell: Farewell,
}

/// How far the last words of a closed session are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Farewell {
    /// A POST from before may be on its way.
    Unsaid,
    /// They are on their way.
    Said,
    /// The server has heard them.
    Heard,
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests").finish_non_exhaustive()
    }
}

impl Requests {
    /// `backlog` are the packets that came behind the open packet. The upgrade begins at once.
    pub fn new(
        exchange: Box<dyn Exchange>,
        dialect: PayloadDialect,
        max_payload: usize,
        max_packets: usize,
        backlog: VecDeque<Packet<'static>>,
    ) -> Self {
        Self {
            upgrade: exchange.upgrade(),
            exchange,
            dialect,
            max_payload,
            max_packets,
            get: None,
            post: None,
            backlog,
            farewell: Farewell::Unsaid,
        }
    }

    /// Begins to send as much of what waits as one body takes.
    fn begin_post(&mut self, upper: &mut dyn Upper) {
        let mut encoder = payload::Encoder::new(&self.dialect, self.max_payload);
        upper.send(&mut |outgoing| {
            fill(&mut encoder, outgoing, self.max_packets);
            outgoing.await_packets(false);
        });
        self.post = Some(self.exchange.post(encoder.finish()));
    }

    /// Looks what has become of the POST and of the upgrade, for which the application need not be ready; whether
    /// something has.
    fn read_answers(&mut self, upper: &mut dyn Upper, cx: &mut Context<'_>) -> bool {
        let mut seen = false;
        if let Some(post) = &mut self.post
            && let Poll::Ready(result) = post.as_mut().poll(cx)
        {
            seen = true;
            self.post = None;
            match result {
                Ok(()) => {
                    upper.append(&mut |outgoing| outgoing.await_packets(true));
                    upper.session().end_post();
                }
                Err(detail) => fail(&detail, upper),
            }
        }
        if let Some(upgrade) = &mut self.upgrade
            && let Poll::Ready(result) = upgrade.as_mut().poll(cx)
        {
            seen = true;
            self.upgrade = None;
            match result {
                Ok(probe) => upper.begin_upgrade(probe),
                Err(detail) => {
                    tracing::debug!(detail, "no upgrade");
                    self.exchange.upgraded(None);
                }
            }
        }
        seen
    }

    /// Asks for packets, and handles those that come; whether some came.
    fn read_poll(&mut self, upper: &mut dyn Upper, cx: &mut Context<'_>) -> bool {
        if !self.backlog.is_empty() {
            self.work_off_backlog(upper, cx);
            return true;
        }
        if self.get.is_none() {
            let now = upper.now();
            let session = upper.session();
            if !session.may_poll() || session.begin_poll(now) != PollVerdict::Hold {
                return false;
            }
            self.get = Some(self.exchange.get());
        }
        self.poll_get(upper, cx)
    }

    /// Handles the answer to the GET, if it is there.
    fn poll_get(&mut self, upper: &mut dyn Upper, cx: &mut Context<'_>) -> bool {
        let Some(get) = &mut self.get else {
            return false;
        };
        let Poll::Ready(result) = get.as_mut().poll(cx) else {
            return false;
        };
        self.get = None;
        match result {
            Ok((content, body)) => self.handle_answer(content, &body, upper, cx),
            Err(detail) => fail(&detail, upper),
        }
        true
    }

    fn handle_answer(
        &mut self,
        content: WireKind,
        body: &[u8],
        upper: &mut dyn Upper,
        cx: &mut Context<'_>,
    ) {
        let Self {
            dialect, backlog, ..
        } = self;
        let limits = upper.limits().payload;
        for packet in payload::decode(content, body, &limits, dialect) {
            match packet {
                Ok(packet)
                    if backlog.is_empty()
                        && (!matches!(packet, Packet::Message(_)) || upper.is_ready()) =>
                {
                    upper.handle_packet(packet, cx);
                }
                Ok(packet) => backlog.push_back(packet.into_owned()),
                Err(error) => {
                    tracing::debug!(%error, "undecodable payload");
                    upper.note(format_args!("undecodable payload: {error}"));
                    if matches!(error, PayloadError::TooLarge { .. }) {
                        upper.handle_closed(TransportEnd::Error);
                    } else {
                        let now = upper.now();
                        let _ = upper.session().handle_payload_error(now, error);
                    }
                }
            }
            if upper.session().is_closed() {
                return;
            }
        }
        if backlog.is_empty() {
            upper.session().end_poll();
        }
    }

    /// Goes on with an answer that had to wait for the application.
    fn work_off_backlog(&mut self, upper: &mut dyn Upper, cx: &mut Context<'_>) {
        while upper.is_ready() && !upper.session().is_closed() {
            let Some(packet) = self.backlog.pop_front() else {
                self.backlog = VecDeque::new();
                upper.session().end_poll();
                return;
            };
            upper.handle_packet(packet, cx);
        }
    }
}

impl Carrier for Requests {
    /// A POST may be made at once.
    fn outlet(&self) -> Outlet {
        Outlet::packets(self.post.is_none())
    }

    /// If the application is not ready, the answer that an upgrade waits for is taken all the same. What it says to the
    /// application waits, and with it the upgrade. Mostly it says nothing, and all that is sent over the WebSocket waits
    /// there.
    fn read(&mut self, ready: bool, upper: &mut dyn Upper, cx: &mut Context<'_>) -> bool {
        let answered = self.read_answers(upper, cx);
        let came = match ready {
            true => self.read_poll(upper, cx),
            false => upper.session().awaits_poll_to_move() && self.poll_get(upper, cx),
        };
        if answered || (came && ready) {
            upper.note_life();
        }
        answered || came
    }

    /// Sends what waits, unless a POST is on its way or an upgrade wants none.
    fn write(&mut self, upper: &mut dyn Upper, cx: &mut Context<'_>) {
        upper.send(&mut |_| ());
        if self.post.is_none() && upper.queued() > 0 {
            let now = upper.now();
            let ready = upper.is_ready();
            let session = upper.session();
            let may_post = session.may_post() || (session.awaits_poll_to_move() && !ready);
            if may_post && session.begin_post(now).is_ok() {
                self.begin_post(upper);
                // The request gets going in the next turn, which polls it.
                cx.waker().wake_by_ref();
            }
        }
        upper.tell_drained(cx);
    }

    fn be_replaced(&mut self, by: TransportKind) {
        self.exchange.upgraded(Some(by));
    }

    /// Sends the last words of a closed session; ready when they are said, or cannot be.
    ///
    /// The GET is let run meanwhile, and awaited when the server has been told of the end, which
    /// makes it answer. A server takes a GET that is dropped for a failure of the transport.
    ///
    /// While a POST from before the end is on its way, there is always a GET, as with the
    /// JavaScript client: a server may answer the one only when the other has taken what it has to
    /// say. python-socketio even forgets the POST, and only a GET tells that the session is gone.
    fn poll_end(&mut self, upper: &mut dyn Upper, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(get) = &mut self.get
                && let Poll::Ready(answer) = get.as_mut().poll(cx)
            {
                self.get = None;
                if answer.is_err() {
                    return Poll::Ready(());
                }
            }
            match &mut self.post {
                None if upper.queued() == 0 => break,
                None => {
                    self.farewell = Farewell::Said;
                    self.begin_post(upper);
                }
                Some(post) => match post.as_mut().poll(cx) {
                    Poll::Ready(Ok(())) => {
                        self.post = None;
                        if self.farewell == Farewell::Said {
                            self.farewell = Farewell::Heard;
                        }
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending if self.get.is_none() && self.farewell == Farewell::Unsaid => {
                        self.get = Some(self.exchange.get());
                    }
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
        match self.farewell == Farewell::Heard && self.get.is_some() {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    }
}

/// A request has failed, and with it the session.
fn fail(detail: &str, upper: &mut dyn Upper) {
    upper.note(format_args!("{detail}"));
    upper.handle_closed(TransportEnd::Error);
}
