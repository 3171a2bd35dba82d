//! What servers ask for, on the channel that is counted.

use std::sync::Arc;

use crate::legacy::{LegacyId, LegacyPeer, LegacyRequest};
use crate::opts::{FlagsIn, read_names, read_opts, write_opts};
use crate::packet::{read_packet, write_packet};
use crate::sink::{JsonSink, MessagePackSink, Sink};
use crate::source::Source;
use crate::value::Wire;
use crate::{
    DecodeError, EncodeError, Envelope, Event, Limits, Message, NodeId, Opts, RequestId, Value,
};

const SOCKET_IDS: u64 = 0;
const ALL_ROOMS: u64 = 1;
const JOIN: u64 = 2;
const LEAVE: u64 = 3;
const DISCONNECT: u64 = 4;
const FETCH_SOCKETS: u64 = 5;
const SERVER_SIDE_EMIT: u64 = 6;
const BROADCAST: u64 = 7;

/// The same, as servers of Socket.IO 2 count them.
mod v2 {
    pub(super) const SOCKET_IDS: u64 = 0;
    pub(super) const ROOMS_OF: u64 = 1;
    pub(super) const ALL_ROOMS: u64 = 2;
    pub(super) const JOIN: u64 = 3;
    pub(super) const LEAVE: u64 = 4;
    pub(super) const CUSTOM: u64 = 5;
    pub(super) const DISCONNECT: u64 = 6;
}

pub(super) fn encode(
    out: &mut Vec<u8>,
    from: &NodeId,
    namespace: &str,
    message: &Message,
) -> Result<(), EncodeError> {
    if let Message::Broadcast { .. } = message {
        return write(&mut MessagePackSink::new(out), from, namespace, message);
    }
    write(&mut JsonSink::new(out), from, namespace, message)
}

/// What there may be in one request or another.
#[derive(Default)]
struct Fields {
    kind: Option<u64>,
    from: Option<NodeId>,
    request: Option<RequestId>,
    request_of_v2: Option<RequestId>,
    opts: Option<Opts>,
    rooms: Vec<Arc<str>>,
    close: bool,
    data: Option<Wire>,
    packet: Option<Wire>,
    socket: Option<Arc<str>>,
    room: Option<Arc<str>>,
}

pub(super) fn read<'a, S: Source<'a>>(
    mut source: S,
    limits: &Limits,
) -> Result<Envelope, DecodeError> {
    let mut fields = Fields::default();
    source.map(|source, key| {
        match key {
            b"type" => fields.kind = source.optional(Source::whole)?,
            b"uid" => fields.from = source.optional(NodeId::read)?,
            b"requestId" => fields.request = source.optional(RequestId::read)?,
            b"requestid" => fields.request_of_v2 = source.optional(RequestId::read)?,
            b"opts" => fields.opts = source.optional(|source| read_opts(source, limits))?,
            b"rooms" => fields.rooms = read_names(source, limits)?,
            b"close" => fields.close = source.optional(Source::truth)? == Some(true),
            b"data" => fields.data = source.optional(Source::wire)?,
            b"packet" => fields.packet = source.optional(read_packet)?.flatten(),
            b"sid" => fields.socket = source.optional(Source::text)?.map(Into::into),
            b"room" => fields.room = source.optional(Source::text)?.map(Into::into),
            _ => source.skip()?,
        }
        Ok(())
    })?;
    source.end()?;
    let kind = fields.kind.ok_or(DecodeError::Missing("a type"))?;
    Ok(Envelope {
        from: fields.from.take(),
        namespace: None,
        message: match (&fields.request, fields.request_of_v2.take()) {
            (None, Some(id)) => fields.of_v2(kind, id)?,
            _ => fields.message(kind)?,
        },
    })
}

impl Fields {
    fn message(self, kind: u64) -> Result<Message, DecodeError> {
        let request = self.request.clone();
        let known = request.ok_or(DecodeError::Missing("the id of the request"));
        let legacy = |what| {
            let (id, peer) = (known.clone()?, LegacyPeer::V3);
            let request = LegacyId { id, peer };
            Ok(Message::Legacy { request, what })
        };
        // Until version 7 of Node's adapter these could be about one socket, by its id.
        if let (JOIN | LEAVE | DISCONNECT, Some(socket)) = (kind, &self.socket) {
            let socket = socket.clone();
            let room = || self.room.clone().ok_or(DecodeError::Missing("a room"));
            return legacy(match kind {
                JOIN => LegacyRequest::Join {
                    socket,
                    room: room()?,
                },
                LEAVE => LegacyRequest::Leave {
                    socket,
                    room: room()?,
                },
                _ => LegacyRequest::Disconnect {
                    socket,
                    close: self.close,
                },
            });
        }
        // Without them these would be about everybody, who cannot have been meant by leaving them out.
        let opts = self.opts.ok_or(DecodeError::Missing("opts"));
        let rooms = self.rooms;
        Ok(match kind {
            SOCKET_IDS => return legacy(LegacyRequest::SocketIds { rooms }),
            ALL_ROOMS => return legacy(LegacyRequest::AllRooms),
            JOIN => Message::Join { opts: opts?, rooms },
            LEAVE => Message::Leave { opts: opts?, rooms },
            DISCONNECT => Message::Disconnect {
                opts: opts?,
                close: self.close,
            },
            FETCH_SOCKETS => Message::FetchSockets {
                request: known?,
                opts: opts?,
            },
            SERVER_SIDE_EMIT => Message::ServerSideEmit {
                event: Event::wire(self.data.ok_or(DecodeError::Missing("data"))?),
                request: self.request,
            },
            BROADCAST => Message::Broadcast {
                event: Event::wire(self.packet.ok_or(DecodeError::Missing("a packet"))?),
                opts: opts?,
                request: Some(known?),
            },
            _ => return Err(DecodeError::UnknownType(kind)),
        })
    }

    fn of_v2(self, kind: u64, id: RequestId) -> Result<Message, DecodeError> {
        let socket = self.socket.ok_or(DecodeError::Missing("a socket's id"));
        let room = self.room.ok_or(DecodeError::Missing("a room"));
        Ok(Message::Legacy {
            request: LegacyId {
                id,
                peer: LegacyPeer::V2,
            },
            what: match kind {
                v2::SOCKET_IDS => LegacyRequest::SocketIds { rooms: self.rooms },
                v2::ROOMS_OF => LegacyRequest::RoomsOf { socket: socket? },
                v2::ALL_ROOMS => LegacyRequest::AllRooms,
                v2::JOIN => LegacyRequest::Join {
                    socket: socket?,
                    room: room?,
                },
                v2::LEAVE => LegacyRequest::Leave {
                    socket: socket?,
                    room: room?,
                },
                v2::CUSTOM => LegacyRequest::Custom {
                    data: self.data.map(Value::wire),
                },
                v2::DISCONNECT => LegacyRequest::Disconnect {
                    socket: socket?,
                    close: self.close,
                },
                _ => return Err(DecodeError::UnknownType(kind)),
            },
        })
    }
}

fn write<S: Sink>(
    sink: &mut S,
    from: &NodeId,
    namespace: &str,
    message: &Message,
) -> Result<(), EncodeError> {
    let (kind, request, others) = match message {
        Message::Broadcast { request, .. } => (BROADCAST, request.as_ref(), 2),
        Message::Join { .. } => (JOIN, None, 2),
        Message::Leave { .. } => (LEAVE, None, 2),
        Message::Disconnect { .. } => (DISCONNECT, None, 2),
        Message::FetchSockets { request, .. } => (FETCH_SOCKETS, Some(request), 1),
        Message::ServerSideEmit { request, .. } => (SERVER_SIDE_EMIT, request.as_ref(), 1),
        Message::Hello | Message::Heartbeat | Message::Close => {
            return Err(EncodeError::NoWord("nodes that come and go"));
        }
        Message::Session(_) => return Err(EncodeError::NoWord("sessions")),
        _ => return Err(EncodeError::NoWord("the requests of old servers")),
    };
    sink.map(2 + usize::from(request.is_some()) + others)?;
    sink.key("uid")?;
    sink.text(from.as_str())?;
    if let Some(request) = request {
        sink.key("requestId")?;
        sink.text(request.as_str())?;
    }
    sink.key("type")?;
    sink.whole(kind);
    match message {
        Message::Broadcast { event, opts, .. } => {
            sink.key("packet")?;
            write_packet(sink, namespace, event)?;
            sink.key("opts")?;
            write_opts(sink, opts, FlagsIn::Opts)?;
        }
        Message::Join { opts, rooms } | Message::Leave { opts, rooms } => {
            sink.key("opts")?;
            write_opts(sink, opts, FlagsIn::Nothing)?;
            sink.key("rooms")?;
            sink.texts(rooms)?;
        }
        Message::Disconnect { opts, close } => {
            sink.key("opts")?;
            write_opts(sink, opts, FlagsIn::Nothing)?;
            sink.key("close")?;
            sink.truth(*close);
        }
        Message::FetchSockets { opts, .. } => {
            sink.key("opts")?;
            write_opts(sink, opts, FlagsIn::Nothing)?;
        }
        Message::ServerSideEmit { event, .. } => {
            sink.key("data")?;
            sink.event(event)?;
        }
        _ => {}
    }
    sink.end_map();
    Ok(())
}
