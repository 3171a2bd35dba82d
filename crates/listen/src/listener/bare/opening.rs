//! How peers on bare streams begin: what their first bytes mean, or that there are none.

use std::future::poll_fn;
use std::io;

use sockeye_engine::{Dialect, Io};
use sockeye_engine_proto::frame::{self, Decoded};
use sockeye_engine_proto::{Compression, FirstByte, OpenRequest, Packet};

use crate::listener::Manners;

/// How a peer begins.
pub(super) enum Opening {
    /// With its first packet or line, or by saying nothing.
    Session(BareOpening),
    /// With a request for a web server.
    Http,
    /// With a line where lines are not taken.
    Unwanted,
}

/// How a session on a bare stream begins.
pub(super) struct BareOpening {
    pub(super) dialect: Dialect,
    /// The compression that the peer offers.
    pub(super) compression: Option<Compression>,
    /// What came already, without the native opening.
    pub(super) read: Vec<u8>,
    /// The peer is taken for a plain one without having said anything.
    pub(super) unheard: bool,
}

impl BareOpening {
    /// The first line, or a part of it.
    const fn lines(read: Vec<u8>) -> Self {
        Self {
            dialect: Dialect::Lines,
            compression: None,
            read,
            unheard: false,
        }
    }

    /// Of a peer that is taken for a plain one.
    const fn silent() -> Self {
        let mut opening = Self::lines(Vec::new());
        opening.unheard = true;
        opening
    }
}

/// A native peer opens with a frame of a few bytes.
const MAX_OPENING: usize = 1024;

/// Reads until it is clear what the peer speaks, or is to be thought to. `said` is what came already.
pub(super) async fn listen_to(
    io: &mut Io,
    manners: Manners,
    mut said: Vec<u8>,
) -> io::Result<Opening> {
    let Manners {
        dialect,
        plain_after,
        ..
    } = manners;
    if said.is_empty() {
        let silence = match dialect {
            Some(Dialect::Lines) => return Ok(Opening::Session(BareOpening::silent())),
            None => plain_after,
            Some(Dialect::Packets) => None,
        };
        match silence {
            Some(silence) => match tokio::time::timeout(silence, read_more(io, &mut said)).await {
                Ok(read) => read?,
                Err(_) => return Ok(Opening::Session(BareOpening::silent())),
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
fn understand(said: &[u8], dialect: Option<Dialect>) -> io::Result<Option<Opening>> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    match FirstByte::of(said[0]) {
        FirstByte::Lines if dialect == Some(Dialect::Packets) => {
            return Ok(Some(Opening::Unwanted));
        }
        FirstByte::Lines => {
            let opening = BareOpening::lines(said.to_vec());
            return Ok(Some(Opening::Session(opening)));
        }
        FirstByte::Http => return Ok(Some(Opening::Http)),
        FirstByte::Unknown => return Err(invalid("neither a packet nor a line")),
        FirstByte::Native => {}
    }
    match frame::decode(said, MAX_OPENING) {
        Ok(Decoded::Frame { frame, used }) => match frame.packet() {
            Ok(Packet::Open(data)) => match OpenRequest::from_data(&data) {
                Ok(OpenRequest::New { compression }) => Ok(Some(Opening::Session(BareOpening {
                    dialect: Dialect::Packets,
                    compression,
                    read: said[used..].to_vec(),
                    unheard: false,
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
