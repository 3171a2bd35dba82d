//! A server's session on long-polling: the pending GET, and the packets of a POST.

use std::collections::VecDeque;
use std::fmt;
use std::task::{Context, Poll};

use sockeye_engine_proto::payload::{self, PayloadDialect};
use sockeye_engine_proto::{
    BadRequest, Packet, PollVerdict, RequestError, TransportEnd, TransportKind, WireKind,
};
use sockeye_meter as meter;
use tokio::sync::oneshot;

use super::{Carrier, Outgoing, Upper};
use crate::outbox::{Outlet, Outward};
use crate::request::{PollAnswer, PollPayload, Post, Request};

/// Long-polling as the server has it: requests come, and are answered.
pub struct Polling {
    dialect: PayloadDialect,
    /// The GET that waits for something to send.
    pending: Option<oneshot::Sender<PollAnswer>>,
    post: Posting,
}

/// How far a POST is.
enum Posting {
    None,
    /// Its body is being read.
    Body(Post),
    /// The application was not ready for these packets of it, or the peer does not take what it has been told already. It
    /// is not answered before they are worked off, which keeps the peer from sending more.
    Backlog(VecDeque<Packet<'static>>, Post),
}

impl Polling {
    /// Before the first request.
    #[must_use]
    pub const fn new(dialect: PayloadDialect) -> Self {
        Self {
            dialect,
            pending: None,
            post: Posting::None,
        }
    }

    fn handle_poll(&mut self, answer: oneshot::Sender<PollAnswer>, upper: &mut dyn Upper) {
        let now = upper.now();
        match upper.session().begin_poll(now) {
            PollVerdict::Hold => {
                self.pending = Some(answer);
                upper.append(&mut |outgoing| outgoing.await_packets(true));
            }
            PollVerdict::AnswerNoop => {
                let _ = answer.send(Ok(self.take_payload(upper)));
            }
            PollVerdict::Refuse(error) => {
                note_overlap(&error, upper);
                let _ = answer.send(Err(error));
            }
        }
    }

    fn handle_post(&mut self, post: Post, upper: &mut dyn Upper) {
        let now = upper.now();
        match upper.session().begin_post(now) {
            Ok(()) => self.post = Posting::Body(post),
            Err(error) => {
                if error == RequestError::Overlap
                    && let Posting::Body(first) = std::mem::replace(&mut self.post, Posting::None)
                {
                    first.answer(Err(RequestError::Overlap));
                }
                note_overlap(&error, upper);
                post.answer(Err(error));
            }
        }
    }

    /// Handles the packets of a body: the first one if all is `ready`, the next ones for as long as they
    /// [may be](Upper::takes_more).
    fn handle_body(
        &mut self,
        (content, body): &(WireKind, bytes::Bytes),
        post: Post,
        mut ready: bool,
        upper: &mut dyn Upper,
        cx: &mut Context<'_>,
    ) {
        meter::received(body.len(), || true);
        let now = upper.now();
        let limits = upper.limits().payload;
        let mut backlog = VecDeque::new();
        for packet in payload::decode(*content, body, &limits, &mut self.dialect) {
            match packet {
                Ok(packet)
                    if backlog.is_empty() && (std::mem::take(&mut ready) || upper.takes_more()) =>
                {
                    upper.handle_packet(packet, cx);
                }
                Ok(packet) => backlog.push_back(packet.into_owned()),
                Err(error) => {
                    tracing::debug!(%error, "undecodable payload");
                    let cause = format!("undecodable payload: {error}");
                    let refusal = upper.session().handle_payload_error(now, error);
                    if upper.session().is_closed() {
                        upper.note(format_args!("{cause}"));
                    }
                    post.answer(Err(refusal));
                    return;
                }
            }
            if upper.session().is_closed() {
                break;
            }
        }
        match backlog.is_empty() {
            true => finish(post, upper),
            false => self.post = Posting::Backlog(backlog, post),
        }
    }

    /// Answers the pending GET, if there is one and something to say.
    fn answer_poll(&mut self, upper: &mut dyn Upper) {
        if upper.queued() == 0 {
            return;
        }
        let Some(pending) = self.pending.take() else {
            return;
        };
        let payload = self.take_payload(upper);
        upper.append(&mut |outgoing| outgoing.await_packets(false));
        if pending.send(Ok(payload)).is_ok() {
            upper.session().end_poll();
        }
        // Otherwise the request was dropped, and whoever dropped it is about to say so.
    }

    /// As much of what waits as fits one payload, or a noop if there is nothing.
    fn take_payload(&self, upper: &mut dyn Upper) -> PollPayload {
        // The last payload of a session takes everything: there will be no other.
        let limit = match upper.session().is_closed() {
            true => usize::MAX,
            false => upper.limits().payload.max_payload,
        };
        let mut encoder = payload::Encoder::new(&self.dialect, limit);
        let mut compress = false;
        upper.send(&mut |outgoing| compress = fill(&mut encoder, outgoing, usize::MAX));
        if encoder.is_empty() {
            let taken = encoder.push(&Packet::Noop);
            debug_assert!(taken, "the first packet of a payload is always taken");
        }
        let encoded = encoder.finish();
        meter::sent(encoded.body.len());
        PollPayload { encoded, compress }
    }
}

impl Carrier for Polling {
    fn outlet(&self) -> Outlet {
        Outlet::packets(self.pending.is_some())
    }

    /// A body is decoded as soon as it is there, so that one which makes no sense is answered at once. That one has come
    /// is no sign of life while all is not ready for it: what the peer has to say is not heard then.
    fn read(&mut self, ready: bool, upper: &mut dyn Upper, cx: &mut Context<'_>) -> bool {
        match std::mem::replace(&mut self.post, Posting::None) {
            Posting::None => return false,
            Posting::Backlog(packets, post) if !ready => {
                self.post = Posting::Backlog(packets, post);
                return false;
            }
            Posting::Body(mut post) => match post.poll_body(cx) {
                Poll::Ready(Ok(body)) => self.handle_body(&body, post, ready, upper, cx),
                Poll::Ready(Err(why)) => {
                    match why {
                        Some(error) => upper.note(format_args!("{error}")),
                        None => upper.note(format_args!("a POST ended before its body")),
                    }
                    upper.handle_closed(TransportEnd::PostDropped);
                }
                Poll::Pending => {
                    self.post = Posting::Body(post);
                    return false;
                }
            },
            Posting::Backlog(mut packets, post) => {
                while upper.takes_more()
                    && let Some(packet) = packets.pop_front()
                {
                    upper.handle_packet(packet, cx);
                }
                match packets.is_empty() {
                    true => finish(post, upper),
                    false => self.post = Posting::Backlog(packets, post),
                }
            }
        }
        if ready {
            upper.note_life();
        }
        true
    }

    fn write(&mut self, upper: &mut dyn Upper, cx: &mut Context<'_>) {
        upper.send(&mut |_| ());
        self.answer_poll(upper);
        if upper.tell_drained(cx) {
            self.answer_poll(upper);
        }
    }

    fn handle_request(&mut self, request: Request, upper: &mut dyn Upper) {
        match request {
            Request::Poll(answer) => self.handle_poll(answer, upper),
            Request::PollLost => {
                upper.note(format_args!("a poll was given up before it had its answer"));
                let end = match upper.session().has_poll() {
                    true => TransportEnd::PollDropped,
                    // The answer was on its way already, and what it carried is lost with it.
                    false => TransportEnd::Error,
                };
                upper.handle_closed(end);
            }
            Request::Post(post) => self.handle_post(post, upper),
        }
    }

    fn be_replaced(&mut self, _: TransportKind) {
        if let Some(pending) = self.pending.take() {
            let mismatch = BadRequest::TransportMismatch;
            let _ = pending.send(Err(RequestError::BadRequest(mismatch)));
        }
    }

    /// The last answer goes out while its packets are still there.
    fn begin_end(&mut self, upper: &mut dyn Upper) {
        self.answer_poll(upper);
    }

    /// One more poll may come for the news.
    fn poll_end(&mut self, upper: &mut dyn Upper, _: &mut Context<'_>) -> Poll<()> {
        match upper.session().tombstone_until() {
            Some(_) => Poll::Pending,
            None => Poll::Ready(()),
        }
    }
}

impl fmt::Debug for Polling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Polling").finish_non_exhaustive()
    }
}

/// A request that came while another one was pending has ended the session.
fn note_overlap(error: &RequestError, upper: &mut dyn Upper) {
    if *error == RequestError::Overlap {
        upper.note(format_args!("{error}"));
    }
}

/// All packets of a POST are handled.
fn finish(post: Post, upper: &mut dyn Upper) {
    upper.session().end_post();
    post.answer(Ok(()));
}

/// Moves packets into the payload until it is full, or has this many; whether a message may be compressed that is in it
/// now.
pub(crate) fn fill(
    encoder: &mut payload::Encoder,
    outgoing: &mut Outgoing<'_>,
    max_packets: usize,
) -> bool {
    let (mut room, mut may_compress) = (max_packets, false);
    outgoing.take(|packet| {
        if room == 0 {
            return false;
        }
        let (taken, compress) = match packet {
            Outward::Packet(packet) => (encoder.push(packet), false),
            Outward::Text { packet, compress } => (encoder.push_text(packet), compress),
            Outward::Binary { data, compress } => (encoder.push_binary(data), compress),
        };
        room -= 1;
        may_compress |= taken && compress;
        taken
    });
    may_compress
}
