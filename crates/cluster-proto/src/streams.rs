//! Cluster messages as entries of Redis streams, and sessions beside them.
//!
//! Requests and answers are not in the stream but on [channels](crate::Channels) as for the sharded adapter, always as
//! [`MessagePack`](crate::cluster::encode_msgpack).

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

use crate::cluster::{Thirteen, has_data, kind_of, read_data, without_data, write_data};
use crate::packet::kept;
use crate::session::SessionMark;
use crate::sink::{JsonSink, MessagePackSink};
use crate::source::{JsonSource, MessagePackSource, Source};
use crate::value::WireForm;
use crate::{DecodeError, EncodeError, Envelope, Limits, Message, NodeId, Session};

/// The fields of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    uid: Cow<'a, [u8]>,
    nsp: Cow<'a, [u8]>,
    kind: Cow<'a, [u8]>,
    data: Option<Cow<'a, [u8]>>,
}

/// What bytes look like in an entry, which all nodes must agree about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BytesIn {
    /// What has bytes is `MessagePack` in base64.
    #[default]
    Base64,
    /// All is JSON, with bytes as Node's Buffer, which is `onlyPlaintext` in Node: its servers do not take it for bytes.
    Json,
}

impl<'a> Entry<'a> {
    /// Writes a message.
    ///
    /// # Errors
    ///
    /// When the event or answer cannot be encoded, or the dialect has no word for the message.
    pub fn encode(
        from: &'a NodeId,
        namespace: &'a str,
        message: &Message,
        bytes: BytesIn,
    ) -> Result<Self, EncodeError> {
        let kind = kind_of(message, Thirteen::Close)?;
        let mut data = Vec::new();
        if bytes == BytesIn::Base64 && message.has_bytes() {
            let mut packed = Vec::new();
            write_data(&mut MessagePackSink::new(&mut packed), message)?;
            data = BASE64.encode(packed).into_bytes();
        } else if has_data(message) {
            write_data(&mut JsonSink::new(&mut data), message)?;
        }
        Ok(Self {
            uid: from.as_str().as_bytes().into(),
            nsp: namespace.as_bytes().into(),
            kind: kind.to_string().into_bytes().into(),
            data: has_data(message).then_some(data.into()),
        })
    }

    /// The fields, in Node's order: their names and values.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        let all = [
            ("uid", Some(&self.uid)),
            ("nsp", Some(&self.nsp)),
            ("type", Some(&self.kind)),
            ("data", self.data.as_ref()),
        ];
        let there = all.into_iter();
        there.filter_map(|(name, value)| Some((name, &**value?)))
    }

    /// Takes the fields that there are.
    ///
    /// # Errors
    ///
    /// When one is missing. What has no namespace is not a message but something else in the stream.
    pub fn from_fields<N: AsRef<[u8]>, V: Into<Cow<'a, [u8]>>>(
        fields: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, DecodeError> {
        let (mut uid, mut nsp, mut kind, mut data) = (None, None, None, None);
        for (name, value) in fields {
            let field = match name.as_ref() {
                b"uid" => &mut uid,
                b"nsp" => &mut nsp,
                b"type" => &mut kind,
                b"data" => &mut data,
                _ => continue,
            };
            *field = Some(value.into());
        }
        Ok(Self {
            uid: uid.ok_or(DecodeError::Missing("a uid"))?,
            nsp: nsp.ok_or(DecodeError::Missing("a namespace"))?,
            kind: kind.ok_or(DecodeError::Missing("a type"))?,
            data,
        })
    }

    /// Who has sent it, if that is an id.
    #[must_use]
    pub fn sender(&self) -> Option<NodeId> {
        NodeId::received(text(&self.uid).ok()?).ok()
    }

    /// Which namespace it is about, if that is a text.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        text(&self.nsp).ok()
    }

    /// Reads the message.
    ///
    /// # Errors
    ///
    /// When it is none, or is beyond the limits.
    pub fn decode(self, bytes: BytesIn, limits: &Limits) -> Result<Envelope, DecodeError> {
        let kind = text(&self.kind)?.parse();
        let kind = kind.map_err(|_| DecodeError::Expected("a number as the type"))?;
        let form = match bytes {
            BytesIn::Base64 => WireForm::Json,
            BytesIn::Json => WireForm::JsonWithBuffers,
        };
        Ok(Envelope {
            from: Some(NodeId::received(text(&self.uid)?)?),
            namespace: Some(kept(text(&self.nsp)?.into())),
            message: match self.data {
                None => without_data(kind, Thirteen::Close)?,
                Some(data) => {
                    limits.check_len(&data)?;
                    match data.starts_with(b"{") {
                        true => {
                            let data = Bytes::from(data.into_owned());
                            read(kind, JsonSource::new(&data, form)?, limits)?
                        }
                        false => {
                            let data = from_base64(&data)?;
                            read(kind, MessagePackSource::new(&data), limits)?
                        }
                    }
                }
            },
        })
    }
}

/// Writes a session as the value of its key, which is `sio:session:` and the private id by default.
///
/// # Errors
///
/// When what the application has stored cannot be encoded.
pub fn encode_session(session: &Session) -> Result<String, EncodeError> {
    let mut packed = Vec::new();
    session.write(&mut MessagePackSink::new(&mut packed))?;
    Ok(BASE64.encode(packed))
}

/// Reads the value of such a key.
///
/// # Errors
///
/// When it is none, or is beyond the limits.
pub fn decode_session(value: &[u8], limits: &Limits) -> Result<Session, DecodeError> {
    limits.check_len(value)?;
    let packed = from_base64(value)?;
    let mut source = MessagePackSource::new(&packed);
    let mark = SessionMark::read(&mut source, limits)?;
    source.end()?;
    match mark {
        SessionMark::Kept(session) => Ok(session),
        SessionMark::Gone { .. } => Err(DecodeError::Missing("a socket's id")),
    }
}

/// The stream of a namespace, where there are `count` of them.
///
/// # Compatibility
///
/// Node's adapter 0.3 takes the remainder of a hash that may be negative. The entries of such a namespace then are in a stream
/// such as `socket.io--1`, which none of its servers reads. Ours write to the same one, and read [those](stream_names) as well.
#[must_use]
pub fn stream_name(name: &str, count: u16, namespace: &str) -> String {
    match count {
        0 | 1 => name.to_owned(),
        count => {
            let hash = namespace.encode_utf16().fold(0i32, |hash, unit| {
                hash.wrapping_mul(31).wrapping_add(unit.into())
            });
            format!("{name}-{}", hash % i32::from(count))
        }
    }
}

/// All streams that namespaces can have, those that Node's servers do not read included.
pub fn stream_names(name: &str, count: u16) -> impl Iterator<Item = String> {
    let max = i32::from(count.max(1)) - 1;
    (-max..=max).map(move |number| match max {
        0 => name.to_owned(),
        _ => format!("{name}-{number}"),
    })
}

/// Whether a text is the id of an entry, as clients say it who come back.
#[must_use]
pub fn is_offset(text: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('-')
        .is_some_and(|(millis, number)| is_number(millis) && is_number(number))
}

/// As Node writes it; it reads it without padding as well.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn read<'s, S: Source<'s>>(
    kind: u64,
    mut source: S,
    limits: &Limits,
) -> Result<Message, DecodeError> {
    let message = read_data(kind, Thirteen::Close, &mut source, limits)?;
    source.end()?;
    Ok(message)
}

fn from_base64(text: &[u8]) -> Result<Bytes, DecodeError> {
    let bytes = BASE64.decode(text).map_err(|_| DecodeError::Base64)?;
    Ok(bytes.into())
}

fn text(bytes: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(bytes).map_err(|_| DecodeError::Utf8)
}

#[cfg(test)]
mod tests;
