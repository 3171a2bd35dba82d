//! A client's session on long-polling: at most one GET and one POST that are on their way.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use sockeye_engine_proto::payload::{self, Dialect, PayloadError};
use sockeye_engine_proto::{Lane, Packet, PollVerdict, TransportEnd, WireKind};

use super::polling::{fill, incoming};
use super::{Carrier, Driver, Side, is_ready};
use crate::connection::Connection;
use crate::handle::SessionHandle;
use crate::websocket::Upgraded;

/// What will have come of a request; the error is a text that says what went wrong.
pub type Reply<T> = Pin<Box<dyn Future<Output = Result<T, String>> + Send>>;

/// The requests that a session makes: addressed, authorised, and failed if their answer has not
/// the status that it must have.
pub trait Exchange: Send {
    /// Asks for packets.
    fn get(&self) -> Reply<(WireKind, Bytes)>;

    /// Sends packets.
    fn post(&self, payload: payload::Encoded) -> Reply<()>;

    /// Opens a WebSocket to move to; `None` if there is to be no upgrade.
    fn upgrade(&self) -> Option<Reply<Upgraded>>;

    /// Whether the WebSocket has taken over, or is of no use.
    fn upgraded(&self, works: bool);
}

/// Long-polling as the client has it.
pub struct Requests {
    exchange: Box<dyn Exchange>,
    dialect: Dialect,
    /// How many bytes the server takes at once.
    max_payload: usize,
    /// How many packets go into one body.
    max_packets: usize,
    get: Option<Reply<(WireKind, Bytes)>>,
    post: Option<Reply<()>>,
    /// The WebSocket that is being opened for an upgrade.
    upgrade: Option<Reply<Upgraded>>,
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
        dialect: Dialect,
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

    /// The WebSocket carries the session now.
    pub(super) fn upgraded(&self) {
        self.exchange.upgraded(true);
    }

    /// Begins to send as much of the outbox as one body takes.
    fn send(&mut self, handle: &SessionHandle) {
        let mut encoder = payload::Encoder::new(&self.dialect, self.max_payload);
        let mut state = handle.shared().lock();
        fill(&mut encoder, &mut state.outbox, self.max_packets);
        state.facts.poll_pending = false;
        drop(state);
        self.post = Some(self.exchange.post(encoder.finish()));
    }

    /// Sends the last words of a closed session; ready when they are said, or cannot be.
    ///
    /// The GET is let run meanwhile, and awaited when the server has been told of the end, which
    /// makes it answer. A server takes a GET that is dropped for a failure of the transport.
    ///
    /// While a POST from before the end is on its way, there is always a GET, as with the
    /// JavaScript client: a server may answer the one only when the other has taken what it has to
    /// say. python-socketio even forgets the POST, and only a GET tells that the session is gone.
    pub(super) fn poll_farewell(
        &mut self,
        handle: &SessionHandle,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
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
                None if handle.queued() == 0 => break,
                None => {
                    self.farewell = Farewell::Said;
                    self.send(handle);
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

impl<S: Side, C: Connection> Driver<S, C> {
    /// Looks what has become of the POST and of the WebSocket for an upgrade, for which the
    /// application need not be ready; whether something has.
    pub(super) fn read_answers(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        let Carrier::Requests(requests) = &mut self.carrier else {
            return false;
        };
        let mut seen = false;
        if let Some(post) = &mut requests.post
            && let Poll::Ready(result) = post.as_mut().poll(cx)
        {
            seen = true;
            requests.post = None;
            match result {
                Ok(()) => {
                    self.handle.shared().lock().facts.poll_pending = true;
                    self.session.end_post();
                }
                Err(detail) => {
                    self.side.note(format_args!("{detail}"));
                    self.session
                        .handle_transport_closed(now, Lane::Current, TransportEnd::Error);
                }
            }
        }
        if let Some(upgrade) = &mut requests.upgrade
            && let Poll::Ready(result) = upgrade.as_mut().poll(cx)
        {
            seen = true;
            requests.upgrade = None;
            match result {
                Ok(stream) => self.handle_upgrade(stream, now),
                Err(detail) => {
                    tracing::debug!(detail, "no upgrade");
                    requests.exchange.upgraded(false);
                }
            }
        }
        seen
    }

    /// Asks for packets, and handles those that come; whether some came.
    pub(super) fn read_poll(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        let Carrier::Requests(requests) = &mut self.carrier else {
            return false;
        };
        if !requests.backlog.is_empty() {
            self.work_off_answer(now, cx);
            return true;
        }
        if requests.get.is_none() {
            if !self.session.may_poll() || self.session.begin_poll(now) != PollVerdict::Hold {
                return false;
            }
            requests.get = Some(requests.exchange.get());
        }
        self.poll_get(now, cx)
    }

    /// Takes the answer that an upgrade waits for, though the application is not ready; whether it came. What it says to
    /// the application waits, and with it the upgrade. Mostly it says nothing, and all that is sent over the WebSocket
    /// waits there.
    pub(super) fn read_last_poll(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        self.session.awaits_poll_to_move() && self.poll_get(now, cx)
    }

    /// Handles the answer to the GET, if it is there.
    fn poll_get(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        let Carrier::Requests(requests) = &mut self.carrier else {
            return false;
        };
        let Some(get) = &mut requests.get else {
            return false;
        };
        let Poll::Ready(result) = get.as_mut().poll(cx) else {
            return false;
        };
        requests.get = None;
        match result {
            Ok((content, body)) => self.handle_answer(content, &body, now, cx),
            Err(detail) => {
                self.side.note(format_args!("{detail}"));
                self.session
                    .handle_transport_closed(now, Lane::Current, TransportEnd::Error);
            }
        }
        true
    }

    fn handle_answer(
        &mut self,
        content: WireKind,
        body: &[u8],
        now: Instant,
        cx: &mut Context<'_>,
    ) {
        let Carrier::Requests(requests) = &mut self.carrier else {
            return;
        };
        let Requests {
            dialect, backlog, ..
        } = &mut **requests;
        let limits = self.side.limits().payload();
        for packet in payload::decode(content, body, &limits, dialect) {
            match packet {
                Ok(packet)
                    if backlog.is_empty()
                        && (!matches!(packet, Packet::Message(_))
                            || is_ready(&self.connection, &self.handle)) =>
                {
                    let message = self.session.handle_packet(now, Lane::Current, packet);
                    if let Some(message) = message {
                        self.unfinished = None;
                        self.connection.handle_message(incoming(&message), cx);
                    }
                }
                Ok(packet) => backlog.push_back(packet.into_owned()),
                Err(error) => {
                    tracing::debug!(%error, "undecodable payload");
                    self.side.note(format_args!("undecodable payload: {error}"));
                    if matches!(error, PayloadError::TooLarge { .. }) {
                        let end = TransportEnd::Error;
                        self.session
                            .handle_transport_closed(now, Lane::Current, end);
                    } else {
                        let _ = self.session.handle_payload_error(now, error);
                    }
                }
            }
            if self.session.is_closed() {
                return;
            }
        }
        if backlog.is_empty() {
            self.session.end_poll();
        }
    }

    /// Goes on with an answer that had to wait for the application.
    fn work_off_answer(&mut self, now: Instant, cx: &mut Context<'_>) {
        let Carrier::Requests(requests) = &mut self.carrier else {
            return;
        };
        while is_ready(&self.connection, &self.handle) && !self.session.is_closed() {
            let Some(packet) = requests.backlog.pop_front() else {
                requests.backlog = VecDeque::new();
                self.session.end_poll();
                return;
            };
            if let Some(message) = self.session.handle_packet(now, Lane::Current, packet) {
                self.unfinished = None;
                self.connection.handle_message(incoming(&message), cx);
            }
        }
    }

    /// Sends what waits, unless a POST is on its way or an upgrade wants none.
    pub(super) fn begin_post(&mut self, now: Instant, cx: &Context<'_>) {
        let Carrier::Requests(requests) = &mut self.carrier else {
            return;
        };
        if requests.post.is_some() || self.handle.queued() == 0 {
            return;
        }
        let waits =
            || self.session.awaits_poll_to_move() && !is_ready(&self.connection, &self.handle);
        if !self.session.may_post() && !waits() {
            return;
        }
        if self.session.begin_post(now).is_ok() {
            requests.send(&self.handle);
            // The request gets going in the next turn, which polls it.
            cx.waker().wake_by_ref();
        }
    }
}
