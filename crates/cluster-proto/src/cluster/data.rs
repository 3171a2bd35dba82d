//! What is in the `data` of each type of message, which other dialects have as well.

use std::sync::Arc;

use crate::opts::{FlagsIn, read_names, read_opts, write_opts};
use crate::packet::{EVENT, read_packet};
use crate::sink::Sink;
use crate::source::Source;
use crate::value::Wire;
use crate::{
    DecodeError, EncodeError, Event, Limits, Message, Opts, RequestId, SessionMark, Value,
};

const HELLO: u64 = 1;
const HEARTBEAT: u64 = 2;
const BROADCAST: u64 = 3;
const JOIN: u64 = 4;
const LEAVE: u64 = 5;
const DISCONNECT: u64 = 6;
const FETCH_SOCKETS: u64 = 7;
const SOCKETS: u64 = 8;
const SERVER_SIDE_EMIT: u64 = 9;
const SERVER_SIDE_ANSWER: u64 = 10;
const CLIENT_COUNT: u64 = 11;
const BROADCAST_ACK: u64 = 12;
const THIRTEEN: u64 = 13;
/// A node that goes, where thirteen is something else. Node's servers have no word for that, and do nothing about a type that
/// they do not know.
const CLOSE_BEHIND_SESSION: u64 = 14;

/// What the last of the numbers means, which was given out twice: who takes the one for the other keeps sessions that are none,
/// or evicts nodes that are alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thirteen {
    Close,
    Session,
}

/// The number of a message's type.
pub(crate) fn kind_of(message: &Message, thirteen: Thirteen) -> Result<u64, EncodeError> {
    Ok(match message {
        Message::Hello => HELLO,
        Message::Heartbeat => HEARTBEAT,
        Message::Broadcast { .. } => BROADCAST,
        Message::Join { .. } => JOIN,
        Message::Leave { .. } => LEAVE,
        Message::Disconnect { .. } => DISCONNECT,
        Message::FetchSockets { .. } => FETCH_SOCKETS,
        Message::Sockets { .. } => SOCKETS,
        Message::ServerSideEmit { .. } => SERVER_SIDE_EMIT,
        Message::ServerSideAnswer { .. } => SERVER_SIDE_ANSWER,
        Message::ClientCount { .. } => CLIENT_COUNT,
        Message::BroadcastAck { .. } => BROADCAST_ACK,
        Message::Close if thirteen == Thirteen::Close => THIRTEEN,
        Message::Session(_) if thirteen == Thirteen::Session => THIRTEEN,
        Message::Close => CLOSE_BEHIND_SESSION,
        Message::Session(_) => return Err(EncodeError::NoWord("sessions")),
        Message::Legacy { .. } | Message::LegacyAnswer { .. } => {
            return Err(EncodeError::NoWord("the requests of old servers"));
        }
    })
}

/// Whether a message says more than its type.
pub(crate) fn has_data(message: &Message) -> bool {
    !matches!(
        message,
        Message::Hello | Message::Heartbeat | Message::Close
    )
}

/// A message that says nothing more than its type.
pub(crate) fn without_data(kind: u64, thirteen: Thirteen) -> Result<Message, DecodeError> {
    match kind {
        HELLO => Ok(Message::Hello),
        HEARTBEAT => Ok(Message::Heartbeat),
        THIRTEEN if thirteen == Thirteen::Close => Ok(Message::Close),
        CLOSE_BEHIND_SESSION if thirteen == Thirteen::Session => Ok(Message::Close),
        BROADCAST..=THIRTEEN => Err(DecodeError::Missing("data")),
        _ => Err(DecodeError::UnknownType(kind)),
    }
}

/// Reads the data of a message.
pub(crate) fn read_data<'a, S: Source<'a>>(
    kind: u64,
    thirteen: Thirteen,
    source: &mut S,
    limits: &Limits,
) -> Result<Message, DecodeError> {
    if (kind, thirteen) == (THIRTEEN, Thirteen::Session) {
        return Ok(Message::Session(SessionMark::read(source, limits)?));
    }
    if !(BROADCAST..=BROADCAST_ACK).contains(&kind) {
        source.skip()?;
        return match kind {
            // Another one's word, of a later version: a node that goes has nothing to say.
            CLOSE_BEHIND_SESSION => Err(DecodeError::UnknownType(kind)),
            _ => without_data(kind, thirteen),
        };
    }
    let mut fields = Fields::default();
    source.map(|source, key| {
        match key {
            b"packet" if kind == BROADCAST => fields.packet = read_packet(source)?,
            b"packet" => fields.packet = source.optional(Source::wire)?,
            b"requestId" => {
                fields.request = source.optional(RequestId::read)?;
            }
            b"opts" => {
                fields.opts = source.optional(|source| read_opts(source, limits))?;
            }
            b"rooms" => fields.rooms = Some(read_names(source, limits)?),
            b"close" => fields.close = source.optional(Source::truth)? == Some(true),
            b"sockets" => fields.sockets = source.optional(Source::wire)?,
            b"clientCount" => fields.count = source.optional(Source::whole)?,
            _ => source.skip()?,
        }
        Ok(())
    })?;
    fields.message(kind)
}

/// What there may be in the data of one type or another.
#[derive(Default)]
struct Fields {
    packet: Option<Wire>,
    request: Option<RequestId>,
    opts: Option<Opts>,
    rooms: Option<Vec<Arc<str>>>,
    close: bool,
    sockets: Option<Wire>,
    count: Option<u64>,
}

impl Fields {
    fn message(self, kind: u64) -> Result<Message, DecodeError> {
        let Self {
            packet,
            request,
            opts,
            rooms,
            close,
            sockets,
            count,
        } = self;
        // Without them these would be about everybody, who cannot have been meant by leaving them out.
        let opts = opts.ok_or(DecodeError::Missing("opts"));
        let event = |packet: Option<Wire>| {
            let packet = packet.ok_or(DecodeError::Missing("a packet"))?;
            Ok::<_, DecodeError>(Event::wire(packet))
        };
        let known = |request: Option<RequestId>| {
            request.ok_or(DecodeError::Missing("the id of its request"))
        };
        let named = |rooms: Option<_>| rooms.ok_or(DecodeError::Missing("rooms"));
        Ok(match kind {
            BROADCAST => Message::Broadcast {
                event: event(packet)?,
                opts: opts?,
                request,
            },
            JOIN => Message::Join {
                opts: opts?,
                rooms: named(rooms)?,
            },
            LEAVE => Message::Leave {
                opts: opts?,
                rooms: named(rooms)?,
            },
            DISCONNECT => Message::Disconnect { opts: opts?, close },
            FETCH_SOCKETS => Message::FetchSockets {
                request: known(request)?,
                opts: opts?,
            },
            SOCKETS => Message::Sockets {
                request: known(request)?,
                sockets: sockets
                    .map(Value::wire)
                    .ok_or(DecodeError::Missing("sockets"))?,
            },
            SERVER_SIDE_EMIT => Message::ServerSideEmit {
                event: event(packet)?,
                request,
            },
            SERVER_SIDE_ANSWER => Message::ServerSideAnswer {
                request: known(request)?,
                answer: packet.map(Value::wire),
            },
            CLIENT_COUNT => Message::ClientCount {
                request: known(request)?,
                count: count.ok_or(DecodeError::Missing("a count"))?,
            },
            BROADCAST_ACK => Message::BroadcastAck {
                request: known(request)?,
                answer: packet.map(Value::wire),
            },
            _ => return Err(DecodeError::UnknownType(kind)),
        })
    }
}

/// Writes the data of a message that has some. What is absent is left out: to Node, `null` is something that is there.
pub(crate) fn write_data<S: Sink>(sink: &mut S, message: &Message) -> Result<(), EncodeError> {
    match message {
        // What has no data, and what has no type above.
        Message::Hello
        | Message::Heartbeat
        | Message::Close
        | Message::Legacy { .. }
        | Message::LegacyAnswer { .. } => sink.map(0)?,
        Message::Session(mark) => return mark.write(sink),
        Message::Broadcast {
            event,
            opts,
            request,
        } => {
            sink.map(2 + usize::from(request.is_some()))?;
            sink.key("packet")?;
            sink.map(2)?;
            sink.key("type")?;
            sink.whole(EVENT);
            sink.key("data")?;
            sink.event(event)?;
            sink.end_map();
            write_request(sink, request.as_ref())?;
            sink.key("opts")?;
            write_opts(sink, opts, FlagsIn::Opts)?;
        }
        Message::Join { opts, rooms } | Message::Leave { opts, rooms } => {
            sink.map(2)?;
            sink.key("opts")?;
            write_opts(sink, opts, FlagsIn::Opts)?;
            sink.key("rooms")?;
            sink.texts(rooms)?;
        }
        Message::Disconnect { opts, close } => {
            sink.map(2)?;
            sink.key("opts")?;
            write_opts(sink, opts, FlagsIn::Opts)?;
            sink.key("close")?;
            sink.truth(*close);
        }
        Message::FetchSockets { request, opts } => {
            sink.map(2)?;
            sink.key("opts")?;
            write_opts(sink, opts, FlagsIn::Opts)?;
            write_request(sink, Some(request))?;
        }
        Message::Sockets { request, sockets } => {
            sink.map(2)?;
            write_request(sink, Some(request))?;
            sink.key("sockets")?;
            sink.value(sockets)?;
        }
        Message::ServerSideEmit { event, request } => {
            sink.map(1 + usize::from(request.is_some()))?;
            write_request(sink, request.as_ref())?;
            sink.key("packet")?;
            sink.event(event)?;
        }
        Message::ServerSideAnswer { request, answer }
        | Message::BroadcastAck { request, answer } => {
            sink.map(1 + usize::from(answer.is_some()))?;
            write_request(sink, Some(request))?;
            if let Some(answer) = answer {
                sink.key("packet")?;
                sink.value(answer)?;
            }
        }
        Message::ClientCount { request, count } => {
            sink.map(2)?;
            write_request(sink, Some(request))?;
            sink.key("clientCount")?;
            sink.whole(*count);
        }
    }
    sink.end_map();
    Ok(())
}

fn write_request<S: Sink>(sink: &mut S, request: Option<&RequestId>) -> Result<(), EncodeError> {
    if let Some(request) = request {
        sink.key("requestId")?;
        sink.text(request.as_str())?;
    }
    Ok(())
}
