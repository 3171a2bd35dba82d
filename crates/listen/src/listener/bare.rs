//! Sessions on bare streams: the two dialects of one listener.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::Arc;

use sockeye_engine_proto::frame::{self, Decoded};
use sockeye_engine_proto::{
    Compression, Dialect, OpenRequest, Packet, RequestError, Revision, TransportKind, WireKind,
    dialect_of_first_byte,
};
use sockeye_socket_proto::lines;

use super::{Guest, Manners};
use crate::application::Application;
use crate::engine::Engine;
use crate::handshake::Handshake;
use sockeye_engine::Framing;
use sockeye_engine::Io;
use sockeye_engine::StreamDialect;

/// A native peer opens with a frame of a few bytes.
const MAX_OPENING: usize = 1024;

/// What a browser that strays in is told.
pub(super) const NOT_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\
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
pub(super) async fn serve_again<A: Application>(
    engine: Engine<A>,
    io: Io,
    guest: Guest,
    said: Vec<u8>,
) {
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
    let listening = listen_to(&mut io, &guest, said);
    let opening = match tokio::time::timeout(patience, listening).await {
        Ok(Ok(opening)) => opening,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a peer on a bare stream did not open a session");
            return;
        }
        Err(_) => {
            tracing::debug!("a peer on a bare stream said nothing");
            return;
        }
    };
    let opening = match opening {
        Opening::Session(opening) => opening,
        Opening::Http => {
            say_farewell(engine, &mut io, NOT_HTTP).await;
            return;
        }
        Opening::Unwanted => {
            tracing::debug!("a peer speaks lines where only packets are taken");
            let text = "this listener takes packets only";
            let error = RequestError::Forbidden(Some(text.into()));
            say_farewell(engine, &mut io, &refusal(Framing::Lines, &error)).await;
            return;
        }
    };
    let Guest {
        transport,
        handshake,
        manners,
    } = guest;
    match engine.admit(&handshake).await {
        Ok(place) => engine.open_bare(place, handshake, transport, io, &opening, manners),
        Err(error) => {
            tracing::debug!(%error, "a peer on a bare stream was refused");
            say_farewell(engine, &mut io, &refusal(opening.framing, &error)).await;
        }
    }
}

/// What tells a peer that it was refused. Natively that is a close packet with what HTTP would have
/// in the body of the answer; as a line it is the one that middlewares refuse events by.
pub(super) fn refusal(framing: Framing, error: &RequestError) -> Vec<u8> {
    let mut said = Vec::new();
    match framing {
        Framing::Lines => {
            let data = None::<&()>;
            lines::encode_error(&mut said, error.message(), data).expect("a text can be encoded");
        }
        _ => {
            let mut packet = Vec::new();
            Packet::Close.encode_text(Revision::V4, &mut packet);
            packet.extend_from_slice(error.body().as_bytes());
            frame::encode_frame(&mut said, WireKind::Text, &packet);
        }
    }
    said
}

/// How a peer begins.
enum Opening {
    /// With its first packet or line, or by saying nothing.
    Session(BareOpening),
    /// With a request for a web server.
    Http,
    /// With a line where lines are not taken.
    Unwanted,
}

/// How a session on a bare stream begins.
pub(crate) struct BareOpening {
    pub(crate) framing: Framing,
    /// The compression that the peer offers.
    pub(crate) compression: Option<Compression>,
    /// What came already, without the native opening.
    pub(crate) read: Vec<u8>,
    /// The peer, if it is taken for a plain one without having said anything.
    pub(crate) unheard: Option<Guest>,
}

impl BareOpening {
    /// The first line, or a part of it.
    const fn lines(read: Vec<u8>) -> Self {
        Self {
            framing: Framing::Lines,
            compression: None,
            read,
            unheard: None,
        }
    }

    /// Of a peer that is taken for a plain one.
    fn silent(guest: &Guest) -> Self {
        Self {
            unheard: Some(guest.clone()),
            ..Self::lines(Vec::new())
        }
    }
}

/// Reads until it is clear what the peer speaks, or is to be thought to. `said` is what came already.
async fn listen_to(io: &mut Io, guest: &Guest, mut said: Vec<u8>) -> io::Result<Opening> {
    let Manners {
        dialect,
        plain_after,
        ..
    } = guest.manners;
    if said.is_empty() {
        let silence = match dialect {
            StreamDialect::Lines => return Ok(Opening::Session(BareOpening::silent(guest))),
            StreamDialect::Auto => plain_after,
            StreamDialect::Native => None,
        };
        match silence {
            Some(silence) => match tokio::time::timeout(silence, read_more(io, &mut said)).await {
                Ok(read) => read?,
                Err(_) => return Ok(Opening::Session(BareOpening::silent(guest))),
            },
            None => read_more(io, &mut said).await?,
        }
    }
    loop {
        if let Some(opening) = understand(&said, dialect)? {
            return Ok(opening);
        }
        read_more(io, &mut said).await?;
    }
}

/// What the first bytes mean; `None` if there are too few.
fn understand(said: &[u8], dialect: StreamDialect) -> io::Result<Option<Opening>> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    match dialect_of_first_byte(said[0]) {
        Dialect::Lines if dialect == StreamDialect::Native => return Ok(Some(Opening::Unwanted)),
        Dialect::Lines => {
            let opening = BareOpening::lines(said.to_vec());
            return Ok(Some(Opening::Session(opening)));
        }
        Dialect::Http => return Ok(Some(Opening::Http)),
        Dialect::Unknown => return Err(invalid("neither a packet nor a line")),
        Dialect::Native => {}
    }
    match frame::decode(said, MAX_OPENING) {
        Ok(Decoded::Frame { frame, used }) => match frame.packet() {
            Ok(Packet::Open(data)) => match OpenRequest::from_data(&data) {
                Ok(OpenRequest::New { compression }) => Ok(Some(Opening::Session(BareOpening {
                    framing: Framing::Native,
                    compression,
                    read: said[used..].to_vec(),
                    unheard: None,
                }))),
                Ok(OpenRequest::Upgrade { .. }) => {
                    Err(invalid("a bare stream is no transport to upgrade to"))
                }
                Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            },
            _ => Err(invalid("the first packet does not open a session")),
        },
        Ok(Decoded::NeedMore { .. }) if said.len() < MAX_OPENING => Ok(None),
        Ok(Decoded::NeedMore { .. }) => Err(invalid("the first packet is too long")),
        Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    }
}

/// Reads once, as far as an opening may go. Cancel safe.
async fn read_more(io: &mut Io, said: &mut Vec<u8>) -> io::Result<()> {
    let mut buf = vec![0; MAX_OPENING.saturating_sub(said.len())];
    match poll_fn(|cx| io.poll_read(cx, &mut buf)).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        read => {
            said.extend_from_slice(&buf[..read]);
            Ok(())
        }
    }
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
