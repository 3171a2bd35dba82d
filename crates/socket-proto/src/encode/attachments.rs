//! What becomes of bytes in a packet that is encoded, and how many there may be.

use std::ops::Deref;

use bytes::Bytes;

use super::error::{EncodeError, EncodeErrorKind};

/// How bytes leave, and how many of them one event or acknowledgement may have.
///
/// [`ConnectionConfig::bytes_out`](crate::ConnectionConfig::bytes_out) has the limits of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BytesOut {
    /// Whether bytes stay in the JSON; see [`inline`](Self::inline).
    pub inline: bool,
    /// Attachments of one packet; see [`ConnectionConfig::max_attachments`](crate::ConnectionConfig::max_attachments).
    pub max_attachments: usize,
    /// Bytes that stay in the JSON of one packet or line; see
    /// [`ConnectionConfig::max_inline_bytes`](crate::ConnectionConfig::max_inline_bytes).
    pub max_inline_bytes: usize,
}

impl BytesOut {
    pub(crate) const UNLIMITED: Self = Self {
        inline: false,
        max_attachments: usize::MAX,
        max_inline_bytes: usize::MAX,
    };

    /// Whether bytes stay in the JSON, in the form that Node gives to a Buffer: `{"type":"Buffer","data":[1,2]}`, rather
    /// than leave as attachments. On [lines](crate::lines) they do in any case. Default: false.
    #[must_use]
    pub const fn inline(mut self, inline: bool) -> Self {
        self.inline = inline;
        self
    }

    /// Whether one packet may have these bytes, for who does not encode it yet.
    ///
    /// # Errors
    ///
    /// The same as encoding it: there are too many attachments, or too many bytes for the JSON.
    pub fn check(self, parts: &[Bytes]) -> Result<(), EncodeError> {
        if self.inline {
            let mut left = self.max_inline_bytes;
            let mut inline = Inline::new(&mut left);
            parts.iter().try_for_each(|part| inline.take(part.len()))?;
        } else {
            self.check_attachments(parts.len())?;
        }
        Ok(())
    }

    const fn check_attachments(self, count: usize) -> Result<(), EncodeErrorKind> {
        match count > self.max_attachments {
            true => Err(self.too_many_attachments()),
            false => Ok(()),
        }
    }

    const fn too_many_attachments(self) -> EncodeErrorKind {
        EncodeErrorKind::TooManyAttachments {
            max: self.max_attachments,
        }
    }
}

/// The attachments of a packet that is encoded. What was in it is replaced by those of the next packet.
///
/// Each of them is to be sent as one binary message right behind the text.
#[derive(Debug, Default)]
pub struct Attachments {
    parts: Vec<Bytes>,
    out: BytesOut,
    /// How many bytes more may stay in the JSON.
    left: usize,
}

impl Attachments {
    /// None yet, under these limits.
    #[must_use]
    pub const fn new(out: BytesOut) -> Self {
        Self {
            parts: Vec::new(),
            out,
            left: 0,
        }
    }

    /// The same for the next packet under other limits.
    pub const fn set_limits(&mut self, out: BytesOut) {
        self.out = out;
    }

    /// Forgets them.
    #[inline]
    pub fn clear(&mut self) {
        // Nearly always there are none.
        if !self.parts.is_empty() {
            self.parts.clear();
        }
    }

    /// Takes them out, in their order.
    pub fn drain(&mut self) -> impl ExactSizeIterator<Item = Bytes> {
        self.parts.drain(..)
    }

    /// Whether bytes stay in the JSON, so that there are none here.
    pub(super) const fn are_inline(&self) -> bool {
        self.out.inline
    }

    /// Begins a new packet.
    pub(super) fn begin(&mut self) -> BytesTo<'_> {
        self.parts.clear();
        self.left = self.out.max_inline_bytes;
        match self.out.inline {
            true => BytesTo::Inline(Inline {
                left: &mut self.left,
                max: self.out.max_inline_bytes,
            }),
            false => BytesTo::Attachments(self),
        }
    }

    /// Adds one; says its number.
    pub(super) fn push(&mut self, part: Bytes) -> Result<usize, EncodeErrorKind> {
        let number = self.parts.len();
        self.out.check_attachments(number + 1)?;
        self.parts.push(part);
        Ok(number)
    }

    pub(crate) fn into_parts(self) -> Vec<Bytes> {
        self.parts
    }
}

impl Deref for Attachments {
    type Target = [Bytes];

    fn deref(&self) -> &[Bytes] {
        &self.parts
    }
}

/// Where bytes go.
#[derive(Debug)]
pub(crate) enum BytesTo<'a> {
    /// Aside, with a placeholder in their place.
    Attachments(&'a mut Attachments),
    /// Into the JSON, as Node's Buffer does it.
    Inline(Inline<'a>),
}

/// How much more may go into the JSON.
#[derive(Debug)]
pub(crate) struct Inline<'a> {
    left: &'a mut usize,
    max: usize,
}

impl BytesTo<'_> {
    pub(super) fn reborrow(&mut self) -> BytesTo<'_> {
        match self {
            Self::Attachments(attachments) => BytesTo::Attachments(attachments),
            Self::Inline(Inline { left, max }) => BytesTo::Inline(Inline { left, max: *max }),
        }
    }

    /// Why bytes were refused, which is the only thing that makes writing fail: a `Vec` takes everything.
    pub(super) const fn refusal(&self) -> EncodeErrorKind {
        match self {
            Self::Attachments(attachments) => attachments.out.too_many_attachments(),
            Self::Inline(inline) => inline.too_many(),
        }
    }
}

impl<'a> Inline<'a> {
    /// Room for what `left` says, of which `left` keeps account.
    pub(crate) const fn new(left: &'a mut usize) -> Self {
        let max = *left;
        Self { left, max }
    }

    /// Takes room for so many bytes.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), EncodeErrorKind> {
        let left = self.left.checked_sub(bytes);
        *self.left = left.ok_or_else(|| self.too_many())?;
        Ok(())
    }

    const fn too_many(&self) -> EncodeErrorKind {
        EncodeErrorKind::TooManyInlineBytes { max: self.max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Args;
    use crate::encode::encode_event;

    #[test]
    fn bytes_are_checked_as_encoding_does() {
        for (max, sizes) in [
            (0, &[][..]),
            (0, &[0]),
            (0, &[1]),
            (2, &[1, 1]),
            (2, &[3]),
            (2, &[1, 1, 1]),
        ] {
            let parts: Vec<_> = sizes.iter().map(|len| Bytes::from(vec![0; *len])).collect();
            let args = Args::new(&parts).unwrap();
            for inline in [false, true] {
                let out = BytesOut {
                    inline,
                    max_attachments: max,
                    max_inline_bytes: max,
                };
                let (mut buf, mut attachments) = (Vec::new(), Attachments::new(out));
                let encoded = encode_event(&mut buf, 32, "/", None, "e", &args, &mut attachments);
                let checked = out.check(&parts).map_err(|error| error.of_event("e"));
                let [checked, encoded] = [checked, encoded.map(drop)]
                    .map(|result| result.map_err(|error| error.to_string()));
                assert_eq!(checked, encoded, "{max}: {sizes:?}, {inline}");
            }
        }
    }
}
