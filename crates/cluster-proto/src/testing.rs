//! What the tests of the dialects share.

use bytes::Bytes;

use crate::{Event, Limits, Message, Value};

pub(crate) fn hex(text: &str) -> Bytes {
    let digits: Vec<_> = text.chars().map(|c| c.to_digit(16).unwrap()).collect();
    let bytes = digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]);
    bytes.map(|byte| u8::try_from(byte).unwrap()).collect()
}

/// The message as if it had been made here, so that nothing is merely copied.
pub(crate) fn made_here(message: Message) -> Message {
    let limits = Limits::default();
    let event = |event: Event| {
        let (name, args) = event.decode(&limits).unwrap();
        Event::new(&name, args.as_raw())
    };
    let answer =
        |answer: Option<Value>| answer.and_then(|it| Value::first(&it.decode(&limits).unwrap()));
    match message {
        Message::Broadcast {
            event: it,
            opts,
            request,
        } => Message::Broadcast {
            event: event(it),
            opts,
            request,
        },
        Message::ServerSideEmit { event: it, request } => Message::ServerSideEmit {
            event: event(it),
            request,
        },
        Message::Sockets { request, sockets } => Message::Sockets {
            request,
            sockets: answer(Some(sockets)).unwrap(),
        },
        Message::ServerSideAnswer {
            request,
            answer: it,
        } => Message::ServerSideAnswer {
            request,
            answer: answer(it),
        },
        Message::BroadcastAck {
            request,
            answer: it,
        } => Message::BroadcastAck {
            request,
            answer: answer(it),
        },
        message => message,
    }
}
