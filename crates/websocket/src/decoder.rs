use std::borrow::Cow;

use bytes::Bytes;

use crate::close::CloseFrame;
use crate::deflate::{Deflate, InflateError, Inflater};
use crate::error::ProtocolError;
use crate::event::{Event, Payload, Text};
use crate::header::{MAX_HEADER, Prefix, RSV1};
use crate::mask::apply_mask;
use crate::opcode::OpCode;
use crate::utf8::{self, InvalidUtf8, Utf8Buffer, Utf8Bytes};

/// Which end of the connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// We accepted the connection: frames come in masked and go out plain.
    Server,
    /// We opened the connection: frames come in plain and go out masked.
    Client,
}

/// How much a peer may make us keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most payload bytes in one frame; 16 MiB by default. 0 allows empty frames only.
    pub max_frame: usize,
    /// Most bytes in one message, all its fragments together; 64 MiB by default. 0 allows empty messages
    /// only. A message in one frame has to keep to both limits. A compressed one has to keep to them as it comes, and
    /// to this one again when it is decompressed.
    pub max_message: usize,
    /// Most fragments of one message, empty ones included; 16,384 by default. 0 and 1 allow no message in
    /// fragments.
    pub max_fragments: u32,
}

impl Limits {
    /// Sets the most payload bytes in one frame.
    #[must_use]
    pub const fn max_frame(mut self, bytes: usize) -> Self {
        self.max_frame = bytes;
        self
    }

    /// Sets the most bytes in one message.
    #[must_use]
    pub const fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// Sets the most fragments of one message.
    #[must_use]
    pub const fn max_fragments(mut self, fragments: u32) -> Self {
        self.max_fragments = fragments;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_frame: 16 << 20,
            max_message: 64 << 20,
            max_fragments: 16_384,
        }
    }
}

/// The answer of [`Decoder::decode`].
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded<'b> {
    /// Something for the caller.
    Event {
        /// What the peer said.
        event: Event<'b>,
        /// The first `used` bytes of the buffer are done with.
        used: usize,
    },
    /// A whole compressed message, which the caller has to decompress. Only if the handshake has agreed on it.
    Deflated {
        /// The message.
        message: Deflated<'b>,
        /// The first `used` bytes of the buffer are done with.
        used: usize,
    },
    /// A fragment was put aside, as its message has not ended: drop `used` bytes and call again.
    Skip {
        /// The first `used` bytes of the buffer are done with.
        used: usize,
    },
    /// The buffer ends inside a frame: keep these bytes and call again with more behind them.
    NeedMore {
        /// How many bytes, counted from the start of the buffer, the decoder wants to see: up to the end
        /// of the header as far as it is known, then up to the end of the frame. It is within the limits,
        /// so a buffer may be sized by it. Always more than the buffer holds.
        total: usize,
    },
}

/// Turns the bytes of one connection into [`Event`]s.
///
/// It is small, and owns heap memory only while a fragmented message is under way. See the
/// [crate docs](crate) for the loop around it.
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    /// Messages may be compressed.
    deflate: bool,
    // The limits one by one, as they leave no room between them.
    max_fragments: u32,
    max_frame: usize,
    max_message: usize,
    /// The message that is under way in fragments; boxed, as nearly all come in one frame.
    partial: Option<Box<Partial>>,
}

/// What has come of a message in fragments.
#[derive(Debug)]
struct Partial {
    content: Content,
    fragments: u32,
}

#[derive(Debug)]
enum Content {
    Text(Utf8Buffer),
    Binary(Vec<u8>),
    /// A compressed message of this kind, as it came.
    Deflated(OpCode, Vec<u8>),
}

/// One whole frame at the front of a buffer, its header found to be in order.
#[derive(Clone, Copy, Debug)]
struct Complete {
    fin: bool,
    deflated: bool,
    op: OpCode,
    mask: Option<[u8; 4]>,
    header_len: usize,
    total: usize,
}

enum Parsed {
    Complete(Complete),
    NeedMore { total: usize },
}

impl Decoder {
    /// A decoder for a connection of which we are the `role` end.
    pub fn new(role: Role, limits: Limits) -> Self {
        Self {
            role,
            deflate: false,
            max_fragments: limits.max_fragments,
            // A header and a payload within the limit must not overflow when added.
            max_frame: limits.max_frame.min(isize::MAX as usize - MAX_HEADER),
            max_message: limits.max_message,
            partial: None,
        }
    }

    /// Takes compressed messages too, if the handshake has agreed on that.
    #[must_use]
    pub const fn deflate(mut self, agreed: Option<Deflate>) -> Self {
        self.deflate = agreed.is_some();
        self
    }

    /// Parses at most one frame from the front of `buf`, unmasking its payload in place.
    ///
    /// Nothing is changed, neither `buf` nor the decoder, when the answer is [`Decoded::NeedMore`].
    /// Limits and rules that the header shows broken are enforced before the payload has come.
    ///
    /// # Errors
    ///
    /// The first rule of RFC 6455 that the peer broke. The decoder must not be used after that.
    pub fn decode<'b>(&mut self, buf: &'b mut [u8]) -> Result<Decoded<'b>, ProtocolError> {
        let frame = match self.parse(buf)? {
            Parsed::Complete(frame) => frame,
            Parsed::NeedMore { total } => return Ok(Decoded::NeedMore { total }),
        };
        let used = frame.total;
        let payload = &mut buf[frame.header_len..used];
        if let Some(key) = frame.mask {
            apply_mask(payload, key, 0);
        }
        let payload = &*payload;

        let event = match frame.op {
            op if frame.deflated => {
                if frame.fin {
                    let message = Deflated {
                        op,
                        data: Cow::Borrowed(payload),
                        max: self.max_message,
                    };
                    return Ok(Decoded::Deflated { message, used });
                }
                let content = Content::Deflated(op, payload.to_vec());
                self.partial = Some(Partial::begin(content));
                return Ok(Decoded::Skip { used });
            }
            OpCode::Text if frame.fin => {
                Event::Text(Text::Borrowed(utf8::check(payload).map_err(not_text)?))
            }
            OpCode::Binary if frame.fin => Event::Binary(Payload::Borrowed(payload)),
            OpCode::Ping => Event::Ping(payload),
            OpCode::Pong => Event::Pong(payload),
            OpCode::Close => Event::Close(CloseFrame::parse(payload)?),
            OpCode::Text => {
                self.partial = Some(Partial::text(payload.to_vec())?);
                return Ok(Decoded::Skip { used });
            }
            OpCode::Binary => {
                self.partial = Some(Partial::binary(payload.to_vec()));
                return Ok(Decoded::Skip { used });
            }
            OpCode::Continuation => {
                let partial = self.partial.as_mut();
                partial
                    .ok_or(ProtocolError::UnexpectedContinuation)?
                    .push(payload)?;
                if !frame.fin {
                    return Ok(Decoded::Skip { used });
                }
                return self.finish_message(used);
            }
        };
        Ok(Decoded::Event { event, used })
    }

    /// Like [`decode`](Self::decode), but hands out the payload of a large frame without a copy.
    ///
    /// If `buf` holds exactly one frame, and that is a text or binary message or the beginning of one, then
    /// the buffer is taken, leaving an empty `Vec`: a whole message keeps it inside [`Text::Owned`] or
    /// [`Payload::Owned`], a first fragment inside the decoder. `used` is 0 then, as nothing is left to be
    /// dropped. In every other case this does what `decode` does.
    ///
    /// Meant for frames that do not fit the read buffer: make a `Vec` with the capacity that
    /// [`Decoded::NeedMore`] named, move what has come of the frame there, and read the rest behind it.
    ///
    /// # Errors
    ///
    /// As for [`decode`](Self::decode).
    pub fn decode_owned<'b>(&mut self, buf: &'b mut Vec<u8>) -> Result<Decoded<'b>, ProtocolError> {
        let Parsed::Complete(frame) = self.parse(buf)? else {
            return self.decode(buf);
        };
        let starts_message = matches!(frame.op, OpCode::Text | OpCode::Binary);
        // What is compressed has its memory to itself when it is not any more.
        if !starts_message || frame.deflated || frame.total != buf.len() {
            return self.decode(buf);
        }
        let mut taken = std::mem::take(buf);
        if let Some(key) = frame.mask {
            apply_mask(&mut taken[frame.header_len..], key, 0);
        }
        if !frame.fin {
            taken.drain(..frame.header_len);
            self.partial = Some(match frame.op {
                OpCode::Text => Partial::text(taken)?,
                _ => Partial::binary(taken),
            });
            return Ok(Decoded::Skip { used: 0 });
        }
        let payload = Bytes::from(taken).split_off(frame.header_len);
        let event = match frame.op {
            OpCode::Text => {
                Event::Text(Text::Owned(Utf8Bytes::try_from(payload).map_err(not_text)?))
            }
            _ => Event::Binary(Payload::Owned(payload)),
        };
        Ok(Decoded::Event { event, used: 0 })
    }

    /// Which end of the connection we are.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Whether a fragmented message is under way, which is when the decoder owns heap memory.
    pub const fn is_in_message(&self) -> bool {
        self.partial.is_some()
    }

    /// How many fragments have come of the message that is under way, and their bytes; 0 and 0 if none is.
    pub fn partial_len(&self) -> (u32, usize) {
        self.partial
            .as_ref()
            .map_or((0, 0), |partial| (partial.fragments, partial.len()))
    }

    /// Reads and checks the header at the front of `buf`; changes nothing.
    #[inline]
    fn parse(&self, buf: &[u8]) -> Result<Parsed, ProtocolError> {
        let [first, second, ..] = *buf else {
            return Ok(Parsed::NeedMore { total: 2 });
        };
        let prefix = Prefix::parse(first, second)?;
        self.check_context(prefix)?;

        let header_len = prefix.header_len();
        let Some(header) = buf.get(..header_len) else {
            return Ok(Parsed::NeedMore { total: header_len });
        };
        let payload_len = self.check_size(prefix, prefix.payload_len(header)?)?;
        let total = header_len + payload_len;
        if buf.len() < total {
            return Ok(Parsed::NeedMore { total });
        }
        let mask = prefix.masked.then(|| {
            *header
                .last_chunk()
                .expect("a masked header is at least as long as the key that ends it")
        });
        Ok(Parsed::Complete(Complete {
            fin: prefix.fin,
            deflated: prefix.rsv == RSV1,
            op: prefix.op,
            mask,
            header_len,
            total,
        }))
    }

    /// The rules that depend on who we are, what was agreed on, and what came before.
    #[inline]
    fn check_context(&self, prefix: Prefix) -> Result<(), ProtocolError> {
        let Prefix {
            rsv, op, masked, ..
        } = prefix;
        // The first frame of a message speaks for all of them (RFC 7692 §6.1).
        let allowed = match op {
            OpCode::Text | OpCode::Binary if self.deflate => RSV1,
            _ => 0,
        };
        let unknown = rsv & !allowed;
        if unknown != 0 {
            return Err(ProtocolError::ReservedBits(unknown, op));
        }
        if masked != (self.role == Role::Server) {
            return Err(match self.role {
                Role::Server => ProtocolError::Unmasked(op),
                Role::Client => ProtocolError::Masked(op),
            });
        }
        match op {
            OpCode::Continuation if !self.is_in_message() => {
                Err(ProtocolError::UnexpectedContinuation)
            }
            OpCode::Text | OpCode::Binary if self.is_in_message() => {
                Err(ProtocolError::ExpectedContinuation(op))
            }
            _ if op.is_control() => Ok(()),
            _ => self.check_fragments(prefix.fin),
        }
    }

    /// Checks the number of fragments, with the one that has come, against the limit. An empty one costs the peer next
    /// to nothing, and brings the message no nearer to its end.
    #[inline]
    fn check_fragments(&self, fin: bool) -> Result<(), ProtocolError> {
        let before = self.partial.as_ref().map_or(0, |partial| partial.fragments);
        // A message in one frame is in no fragments; one that goes on will have one more at least.
        let fragments = match (before, fin) {
            (0, true) => return Ok(()),
            (before, true) => before + 1,
            (before, false) => before.saturating_add(2),
        };
        match fragments > self.max_fragments {
            true => Err(ProtocolError::TooManyFragments {
                limit: self.max_fragments,
            }),
            false => Ok(()),
        }
    }

    /// Checks a payload length against the limits.
    #[inline]
    fn check_size(&self, prefix: Prefix, len: u64) -> Result<usize, ProtocolError> {
        let Self {
            max_frame,
            max_message,
            ..
        } = *self;
        let payload_len = match usize::try_from(len) {
            // Control frames are short anyway, and have to pass under the smallest limit.
            Ok(fits) if fits <= max_frame || prefix.op.is_control() => fits,
            _ => {
                return Err(ProtocolError::FrameTooBig {
                    len,
                    limit: max_frame,
                });
            }
        };
        if !prefix.op.is_control() {
            let len = self.partial_len().1 as u64 + len;
            if len > max_message as u64 {
                return Err(ProtocolError::MessageTooBig {
                    len,
                    limit: max_message,
                });
            }
        }
        Ok(payload_len)
    }

    fn finish_message(&mut self, used: usize) -> Result<Decoded<'static>, ProtocolError> {
        let partial = self.partial.take();
        let partial = partial.ok_or(ProtocolError::UnexpectedContinuation)?;
        let event = match partial.content {
            Content::Text(text) => Event::Text(Text::Owned(text.finish().map_err(not_text)?)),
            Content::Binary(bytes) => Event::Binary(Payload::Owned(Bytes::from(bytes))),
            Content::Deflated(op, data) => {
                let message = Deflated {
                    op,
                    data: Cow::Owned(data),
                    max: self.max_message,
                };
                return Ok(Decoded::Deflated { message, used });
            }
        };
        Ok(Decoded::Event { event, used })
    }
}

/// A message as it came, compressed.
#[derive(Debug, PartialEq, Eq)]
pub struct Deflated<'b> {
    op: OpCode,
    data: Cow<'b, [u8]>,
    max: usize,
}

impl Deflated<'_> {
    /// Decompresses the message: an [`Event::Text`] or an [`Event::Binary`], which owns its content.
    ///
    /// The inflater has the [context](Deflate::peer_context) that the handshake has agreed on. If that is
    /// [`Context::Kept`](crate::Context::Kept), it is the connection's own, and must see all messages in order.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::MessageTooBig`] as soon as more comes out than [`Limits::max_message`],
    /// [`ProtocolError::Inflate`], or [`ProtocolError::InvalidUtf8`]. The connection cannot go on then.
    pub fn inflate(self, inflater: &mut Inflater) -> Result<Event<'static>, ProtocolError> {
        let content = inflater.inflate(&self.data, self.max);
        let content = Bytes::from(content.map_err(|error| match error {
            InflateError::Corrupt => ProtocolError::Inflate,
            InflateError::TooBig { limit } => ProtocolError::MessageTooBig {
                len: limit as u64 + 1,
                limit,
            },
        })?);
        Ok(match self.op {
            OpCode::Text => {
                Event::Text(Text::Owned(Utf8Bytes::try_from(content).map_err(not_text)?))
            }
            _ => Event::Binary(Payload::Owned(content)),
        })
    }
}

impl Partial {
    fn text(first: Vec<u8>) -> Result<Box<Self>, ProtocolError> {
        let text = Utf8Buffer::with_first(first).map_err(not_text)?;
        Ok(Self::begin(Content::Text(text)))
    }

    fn binary(first: Vec<u8>) -> Box<Self> {
        Self::begin(Content::Binary(first))
    }

    fn begin(content: Content) -> Box<Self> {
        Box::new(Self {
            content,
            fragments: 1,
        })
    }

    fn len(&self) -> usize {
        match &self.content {
            Content::Text(text) => text.len(),
            Content::Binary(bytes) | Content::Deflated(_, bytes) => bytes.len(),
        }
    }

    fn push(&mut self, piece: &[u8]) -> Result<(), ProtocolError> {
        self.fragments += 1;
        match &mut self.content {
            Content::Text(text) => text.push(piece).map_err(not_text)?,
            Content::Binary(bytes) | Content::Deflated(_, bytes) => {
                bytes.extend_from_slice(piece);
            }
        }
        Ok(())
    }
}

fn not_text(error: InvalidUtf8) -> ProtocolError {
    ProtocolError::InvalidUtf8 {
        op: OpCode::Text,
        error,
    }
}

// One of these is kept for every idle connection.
const _: () = assert!(size_of::<Decoder>() <= 32);
