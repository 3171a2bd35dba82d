//! A session on long-polling: the pending GET, and the packets of a POST.

use std::collections::VecDeque;
use std::fmt;
use std::task::Context;
use std::time::Instant;

use sockeye_engine_proto::payload::{self, Dialect};
use sockeye_engine_proto::{Lane, Message, Packet, PollVerdict, RequestError};
use tokio::sync::oneshot;

use super::{Carrier, Driver, Side, is_ready};
use crate::command::{PollAnswer, PollPayload, Post, PostVerdict};
use crate::connection::{Connection, Incoming};
use crate::message::View;
use crate::outbox::{Item, Outbox};

/// Long-polling as the server has it.
pub struct Polling {
    dialect: Dialect,
    /// The GET that waits for something to send.
    pending: Option<oneshot::Sender<PollAnswer>>,
    /// Why the POST whose body is being read will be refused.
    refused: Option<RequestError>,
    backlog: Option<Backlog>,
    /// The peer has closed, but one more poll of its may come and gets a friendly answer.
    pub(super) tombstone: bool,
}

/// The rest of a POST for which the application is not ready. It is not answered before it is
/// worked off, which keeps the peer from sending more.
struct Backlog {
    packets: VecDeque<Packet<'static>>,
    verdict: oneshot::Sender<PostVerdict>,
}

impl fmt::Debug for Polling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Polling").finish_non_exhaustive()
    }
}

impl Polling {
    pub(super) const fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            pending: None,
            refused: None,
            backlog: None,
            tombstone: false,
        }
    }

    pub(super) fn take_pending(&mut self) -> Option<oneshot::Sender<PollAnswer>> {
        self.pending.take()
    }
}

impl<S: Side, C: Connection> Driver<S, C> {
    pub(super) fn handle_poll(&mut self, answer: oneshot::Sender<PollAnswer>, now: Instant) {
        match self.session.begin_poll(now) {
            PollVerdict::Hold => {
                if let Carrier::Polling(polling) = &mut self.carrier {
                    polling.pending = Some(answer);
                    self.handle.shared().lock().facts.poll_pending = true;
                }
            }
            PollVerdict::AnswerNoop => {
                if let Carrier::Polling(polling) = &mut self.carrier {
                    polling.tombstone = false;
                }
                let payload = self.take_payload_of_current();
                let _ = answer.send(Ok(payload));
            }
            PollVerdict::Refuse(error) => {
                let _ = answer.send(Err(error));
            }
        }
    }

    pub(super) fn handle_begin_post(&mut self, now: Instant) {
        let refused = self.session.begin_post(now).err();
        if let Carrier::Polling(polling) = &mut self.carrier {
            polling.refused = refused;
        }
    }

    pub(super) fn handle_post(&mut self, post: Post, now: Instant, cx: &mut Context<'_>) {
        let Carrier::Polling(polling) = &mut self.carrier else {
            let _ = post.verdict.send(Err(RequestError::UnknownSession));
            return;
        };
        if let Some(error) = polling.refused.take() {
            let _ = post.verdict.send(Err(error));
            return;
        }
        let limits = self.side.limits().payload();
        let mut backlog = VecDeque::new();
        let mut result = Ok(());
        for packet in payload::decode(post.content, &post.body, &limits, &mut polling.dialect) {
            match packet {
                Ok(packet) if backlog.is_empty() && is_ready(&self.connection, &self.handle) => {
                    let message = self.session.handle_packet(now, Lane::Current, packet);
                    if let Some(message) = message {
                        self.unfinished = None;
                        self.connection.handle_message(incoming(&message), cx);
                    }
                }
                Ok(packet) => backlog.push_back(packet.into_owned()),
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
            if self.session.is_closed() {
                break;
            }
        }
        let verdict = match result {
            Ok(()) if !backlog.is_empty() => {
                polling.backlog = Some(Backlog {
                    packets: backlog,
                    verdict: post.verdict,
                });
                return;
            }
            Ok(()) => {
                self.session.end_post();
                Ok(())
            }
            Err(error) => {
                tracing::debug!(%error, "undecodable payload");
                Err(self.session.handle_payload_error(now, error))
            }
        };
        let _ = post.verdict.send(verdict);
    }

    /// Goes on with a POST that had to wait for the application; whether something was done.
    pub(super) fn work_off_backlog(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        let Carrier::Polling(polling) = &mut self.carrier else {
            return false;
        };
        let Some(backlog) = &mut polling.backlog else {
            return false;
        };
        while is_ready(&self.connection, &self.handle) {
            let Some(packet) = backlog.packets.pop_front() else {
                break;
            };
            if let Some(message) = self.session.handle_packet(now, Lane::Current, packet) {
                self.unfinished = None;
                self.connection.handle_message(incoming(&message), cx);
            }
        }
        if backlog.packets.is_empty()
            && let Some(backlog) = polling.backlog.take()
        {
            self.session.end_post();
            let _ = backlog.verdict.send(Ok(()));
        }
        true
    }

    /// Answers the pending GET, if there is one and something to say.
    pub(super) fn answer_poll(&mut self) {
        let Carrier::Polling(polling) = &mut self.carrier else {
            return;
        };
        if polling.pending.is_none() || self.handle.queued() == 0 {
            return;
        }
        let Some(pending) = polling.pending.take() else {
            return;
        };
        let payload = self.take_payload_of_current();
        self.handle.shared().lock().facts.poll_pending = false;
        if pending.send(Ok(payload)).is_ok() {
            self.session.end_poll();
        }
        // Otherwise the request was dropped, and the command that says so is on its way.
    }

    fn take_payload_of_current(&self) -> PollPayload {
        match &self.carrier {
            Carrier::Polling(polling) => self.take_payload(&polling.dialect),
            _ => self.noop(&Dialect::new(self.session.revision())),
        }
    }

    /// As much of the outbox as fits one payload, or a noop if there is nothing.
    fn take_payload(&self, dialect: &Dialect) -> PollPayload {
        // The last payload of a session takes everything: there will be no other.
        let limit = match self.session.is_closed() {
            true => usize::MAX,
            false => self.side.limits().max_payload,
        };
        let mut encoder = payload::Encoder::new(dialect, limit);
        let compress = fill(
            &mut encoder,
            &mut self.handle.shared().lock().outbox,
            usize::MAX,
        );
        if encoder.is_empty() {
            return self.noop(dialect);
        }
        PollPayload {
            encoded: encoder.finish(),
            compress,
        }
    }

    fn noop(&self, dialect: &Dialect) -> PollPayload {
        let limit = self.side.limits().max_payload;
        let mut encoder = payload::Encoder::new(dialect, limit);
        let taken = encoder.push(&Packet::Noop);
        debug_assert!(taken, "the first packet of a payload is always taken");
        PollPayload {
            encoded: encoder.finish(),
            compress: false,
        }
    }
}

pub(super) fn incoming<'a>(message: &'a Message<'_>) -> Incoming<'a> {
    match message {
        Message::Text(text) => Incoming::Text(text),
        Message::Binary(data) => Incoming::Binary(data),
    }
}

/// Moves packets into the payload until it is full, or has this many; whether a message may be compressed that is in it
/// now.
pub(super) fn fill(
    encoder: &mut payload::Encoder,
    outbox: &mut Outbox,
    max_packets: usize,
) -> bool {
    let mut may_compress = false;
    let Some(packets) = outbox.packets() else {
        return may_compress;
    };
    for _ in 0..max_packets {
        let Some(item) = packets.front() else { break };
        let taken = match item {
            Item::Control(packet) => encoder.push(packet),
            Item::Message { message, .. } => match message.view() {
                View::Text(text) => encoder.push_text(text.packet_text()),
                View::Binary(data) => encoder.push_binary(data),
            },
        };
        if !taken {
            break;
        }
        may_compress |= matches!(item, Item::Message { compress: true, .. });
        packets.pop_front();
    }
    outbox.recount();
    may_compress
}
