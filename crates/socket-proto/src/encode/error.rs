//! Why something could not be encoded.

use std::fmt;

use crate::parser::ParserError;

/// Why a packet could not be encoded, and which. The blame is the caller's, except for received arguments that
/// were to be passed on and turned out to be broken.
#[derive(Debug)]
pub struct EncodeError {
    subject: Subject,
    kind: EncodeErrorKind,
}

/// What is wrong. Arguments count from 1.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeErrorKind {
    /// The name must not travel; see [`RESERVED_EVENTS`](crate::RESERVED_EVENTS) and, for lines,
    /// [`RESERVED_LINE_EVENTS`](crate::lines::RESERVED_LINE_EVENTS).
    #[error("the name is reserved")]
    ReservedEvent,
    /// serde or serde_json cannot encode an argument.
    #[error("argument {argument}: {error}")]
    Argument {
        /// Which one.
        argument: usize,
        /// What serde_json says.
        error: serde_json::Error,
    },
    /// serde or serde_json cannot encode the payload of a packet that has no arguments.
    #[error("{error}")]
    Payload {
        /// What serde_json says.
        error: serde_json::Error,
    },
    /// The payload of a CONNECT packet must be an object.
    #[error("it is not an object")]
    NotAnObject,
    /// A received argument that was to be passed on is not JSON.
    #[error("received argument {argument} is not JSON: {error}")]
    BrokenArgument {
        /// Which one, among those passed on.
        argument: usize,
        /// What serde_json says.
        error: serde_json::Error,
    },
    /// Received arguments that were to be passed on refer to an attachment that they do not have.
    #[error("received arguments refer to a missing attachment, there are {attachments}")]
    MissingAttachment {
        /// How many they have.
        attachments: usize,
    },
    /// Received arguments that were to be passed on refer to one attachment twice, and would grow each time.
    #[error("received arguments refer to attachment {num} twice")]
    SharedAttachment {
        /// Which one, counted from 0.
        num: usize,
    },
    /// What has attachments is nested too deeply for their places to be found.
    #[error("arguments with attachments are nested too deeply")]
    TooDeep,
    /// There are more bytes values than a packet may have attachments; see
    /// [`ConnectionConfig::max_attachments`](crate::ConnectionConfig::max_attachments).
    #[error("more than {max} attachments")]
    TooManyAttachments {
        /// The limit in force.
        max: usize,
    },
    /// Bytes have to stay in the JSON, and there are more of them than may; see
    /// [`ConnectionConfig::max_inline_bytes`](crate::ConnectionConfig::max_inline_bytes).
    #[error("more than {max} bytes inside of the text")]
    TooManyInlineBytes {
        /// The limit in force.
        max: usize,
    },
    /// The [parser](crate::parser) that is used cannot write it.
    #[error("{0}")]
    Parser(ParserError),
}

#[derive(Debug)]
enum Subject {
    Args,
    Ack,
    Auth,
    Event(Box<str>),
}

impl EncodeError {
    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> &EncodeErrorKind {
        &self.kind
    }

    /// The name of the event, if it was one.
    #[must_use]
    pub fn event(&self) -> Option<&str> {
        match &self.subject {
            Subject::Event(name) => Some(name),
            Subject::Args | Subject::Ack | Subject::Auth => None,
        }
    }

    /// The same error, said of the event `name`.
    #[must_use]
    pub fn of_event(self, name: &str) -> Self {
        Self {
            subject: Subject::Event(name.into()),
            ..self
        }
    }

    pub(crate) fn of_ack(self) -> Self {
        Self {
            subject: Subject::Ack,
            ..self
        }
    }

    pub(crate) fn of_auth(self) -> Self {
        Self {
            subject: Subject::Auth,
            ..self
        }
    }
}

impl From<EncodeErrorKind> for EncodeError {
    fn from(kind: EncodeErrorKind) -> Self {
        Self {
            subject: Subject::Args,
            kind,
        }
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subject {
            Subject::Args => f.write_str("cannot encode the arguments")?,
            Subject::Ack => f.write_str("cannot encode the acknowledgement")?,
            Subject::Auth => f.write_str("cannot encode the auth payload")?,
            Subject::Event(name) => write!(f, "cannot encode event {name:?}")?,
        }
        write!(f, ": {}", self.kind)
    }
}

impl std::error::Error for EncodeError {}
