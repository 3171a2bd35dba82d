//! What becomes of bytes in a packet that is encoded, and how many there may be.

use std::ops::Deref;

use bytes::Bytes;

use super::error::EncodeErrorKind;

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
        let max = self.out.max_attachments;
        if self.parts.len() >= max {
            return Err(EncodeErrorKind::TooManyAttachments { max });
        }
        self.parts.push(part);
        Ok(self.parts.len() - 1)
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
            Self::Attachments(attachments) => EncodeErrorKind::TooManyAttachments {
                max: attachments.out.max_attachments,
            },
            Self::Inline(Inline { max, .. }) => EncodeErrorKind::TooManyInlineBytes { max: *max },
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
        *self.left = self
            .left
            .checked_sub(bytes)
            .ok_or(EncodeErrorKind::TooManyInlineBytes { max: self.max })?;
        Ok(())
    }
}
