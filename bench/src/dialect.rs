//! What the load speaks with a server.

use std::ops::Range;

use crate::{Result, frame, prefixed};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Socket.IO over WebSocket.
    WebSocket,
    /// The same, with messages that the server compresses.
    Deflate,
    /// Engine.IO packets in length-prefixed frames: Socket.IO as Sockeye's bare streams have it.
    Native,
    /// The frames of `Native`, for a server that sends each back as it is.
    Mirror,
    /// An object in JSON on each line.
    Lines,
}

/// A message in a buffer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Where it is.
    pub(crate) message: Range<usize>,
    /// How long it is with all that frames it.
    pub(crate) used: usize,
    pub(crate) compressed: bool,
}

impl Piece {
    fn plain(message: Range<usize>, used: usize) -> Self {
        Self {
            message,
            used,
            compressed: false,
        }
    }
}

impl Dialect {
    /// The message at the front of a buffer; `None` if it is not all there.
    pub(crate) fn parse(self, buf: &[u8]) -> Result<Option<Piece>> {
        match self {
            Self::WebSocket | Self::Deflate => match frame::parse(buf) {
                None => Ok(None),
                Some(frame) if frame.opcode == frame::TEXT => Ok(Some(Piece {
                    used: frame.payload.end,
                    message: frame.payload,
                    compressed: frame.compressed,
                })),
                Some(frame) if frame.opcode == 8 => Err("the server closed a WebSocket".into()),
                Some(frame) => Err(format!("unexpected opcode {}", frame.opcode).into()),
            },
            Self::Native | Self::Mirror => {
                Ok(prefixed::parse(buf).map(|payload| Piece::plain(payload.clone(), payload.end)))
            }
            Self::Lines => Ok(buf.iter().position(|&byte| byte == b'\n').map(|end| {
                let line = buf[..end].strip_suffix(b"\r").unwrap_or(&buf[..end]);
                Piece::plain(0..line.len(), end + 1)
            })),
        }
    }

    /// A message as it is sent.
    pub(crate) fn pack(self, message: &str) -> Vec<u8> {
        match self {
            Self::WebSocket | Self::Deflate => frame::masked_text(message),
            Self::Native | Self::Mirror => {
                let mut frame = Vec::new();
                prefixed::push_text(&mut frame, message.as_bytes());
                frame
            }
            Self::Lines => format!("{message}\n").into_bytes(),
        }
    }

    /// Whether this message wants a pong at once.
    pub(crate) fn is_ping(self, message: &[u8]) -> bool {
        matches!(self, Self::WebSocket | Self::Deflate | Self::Native) && message == b"2"
    }

    /// What a client says to join `/`, and how the answers begin. Where nobody has to be asked, one message goes
    /// to and fro, so that the connection is known to be served.
    pub(crate) fn join(self) -> &'static [(Option<&'static str>, &'static str)] {
        match self {
            // The server opens by itself: the upgrade asked for it.
            Self::WebSocket | Self::Deflate => &[(None, "0{"), (Some("40"), "40{")],
            Self::Native => &[(Some("0"), "0{"), (Some("40"), "40{")],
            Self::Mirror => &[(Some("40"), "40")],
            Self::Lines => &[(
                Some(r#"{"eventName":"echo","args":["hello"],"id":0}"#),
                r#"{"ack":0,"args":["hello"]}"#,
            )],
        }
    }
}

/// Events `echo` with ids of two digits, so that all are of one length, and their acknowledgements.
pub(crate) struct Echoes {
    /// As they are sent.
    pub(crate) events: Vec<Vec<u8>>,
    /// What is before and behind the id in an acknowledgement.
    before: String,
    behind: String,
}

impl Echoes {
    /// As many events as shall be in flight on a connection, all with this argument.
    pub(crate) fn new(dialect: Dialect, count: usize, argument: &str) -> Self {
        let event = |id: usize| match dialect {
            Dialect::WebSocket | Dialect::Deflate | Dialect::Native | Dialect::Mirror => {
                format!(r#"42{id}["echo","{argument}"]"#)
            }
            Dialect::Lines => {
                format!(r#"{{"eventName":"echo","args":["{argument}"],"id":{id}}}"#)
            }
        };
        let (before, behind) = match dialect {
            Dialect::WebSocket | Dialect::Deflate | Dialect::Native => {
                ("43", format!(r#"["{argument}"]"#))
            }
            Dialect::Mirror => ("42", format!(r#"["echo","{argument}"]"#)),
            Dialect::Lines => (r#"{"ack":"#, format!(r#","args":["{argument}"]}}"#)),
        };
        Self {
            events: (FIRST_ID..FIRST_ID + count)
                .map(|id| dialect.pack(&event(id)))
                .collect(),
            before: before.to_owned(),
            behind,
        }
    }

    /// The event that this is the acknowledgement of; its id is free again.
    pub(crate) fn acknowledged(&self, message: &[u8]) -> Result<&[u8]> {
        let event = self
            .id(message)
            .and_then(|id| self.events.get(id.checked_sub(FIRST_ID)?));
        match event {
            Some(event) => Ok(event),
            None => Err(format!("no echo: {}", String::from_utf8_lossy(message)).into()),
        }
    }

    fn id(&self, message: &[u8]) -> Option<usize> {
        let message = message.strip_prefix(self.before.as_bytes())?;
        let &[tens, ones] = message.strip_suffix(self.behind.as_bytes())? else {
            return None;
        };
        Some(usize::from(tens.wrapping_sub(b'0')) * 10 + usize::from(ones.wrapping_sub(b'0')))
    }
}

const FIRST_ID: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_takes_its_own_acknowledgement_and_no_other() {
        for (dialect, ack) in [
            (Dialect::WebSocket, r#"4311["x"]"#),
            (Dialect::Native, r#"4311["x"]"#),
            (Dialect::Mirror, r#"4211["echo","x"]"#),
            (Dialect::Lines, r#"{"ack":11,"args":["x"]}"#),
        ] {
            let echoes = Echoes::new(dialect, 2, "x");
            let event = echoes.acknowledged(ack.as_bytes()).unwrap();
            assert_eq!(event, echoes.events[1]);
            for wrong in [
                ack.replace("11", "12"),
                ack.replace('x', "y"),
                ack[1..].to_owned(),
            ] {
                assert!(echoes.acknowledged(wrong.as_bytes()).is_err(), "{wrong}");
            }
        }
    }

    #[test]
    fn lines_end_with_or_without_carriage_return() {
        for end in ["\n", "\r\n"] {
            let input = format!("{{}}{end}{{");
            let piece = Dialect::Lines.parse(input.as_bytes()).unwrap().unwrap();
            let used = 2 + end.len();
            assert_eq!(piece, Piece::plain(0..2, used));
            assert!(
                Dialect::Lines
                    .parse(&input.as_bytes()[used..])
                    .unwrap()
                    .is_none()
            );
        }
    }
}
