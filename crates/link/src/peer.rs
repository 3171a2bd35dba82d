use bytes::Bytes;
use sockeye_engine::{Dialect, Incoming, Message, Revision, SessionHandle};
use sockeye_socket_proto::parser::{self, Decoder, Parser, translate};
use sockeye_socket_proto::{ConnectionConfig, EncodeErrorKind};

use crate::session::socket_revision;

/// Somebody to send to: a session, and what writes its packets.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    /// The session.
    pub session: &'a SessionHandle,
    /// `None` for the standard format. Lines are lines in any case.
    pub parser: Option<&'a dyn Parser>,
}

impl<'a> Peer<'a> {
    /// Who writes the peer's packets, if it is not the standard way.
    pub(crate) fn parser(self) -> Option<&'a dyn Parser> {
        self.parser
            .filter(|_| self.session.dialect() == Dialect::Packets)
    }

    /// What reads the peer's messages, if it is not the standard way.
    #[must_use]
    pub fn decoder(self, limits: &ConnectionConfig) -> Option<Box<dyn Decoder>> {
        let Self { session, .. } = self;
        let revision = socket_revision(session.dialect(), session.revision());
        Some(self.parser()?.decoder(revision, limits))
    }
}

/// Writes with another parser what has been encoded in the standard format.
pub(crate) fn translated(
    parser: &dyn Parser,
    revision: Revision,
    text: &str,
    attachments: &[Bytes],
) -> Result<Vec<Message>, EncodeErrorKind> {
    let revision = socket_revision(Dialect::Packets, revision);
    let messages = translate(parser, text, attachments, revision)?;
    Ok(messages.into_iter().map(to_send).collect())
}

fn to_send(message: parser::Message<'_>) -> Message {
    match message {
        parser::Message::Text(text) => Message::text(&text),
        parser::Message::Binary(data) => Message::binary(data),
    }
}

/// A message as decoders take it.
#[must_use]
pub fn received(message: Incoming<'_>) -> parser::Message<'_> {
    match message {
        Incoming::Text(text) => parser::Message::Text(text.into()),
        binary => parser::Message::Binary(binary.into_bytes()),
    }
}
