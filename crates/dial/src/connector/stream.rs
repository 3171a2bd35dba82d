//! Opening sessions on bare streams.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::time::Duration;

use sockeye_engine_proto::{
    Compression, FirstByte, OpenPacket, OpenRequest, Packet, Revision, Role, Session,
    TransportKind, WireKind, frame,
};

use super::config::ConnectorConfig;
use super::{Begun, ConnectRequest, ConnectUrl, Connector, OpenError, now};
use sockeye_engine::Dialect;
use sockeye_engine::Io;
use sockeye_engine::{Agreed, Early, NothingEarly, Wire};

/// How long a peer has to answer the opening before it is taken for one that speaks in lines.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long before its deadline a session is given up, so that it can be said what was waited for.
const NOTICE: Duration = Duration::from_millis(10);

impl Connector {
    pub(super) async fn open_stream(
        &self,
        request: &ConnectRequest,
        transport: TransportKind,
    ) -> Result<Begun, OpenError> {
        let (dialer, config) = (&self.shared.dialer, &self.shared.config);
        let url = &request.url;
        let io = dialer.stream(url).await?;
        match config.dialect {
            Some(Dialect::Packets) => match request.deadline {
                Some(deadline) => {
                    let deadline = deadline.checked_sub(NOTICE).unwrap_or(deadline);
                    tokio::time::timeout_at(deadline.into(), native(io, transport, config))
                        .await
                        .unwrap_or(Err(OpenError::Silent))
                }
                None => native(io, transport, config).await,
            },
            Some(Dialect::Lines) => Ok(lines(io, transport, &[], config)),
            None => self.find_dialect(io, url, transport).await,
        }
    }

    /// Tries packets, and speaks in lines to a peer that does not understand them.
    ///
    /// Nothing that peers say in lines tells that they do, as most wait for a first line. So it is
    /// taken for granted where packets are met with lines or with silence. Who refuses has
    /// understood, and what is spoken by nobody is an error.
    async fn find_dialect(
        &self,
        io: Io,
        url: &ConnectUrl,
        transport: TransportKind,
    ) -> Result<Begun, OpenError> {
        let (dialer, config) = (&self.shared.dialer, &self.shared.config);
        let native = native(io, transport, config);
        let error = match tokio::time::timeout(PATIENCE, native).await {
            Ok(Ok(begun)) => return Ok(begun),
            Ok(Err(error)) => error,
            Err(_) => return Ok(lines(dialer.stream(url).await?, transport, &[], config)),
        };
        match error {
            OpenError::Handshake { ref source } if source.is::<SpeaksInLines>() => {
                Ok(lines(dialer.stream(url).await?, transport, &[], config))
            }
            // A plain peer may hang up on what is no line. But whoever does so on a stream where
            // nothing was said yet, or says there what is no line, speaks no lines either.
            OpenError::Closed { .. } => {
                let mut io = dialer.stream(url).await?;
                match tokio::time::timeout(GRACE, read_some(&mut io)).await {
                    Ok(Ok(read)) if FirstByte::of(read[0]) == FirstByte::Lines => {
                        Ok(lines(io, transport, &read, config))
                    }
                    Ok(_) => Err(error),
                    Err(_) => Ok(lines(io, transport, &[], config)),
                }
            }
            _ => Err(error),
        }
    }
}

/// How long a peer that has hung up once is given to do so again.
const GRACE: Duration = Duration::from_millis(250);

/// A peer has answered packets with a line.
#[derive(Debug, thiserror::Error)]
#[error("the peer speaks in lines")]
struct SpeaksInLines;

/// What a peer has answered that is no server of ours.
#[derive(Debug, thiserror::Error)]
enum Stranger {
    #[error("the peer speaks neither packets nor lines of JSON, but begins with \"{}\"", .0.escape_debug())]
    Says(String),
    #[error("the peer sends back what is sent to it")]
    Echoes,
}

/// A session with a peer that speaks in lines: there is nothing to shake hands about. `read` is
/// what it has said already.
fn lines(io: Io, transport: TransportKind, read: &[u8], config: &ConnectorConfig) -> Begun {
    let wire = Wire::lines(io, read, &config.limits);
    Begun {
        state: Session::plain(Role::Client, transport, now()),
        sid: String::new(),
        dialect: Dialect::Lines,
        base64: false,
        carrier: wire.into(),
        agreed: Agreed::Nothing,
    }
}

/// Shakes hands with a peer that speaks in packets.
async fn native(
    mut io: Io,
    transport: TransportKind,
    config: &ConnectorConfig,
) -> Result<Begun, OpenError> {
    let offer = config.stream_compression.map(|_| Compression::Deflate);
    let opening = opening(offer);
    let read = exchange(&mut io, &opening)
        .await
        .map_err(|error| OpenError::Closed {
            detail: error.to_string(),
        })?;
    if read.starts_with(&opening) {
        return Err(OpenError::handshake(Stranger::Echoes));
    }
    match begins(&read) {
        Beginning::Packet => {}
        Beginning::Line => return Err(OpenError::handshake(SpeaksInLines)),
        Beginning::Neither => {
            let said = String::from_utf8_lossy(&read);
            let line = said.lines().next().unwrap_or_default();
            let said = line.chars().take(MAX_QUOTED).collect();
            return Err(OpenError::handshake(Stranger::Says(said)));
        }
    }
    let mut wire = Wire::native(io, &read, &config.limits);
    let open = read_open(&mut wire).await?;
    // What was not offered is not taken, whatever the server says.
    let agreed = match (config.stream_compression, open.compression) {
        (Some(from), Some(Compression::Deflate)) => {
            wire.expect_compressed();
            Agreed::Native(from)
        }
        _ => Agreed::Nothing,
    };
    Ok(Begun {
        state: Session::client(Revision::V4, transport, &open, now()),
        sid: open.sid,
        dialect: Dialect::Packets,
        base64: false,
        carrier: wire.into(),
        agreed,
    })
}

/// The open packet, which offers compression or has no data.
fn opening(offer: Option<Compression>) -> Vec<u8> {
    let request = OpenRequest::New { compression: offer };
    let packet = format!("0{}", request.to_data());
    let mut opening = Vec::new();
    frame::encode_frame(&mut opening, WireKind::Text, packet.as_bytes());
    opening
}

/// What the first bytes of an answer are the beginning of.
enum Beginning {
    Packet,
    Line,
    Neither,
}

/// Judges an answer of two bytes or more, or of an empty frame.
///
/// The first packet opens the session or refuses to, and is short. So the byte behind the header of
/// its frame tells it from everything else, although the header may be any letter. Where that is
/// a brace, what follows in a line is a quote or white space.
fn begins(answer: &[u8]) -> Beginning {
    match answer {
        // Longer frames and binary ones are for the handshake to refuse; the latter begin as a
        // byte-order mark does, which lines may have in front.
        [0xef, 0xbb, ..] => Beginning::Line,
        [0 | 126..=255, ..] | [_, b'0' | b'1', ..] => Beginning::Packet,
        [b'{' | b' ' | b'\t' | b'\r' | b'\n', ..] => Beginning::Line,
        _ => Beginning::Neither,
    }
}

/// Characters that are repeated of what a stranger says.
const MAX_QUOTED: usize = 60;

/// Writes the opening and reads the beginning of the answer: two bytes at least, if the first is not
/// all of an empty frame.
async fn exchange(io: &mut Io, opening: &[u8]) -> io::Result<Vec<u8>> {
    let mut rest = opening;
    while !rest.is_empty() {
        match poll_fn(|cx| io.poll_write(cx, &[IoSlice::new(rest)])).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => rest = &rest[written..],
        }
    }
    poll_fn(|cx| io.poll_flush(cx)).await?;
    let mut answer = [0; 512];
    let mut len = 0;
    while len == 0 || (len == 1 && answer[0] & 0x7f != 0) {
        match poll_fn(|cx| io.poll_read(cx, &mut answer[len..])).await? {
            0 => return Err(io::Error::other("the stream ended")),
            read => len += read,
        }
    }
    Ok(answer[..len].to_vec())
}

/// Reads whatever comes first.
async fn read_some(io: &mut Io) -> io::Result<Vec<u8>> {
    let mut buf = [0; 512];
    match poll_fn(|cx| io.poll_read(cx, &mut buf)).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        read => Ok(buf[..read].to_vec()),
    }
}

/// Reads the open packet, which is the first on every stream.
pub(super) async fn read_open(wire: &mut Wire) -> Result<OpenPacket, OpenError> {
    let Early::Text(text) = read_first(wire).await? else {
        return Err(OpenError::handshake("the first packet is binary"));
    };
    if let Some(data) = text.strip_prefix('1') {
        return Err(OpenError::close(data));
    }
    // The text of an open packet is the same in both revisions.
    match Packet::decode_text(Revision::V4, &text) {
        Ok(packet) => to_open(&packet),
        Err(error) => Err(OpenError::handshake(error)),
    }
}

pub(super) fn to_open(packet: &Packet<'_>) -> Result<OpenPacket, OpenError> {
    match packet {
        Packet::Open(json) => OpenPacket::from_json(json).map_err(OpenError::handshake),
        _ => Err(OpenError::handshake("the first packet is no open packet")),
    }
}

pub(super) async fn read_first(wire: &mut Wire) -> Result<Early, OpenError> {
    wire.read_first().await.map_err(|nothing| match nothing {
        NothingEarly::Ended(detail) => OpenError::Closed { detail },
        NothingEarly::Violation(source) => OpenError::Handshake { source },
    })
}
