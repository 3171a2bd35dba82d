//! Sessions on bare streams: the two dialects of one listener.

mod opening;
mod unheard;

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::Arc;

use sockeye_engine::{Agreed, Dialect, Io, Wire};
use sockeye_engine_proto::{
    Compression, Packet, RequestError, Revision, TransportKind, WireKind, frame,
};
use sockeye_socket_proto::lines;

use super::Manners;
use crate::application::Application;
use crate::engine::Engine;
use crate::gate::Place;
use crate::handshake::Handshake;
use crate::trace::{self, Unopened};
use opening::{BareOpening, Opening, listen_to};
use unheard::Unheard;

/// A peer at the door: what is known of it, and how it is to be treated.
#[derive(Clone)]
struct Guest {
    transport: TransportKind,
    handshake: Arc<Handshake>,
    manners: Manners,
}

/// What a browser that strays in is told.
const NOT_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\
    Connection: close\r\nContent-Length: 63\r\n\r\n\
    This port speaks Socket.IO over a bare stream; it has no HTTP.\n";

/// Finds out what a new peer speaks, asks whether it may, and opens its session.
///
/// A peer that says nothing is dropped after the application's connect timeout, unless it is taken
/// for a plain one before.
pub(super) async fn serve<A: Application>(
    engine: Engine<A>,
    io: Io,
    transport: TransportKind,
    handshake: Handshake,
    manners: Manners,
) {
    let handshake = Arc::new(handshake);
    let guest = Guest {
        transport,
        handshake,
        manners,
    };
    receive(&engine, io, guest, Vec::new()).await;
}

/// The same for a peer that was taken for a plain one, and turns out to be another: its session of
/// lines is over, without a word to it, and it begins anew with what it has said.
async fn serve_again<A: Application>(engine: Engine<A>, io: Io, guest: Guest, said: Vec<u8>) {
    tracing::debug!("a peer that had said nothing speaks no lines: it is received once more");
    let Some(_door) = engine.gate().open_door() else {
        return;
    };
    tokio::select! {
        biased;
        // No listener waits for it any more, nor is anybody else let in.
        () = engine.gate().closing() => {}
        () = receive(&engine, io, guest, said) => {}
    }
}

async fn receive<A: Application>(engine: &Engine<A>, mut io: Io, guest: Guest, said: Vec<u8>) {
    let patience = engine.application().connect_timeout();
    let remote = guest.handshake.remote_addr();
    let listening = listen_to(&mut io, guest.manners, said);
    let opening = match tokio::time::timeout(patience, listening).await {
        Ok(Ok(opening)) => opening,
        Ok(Err(error)) => {
            trace::unopened(Unopened::Garbled(&error), remote);
            return;
        }
        Err(_) => {
            trace::unopened(Unopened::Silent, remote);
            return;
        }
    };
    let opening = match opening {
        Opening::Session(opening) => opening,
        Opening::Http => {
            trace::unopened(Unopened::Http, remote);
            say_farewell(engine, &mut io, NOT_HTTP).await;
            return;
        }
        Opening::Unwanted => {
            trace::unopened(Unopened::Lines, remote);
            let text = "this listener takes packets only";
            let error = RequestError::Forbidden(Some(text.into()));
            say_farewell(engine, &mut io, &refusal(Dialect::Lines, &error)).await;
            return;
        }
    };
    match engine.admit(&guest.handshake).await {
        Ok(place) => open(engine, place, io, guest, &opening),
        Err(error) => {
            trace::unopened(Unopened::Refused(&error), remote);
            say_farewell(engine, &mut io, &refusal(opening.dialect, &error)).await;
        }
    }
}

/// Opens the session of a peer that was let in.
fn open<A: Application>(
    engine: &Engine<A>,
    place: Place,
    io: Io,
    guest: Guest,
    opening: &BareOpening,
) {
    let dialect = opening.dialect;
    let (config, manners) = (engine.config(), guest.manners);
    let registered = engine.register(place, Revision::V4, guest.transport, dialect, false);
    let Some(registered) = registered else {
        return;
    };
    let mut wire = match dialect {
        Dialect::Packets => Wire::native(io, &opening.read, &config.limits),
        Dialect::Lines => Wire::lines(io, &opening.read, &config.limits),
    };
    if opening.unheard {
        wire.expect_first_word(Box::new(Unheard::new(engine.clone(), guest.clone())));
    }
    if manners.allow_half_open {
        wire.outlive_peer();
    }
    if manners.pause_on_connect {
        registered.session.will_pause_on_connect();
    }
    let agreed = match (opening.compression, config.stream_compression) {
        (Some(Compression::Deflate), Some(from)) => {
            wire.expect_compressed();
            Agreed::Native(from)
        }
        _ => Agreed::Nothing,
    };
    engine.drive_wire(registered, guest.handshake, wire, agreed);
}

/// What tells a peer that it was refused. Natively that is a close packet with what HTTP would have
/// in the body of the answer; as a line it is the one that middlewares refuse events by.
fn refusal(dialect: Dialect, error: &RequestError) -> Vec<u8> {
    let mut said = Vec::new();
    match dialect {
        Dialect::Lines => {
            let data = None::<&()>;
            lines::encode_error(&mut said, error.message(), data).expect("a text can be encoded");
        }
        Dialect::Packets => {
            let mut packet = Vec::new();
            Packet::Close.encode_text(Revision::V4, &mut packet);
            packet.extend_from_slice(error.body().as_bytes());
            frame::encode_frame(&mut said, WireKind::Text, &packet);
        }
    }
    said
}

/// Says something and hangs up, unless the peer does not take it.
async fn say_farewell<A: Application>(engine: &Engine<A>, io: &mut Io, text: &[u8]) {
    let patience = engine.config().limits.linger;
    if let Ok(Err(error)) = tokio::time::timeout(patience, farewell(io, text)).await {
        tracing::debug!(%error, "the last words to a peer were lost");
    }
}

async fn farewell(io: &mut Io, text: &[u8]) -> io::Result<()> {
    let mut rest = text;
    while !rest.is_empty() {
        let written = poll_fn(|cx| io.poll_write(cx, &[IoSlice::new(rest)])).await?;
        rest = &rest[written..];
    }
    poll_fn(|cx| io.poll_shutdown(cx)).await?;
    poll_fn(|cx| io.poll_discard(cx)).await;
    Ok(())
}
