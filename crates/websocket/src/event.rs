use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

use crate::close::CloseFrame;
use crate::utf8::Utf8Bytes;

/// One thing that the peer said.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'b> {
    /// A whole text message.
    Text(Text<'b>),
    /// A whole binary message.
    Binary(Payload<'b>),
    /// A ping: answer with a pong of the same payload, unless a close frame has been sent (§5.5.2).
    Ping(&'b [u8]),
    /// A pong: the answer to a ping, or unasked for (§5.5.3).
    Pong(&'b [u8]),
    /// The peer closes, with a status code or without. Nothing after it may be decoded.
    Close(Option<CloseFrame<'b>>),
}

/// The text of a message, known to be UTF-8; it dereferences to `str`.
#[derive(Clone, Debug)]
pub enum Text<'b> {
    /// It lies in the caller's buffer: the message came in one frame.
    Borrowed(&'b str),
    /// It has a buffer of its own, which nothing else shares: the message was put together from
    /// fragments, or its frame was given to [`Decoder::decode_owned`](crate::Decoder::decode_owned).
    Owned(Utf8Bytes),
}

impl Text<'_> {
    /// The text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Owned(text) => text,
        }
    }

    /// The text in shared bytes; copies if it is borrowed.
    pub fn into_utf8_bytes(self) -> Utf8Bytes {
        match self {
            Self::Borrowed(text) => Utf8Bytes::from(text.to_owned()),
            Self::Owned(text) => text,
        }
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

/// Equal text is equal, wherever it lies.
impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text<'_> {}

/// The bytes of a binary message; it dereferences to `[u8]`.
#[derive(Clone, Debug)]
pub enum Payload<'b> {
    /// They lie in the caller's buffer: the message came in one frame.
    Borrowed(&'b [u8]),
    /// They have a buffer of their own, which nothing else shares: the message was put together from
    /// fragments, or its frame was given to [`Decoder::decode_owned`](crate::Decoder::decode_owned).
    Owned(Bytes),
}

impl Payload<'_> {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }

    /// The bytes, shared; copies if they are borrowed.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            Self::Owned(bytes) => bytes,
        }
    }
}

impl Deref for Payload<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

/// Equal bytes are equal, wherever they lie.
impl PartialEq for Payload<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Payload<'_> {}
