//! Sessions on bare streams: the two dialects of one listener.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::Arc;

use sockeye_engine_proto::frame::{self, Decoded};
use sockeye_engine_proto::{
    Compression, OpenRequest, Packet, RequestError, Revision, TransportKind, WireKind,
};
use sockeye_socket_proto::lines::{self, Dialect, dialect_of_first_byte};

use crate::application::Application;
use crate::engine::Engine;
use crate::handshake::Handshake;
use crate::io::Io;
use crate::outbox::Framing;

use super::Manners;

/// A native peer opens with a frame of a few bytes.
const MAX_OPENING: usize = 1024;

/// What a browser that strays in is told.
const NOT_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\
    Connection: close\r\nContent-Length: 63\r\n\r\n\
    This port speaks Socket.IO over a bare stream; it has no HTTP.\n";

/// Finds out what a new peer speaks, asks whether it may, and opens its session.
///
/// A peer that says nothing is dropped after the application's connect timeout.
pub(super) async fn serve<A: Application>(
    engine: Engine<A>,
    mut io: Io,
    transport: TransportKind,
    handshake: Handshake,
    manners: Manners,
) {
    let patience = engine.application().connect_timeout();
    let opening = match tokio::time::timeout(patience, listen_to(&mut io)).await {
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
            say_farewell(&engine, &mut io, NOT_HTTP).await;
            return;
        }
    };
    let handshake = Arc::new(handshake);
    match engine.admit(&handshake).await {
        Ok(place) => engine.open_bare(place, handshake, transport, io, &opening, manners),
        Err(error) => {
            tracing::debug!(%error, "a peer on a bare stream was refused");
            say_farewell(&engine, &mut io, &refusal(opening.framing, &error)).await;
        }
    }
}

/// What tells a peer that it was refused. Natively that is a close packet with what HTTP would have
/// in the body of the answer; as a line it is the one that middlewares refuse events by.
fn refusal(framing: Framing, error: &RequestError) -> Vec<u8> {
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
    /// With its first packet or line.
    Session(BareOpening),
    /// With a request for a web server.
    Http,
}

/// How a session on a bare stream begins.
pub(crate) struct BareOpening {
    pub(crate) framing: Framing,
    /// The compression that the peer offers.
    pub(crate) compression: Option<Compression>,
    /// What came already, without the native opening.
    pub(crate) read: Vec<u8>,
}

/// Reads until it is clear what the peer speaks.
async fn listen_to(io: &mut Io) -> io::Result<Opening> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut buf = [0; MAX_OPENING];
    let mut len = 0;
    loop {
        let read = poll_fn(|cx| io.poll_read(cx, &mut buf[len..])).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        len += read;
        match dialect_of_first_byte(buf[0]) {
            Dialect::Lines => {
                return Ok(Opening::Session(BareOpening {
                    framing: Framing::Lines,
                    compression: None,
                    read: buf[..len].to_vec(),
                }));
            }
            Dialect::Http => return Ok(Opening::Http),
            Dialect::Unknown => return Err(invalid("neither a packet nor a line")),
            Dialect::Native => {}
        }
        match frame::decode(&buf[..len], MAX_OPENING) {
            Ok(Decoded::Frame { frame, used }) => match frame.packet() {
                Ok(Packet::Open(data)) => match OpenRequest::from_data(&data) {
                    Ok(OpenRequest::New { compression }) => {
                        return Ok(Opening::Session(BareOpening {
                            framing: Framing::Native,
                            compression,
                            read: buf[used..len].to_vec(),
                        }));
                    }
                    Ok(OpenRequest::Upgrade { .. }) => {
                        return Err(invalid("a bare stream is no transport to upgrade to"));
                    }
                    Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
                },
                _ => return Err(invalid("the first packet does not open a session")),
            },
            Ok(Decoded::NeedMore { .. }) if len < buf.len() => {}
            Ok(Decoded::NeedMore { .. }) => return Err(invalid("the first packet is too long")),
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }
}

/// Says something and hangs up, unless the peer does not take it.
async fn say_farewell<A: Application>(engine: &Engine<A>, io: &mut Io, text: &[u8]) {
    let patience = engine.config().bounds.linger;
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
