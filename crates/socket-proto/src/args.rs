//! The arguments of one event or acknowledgement, as raw JSON and attachments.

pub(crate) mod buffer;
mod de;
mod error;
mod from_args;
mod incoming;
mod lenient;
mod owned;
pub(crate) mod placeholder;
mod reading;

use std::fmt;

use bytes::Bytes;
use serde::de::Deserialize;

use crate::decode_error::DecodeError;
use crate::scan::{ScanError, Values, count_values, skip_space};

pub use error::ArgsError;
pub use from_args::FromArgs;
pub use incoming::IncomingArgs;
pub use lenient::from_json;
pub use owned::Args;

/// Arguments of one event or acknowledgement, borrowed: comma separated JSON values and the attachments that their
/// placeholders refer to, if they have any.
///
/// Their outline has been checked (brackets, strings, commas), so counting and splitting cannot fail; each value is
/// read, and thereby validated, by [`deserialize`](Self::deserialize).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RawArgs<'a> {
    list: &'a str,
    len: usize,
    bytes: BytesForm<'a>,
}

/// What stands for bytes in the JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BytesForm<'a> {
    /// A placeholder with the number of one of these.
    Attachments(&'a [Bytes]),
    /// Node's Buffer as JSON: an object that lists them.
    Buffers,
}

impl<'a> RawArgs<'a> {
    /// No arguments.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            list: "",
            len: 0,
            bytes: BytesForm::Attachments(&[]),
        }
    }

    /// The items of a JSON array, as in `[1,"two"]`.
    ///
    /// # Errors
    ///
    /// When the text is not an array, or its brackets, strings or commas do not add up.
    pub fn from_array(array: &'a str) -> Result<Self, DecodeError> {
        let (base, list) = open_array(array)?;
        Self::from_list(list).map_err(|error| DecodeError::json(base, error))
    }

    #[inline]
    pub(crate) fn from_list(list: &'a str) -> Result<Self, ScanError> {
        Ok(Self {
            list,
            len: count_values(list)?,
            bytes: BytesForm::Attachments(&[]),
        })
    }

    /// A list of so many arguments, which this side has written.
    pub(crate) const fn encoded(list: &'a str, len: usize) -> Self {
        Self {
            list,
            len,
            bytes: BytesForm::Attachments(&[]),
        }
    }

    /// The same arguments with the attachments that belong to them.
    #[must_use]
    pub fn with_attachments(self, attachments: &'a [Bytes]) -> Self {
        Self {
            bytes: BytesForm::Attachments(attachments),
            ..self
        }
    }

    /// The same arguments, in which bytes have the form that Node gives to a Buffer: `{"type":"Buffer","data":[1,2]}`.
    ///
    /// Such objects are bytes then to the types that ask for bytes, and they become attachments when the arguments are
    /// emitted to a peer that has attachments. Attachments that had been given are forgotten.
    #[must_use]
    pub fn with_buffers(self) -> Self {
        Self {
            bytes: BytesForm::Buffers,
            ..self
        }
    }

    /// Whether bytes have the form of [`with_buffers`](Self::with_buffers).
    #[must_use]
    pub fn has_buffers(&self) -> bool {
        self.bytes == BytesForm::Buffers
    }

    pub(crate) fn bytes_form(&self) -> BytesForm<'a> {
        self.bytes
    }

    /// How many arguments there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The comma separated JSON values, without the brackets of the array around them.
    #[must_use]
    pub fn as_json(&self) -> &'a str {
        self.list
    }

    /// The attachments of the packet; placeholder number `n` stands for the one at index `n`.
    #[must_use]
    pub fn attachments(&self) -> &'a [Bytes] {
        match self.bytes {
            BytesForm::Attachments(attachments) => attachments,
            BytesForm::Buffers => &[],
        }
    }

    /// The JSON of each argument.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + Clone + fmt::Debug + use<'a> {
        Values::new(self.list)
    }

    /// The JSON of the argument at `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&'a str> {
        self.iter().nth(index)
    }

    /// Only the argument at `index`, with the attachments it may refer to.
    #[must_use]
    pub fn arg(&self, index: usize) -> Option<Self> {
        Some(Self {
            list: self.get(index)?,
            len: 1,
            ..*self
        })
    }

    /// Reads the arguments into `T`.
    ///
    /// A tuple takes one argument for each of its elements (and so does an array `[T; N]`, which serde cannot tell
    /// apart); anything else takes the first argument. A missing argument is `None` for an `Option`; `()` needs
    /// none. Arguments beyond those asked for are ignored.
    ///
    /// Wherever `T` asks serde for bytes (`bytes::Bytes`, the types of `serde_bytes`), a placeholder yields the
    /// attachment it stands for, and so does the JSON of a Buffer where bytes have [that form](Self::with_buffers).
    /// `Vec<u8>` asks for a list of numbers instead. Types that buffer what they read
    /// before they know what they want (untagged enums, flattened fields, `serde_json::Value`) see the placeholder
    /// object itself.
    ///
    /// JavaScript cuts texts between the halves of an emoji, and sends what no Rust string can hold: such a half is read
    /// as U+FFFD. A number such as `1.0`, `1e3` or `-0` is a whole number where one is asked for, as long as it is one that
    /// JavaScript holds exactly. What is beyond the range of `f64`, such as `1e400`, is an error of its argument.
    ///
    /// # Errors
    ///
    /// When an argument is missing, has another shape than `T` wants, refers to an attachment that does not exist,
    /// or is not JSON; only the last is the fault of the protocol ([`ArgsError::is_syntax`]).
    pub fn deserialize<T: Deserialize<'a>>(&self) -> Result<T, ArgsError> {
        match T::deserialize(de::ArgsDeserializer::strict(*self)) {
            Err(error @ (ArgsError::Shape { .. } | ArgsError::Refused(_))) => {
                self.deserialize_leniently(error)
            }
            result => result,
        }
    }

    /// Tries again, more like JavaScript.
    #[cold]
    fn deserialize_leniently<T: Deserialize<'a>>(&self, strict: ArgsError) -> Result<T, ArgsError> {
        // Of several attempts the second one fails for what nothing can be done about.
        let mut lenient = None;
        for &numbers in lenient::attempts(self.list) {
            match T::deserialize(de::ArgsDeserializer::lenient(*self, numbers)) {
                Ok(value) => return Ok(value),
                Err(error) => lenient = lenient.or(Some(error)),
            }
        }
        Err(lenient.unwrap_or(strict))
    }
}

impl fmt::Debug for RawArgs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_args(f, "RawArgs", self.list, self.attachments())
    }
}

/// The text between the brackets of an array, and its offset.
#[inline]
pub(crate) fn open_array(payload: &str) -> Result<(usize, &str), DecodeError> {
    let start = skip_space(payload.as_bytes(), 0);
    let inner = payload[start..]
        .trim_end_matches([' ', '\n', '\r', '\t'])
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .ok_or(DecodeError::NotAnArray)?;
    Ok((start + 1, inner))
}

fn fmt_args(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    list: &str,
    attachments: &[Bytes],
) -> fmt::Result {
    write!(f, "{name}([{}]", &list[skip_space(list.as_bytes(), 0)..])?;
    if !attachments.is_empty() {
        write!(f, ", {attachments:?}")?;
    }
    f.write_str(")")
}
