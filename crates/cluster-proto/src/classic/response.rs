//! What servers answer.

use std::sync::Arc;

use crate::legacy::{LegacyAnswer, LegacyId, LegacyPeer};
use crate::opts::read_names;
use crate::sink::{JsonSink, MessagePackSink, Sink};
use crate::source::Source;
use crate::value::Wire;
use crate::{DecodeError, EncodeError, Envelope, Limits, Message, NodeId, RequestId, Value};

const SERVER_SIDE_EMIT: u64 = 6;
const CLIENT_COUNT: u64 = 8;
const BROADCAST_ACK: u64 = 9;

pub(super) fn encode(
    out: &mut Vec<u8>,
    from: Option<&NodeId>,
    message: &Message,
) -> Result<(), EncodeError> {
    if let Message::BroadcastAck { .. } = message {
        return write(&mut MessagePackSink::new(out), from, message);
    }
    write(&mut JsonSink::new(out), from, message)
}

pub(super) fn read<'a, S: Source<'a>>(
    mut source: S,
    limits: &Limits,
) -> Result<Envelope, DecodeError> {
    let mut fields = Fields::default();
    source.map(|source, key| {
        match key {
            b"uid" => fields.from = source.optional(NodeId::read)?,
            b"type" => fields.kind = source.optional(Source::whole)?,
            b"requestId" => fields.request = source.optional(RequestId::read)?,
            b"requestid" => fields.request_of_v2 = source.optional(RequestId::read)?,
            b"clientCount" => fields.count = source.optional(Source::whole)?,
            b"packet" | b"data" => fields.answer = source.optional(Source::wire)?,
            b"sockets" => fields.sockets = source.optional(Source::wire)?,
            b"clients" => fields.clients = Some(read_names(source, limits)?),
            b"rooms" => fields.rooms = Some(read_names(source, limits)?),
            _ => source.skip()?,
        }
        Ok(())
    })?;
    source.end()?;
    Ok(Envelope {
        from: fields.from.take(),
        namespace: None,
        message: fields.message()?,
    })
}

/// What there may be in one answer or another.
#[derive(Default)]
struct Fields {
    from: Option<NodeId>,
    kind: Option<u64>,
    request: Option<RequestId>,
    request_of_v2: Option<RequestId>,
    count: Option<u64>,
    answer: Option<Wire>,
    sockets: Option<Wire>,
    clients: Option<Vec<Arc<str>>>,
    rooms: Option<Vec<Arc<str>>>,
}

impl Fields {
    fn message(self) -> Result<Message, DecodeError> {
        let answer = self.answer.map(Value::wire);
        let (id, peer) = match (self.request, self.request_of_v2) {
            (Some(id), _) => (id, LegacyPeer::V3),
            (None, Some(id)) => (id, LegacyPeer::V2),
            (None, None) => return Err(DecodeError::Missing("the id of its request")),
        };
        let legacy = |answer| {
            let request = LegacyId {
                id: id.clone(),
                peer,
            };
            Message::LegacyAnswer { request, answer }
        };
        Ok(match (self.kind, self.sockets, peer) {
            (Some(SERVER_SIDE_EMIT), ..) => Message::ServerSideAnswer {
                request: id,
                answer,
            },
            (Some(CLIENT_COUNT), ..) => Message::ClientCount {
                request: id,
                count: self.count.ok_or(DecodeError::Missing("a count"))?,
            },
            (Some(BROADCAST_ACK), ..) => Message::BroadcastAck {
                request: id,
                answer,
            },
            (Some(kind), ..) => return Err(DecodeError::UnknownType(kind)),
            (None, Some(sockets), _) => Message::Sockets {
                request: id,
                sockets: Value::wire(sockets),
            },
            (None, None, peer) => legacy(match (self.clients, self.rooms) {
                (Some(ids), _) => LegacyAnswer::SocketIds(ids),
                (None, Some(rooms)) => LegacyAnswer::Rooms(rooms),
                (None, None) if peer == LegacyPeer::V2 && answer.is_some() => {
                    LegacyAnswer::Custom(answer)
                }
                (None, None) => LegacyAnswer::Done,
            }),
        })
    }
}

fn write<S: Sink>(
    sink: &mut S,
    from: Option<&NodeId>,
    message: &Message,
) -> Result<(), EncodeError> {
    let and_from = usize::from(from.is_some());
    match message {
        Message::Sockets { request, sockets } => {
            sink.map(2 + and_from)?;
            write_request(sink, request)?;
            sink.key("sockets")?;
            sink.value(sockets)?;
        }
        Message::ServerSideAnswer { request, answer } => {
            let more = usize::from(answer.is_some());
            begin(sink, SERVER_SIDE_EMIT, request, more + and_from)?;
            write_answer(sink, "data", answer.as_ref())?;
        }
        Message::ClientCount { request, count } => {
            begin(sink, CLIENT_COUNT, request, 1 + and_from)?;
            sink.key("clientCount")?;
            sink.whole(*count);
        }
        Message::BroadcastAck { request, answer } => {
            let more = usize::from(answer.is_some());
            begin(sink, BROADCAST_ACK, request, more + and_from)?;
            write_answer(sink, "packet", answer.as_ref())?;
        }
        Message::LegacyAnswer { request, answer } => {
            let has_more = match answer {
                LegacyAnswer::Done => false,
                LegacyAnswer::Custom(answer) => answer.is_some(),
                LegacyAnswer::SocketIds(_) | LegacyAnswer::Rooms(_) => true,
            };
            sink.map(1 + usize::from(has_more) + and_from)?;
            sink.key(request.peer.id_key())?;
            sink.text(request.id.as_str())?;
            match (answer, request.peer) {
                (LegacyAnswer::Done, _) => {}
                (LegacyAnswer::Custom(answer), _) => write_answer(sink, "data", answer.as_ref())?,
                (LegacyAnswer::Rooms(rooms), _) => {
                    sink.key("rooms")?;
                    sink.texts(rooms)?;
                }
                (LegacyAnswer::SocketIds(ids), peer) => {
                    sink.key(match peer {
                        LegacyPeer::V2 => "clients",
                        LegacyPeer::V3 => "sockets",
                    })?;
                    sink.texts(ids)?;
                }
            }
        }
        _ => return Err(EncodeError::NoWord("such an answer")),
    }
    if let Some(from) = from {
        sink.key("uid")?;
        sink.text(from.as_str())?;
    }
    sink.end_map();
    Ok(())
}

fn begin<S: Sink>(
    sink: &mut S,
    kind: u64,
    request: &RequestId,
    more: usize,
) -> Result<(), EncodeError> {
    sink.map(2 + more)?;
    sink.key("type")?;
    sink.whole(kind);
    write_request(sink, request)
}

fn write_request<S: Sink>(sink: &mut S, request: &RequestId) -> Result<(), EncodeError> {
    sink.key("requestId")?;
    sink.text(request.as_str())
}

fn write_answer<S: Sink>(
    sink: &mut S,
    key: &'static str,
    answer: Option<&Value>,
) -> Result<(), EncodeError> {
    if let Some(answer) = answer {
        sink.key(key)?;
        sink.value(answer)?;
    }
    Ok(())
}
