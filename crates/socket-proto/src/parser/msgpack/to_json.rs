//! Values as JSON, as JavaScript would write them.

use bytes::Bytes;
use serde::Serialize;

use super::date::write_date;
use super::head::{ExtensionForm, Head, Reader};
use crate::args::{buffer, placeholder};
use crate::parser::ParserError;

/// The number of the extensions that notepack.io has made up: what is undefined, a date, an ArrayBuffer.
pub(super) const NOTEPACK: i8 = 0;

/// The number of the only extension that the format itself has.
const TIMESTAMP: i8 = -1;

/// What is undefined.
const UNDEFINED: &[u8] = &[0xd4, 0];

/// Values inside each other. What nests deeper would not be read by serde_json either, and is not followed.
const MAX_DEPTH: usize = 128;

/// What becomes of bytes.
#[derive(Debug, Clone, Copy)]
pub(super) enum BytesAs {
    /// A placeholder, and an attachment: so many at most.
    Attachments { max: usize },
    /// Node's Buffer as JSON, as the standard format has it in what can have no attachments.
    Buffers,
}

/// JSON, and what its placeholders stand for.
#[derive(Debug, Default)]
pub(super) struct Transcoded {
    pub(super) json: String,
    pub(super) attachments: Vec<Bytes>,
}

/// Writes the value that a reader of `message` stands in front of.
///
/// The JSON is some six times as long as the value at most: what a byte can be at its longest is `false` and a comma, or a
/// control character in a text.
pub(super) fn transcode(
    message: &Bytes,
    input: Reader<'_>,
    form: BytesAs,
) -> Result<Transcoded, ParserError> {
    let mut transcoder = Transcoder::new(message, input, form);
    transcoder.value(0)?;
    Ok(transcoder.finish())
}

/// Writes so many values with commas between them, which must be all that the reader has: what is in an array.
pub(super) fn transcode_items(
    message: &Bytes,
    input: Reader<'_>,
    items: usize,
    max_attachments: usize,
) -> Result<Transcoded, ParserError> {
    let form = BytesAs::Attachments {
        max: max_attachments,
    };
    let mut transcoder = Transcoder::new(message, input, form);
    transcoder.items(items, 0)?;
    match transcoder.input.rest() {
        [] => Ok(transcoder.finish()),
        _ => Err(ParserError::new("more behind the value")),
    }
}

struct Transcoder<'m> {
    message: &'m Bytes,
    input: Reader<'m>,
    form: BytesAs,
    out: Vec<u8>,
    attachments: Vec<Bytes>,
    /// Where the JSON says `true` under the key that makes a placeholder of an object.
    forged: Vec<usize>,
}

impl<'m> Transcoder<'m> {
    fn new(message: &'m Bytes, input: Reader<'m>, form: BytesAs) -> Self {
        Self {
            message,
            form,
            // Most values take a little more room as text. Large ones may be bytes, which take none.
            out: Vec::with_capacity((input.rest().len() * 5 / 4).min(4096)),
            input,
            attachments: Vec::new(),
            forged: Vec::new(),
        }
    }

    fn value(&mut self, depth: usize) -> Result<(), ParserError> {
        match self.input.head()? {
            Head::Nil => self.raw("null"),
            Head::Bool(true) => self.raw("true"),
            Head::Bool(false) => self.raw("false"),
            Head::Unsigned(number) => self.json(&number)?,
            Head::Signed(number) => self.json(&number)?,
            Head::Float(number) => self.json(&number)?,
            Head::Text(len) => self.text(len)?,
            Head::Bytes(len) => {
                let bytes = self.input.take(len)?;
                self.bytes(bytes)?;
            }
            // Some of the last kind become an array.
            Head::Array(_) | Head::Map(_) | Head::Extension { .. } if depth == MAX_DEPTH => {
                return Err(ParserError::new(format_args!(
                    "more than {MAX_DEPTH} values inside each other"
                )));
            }
            Head::Extension { kind, len, form } => {
                let data = self.input.take(len)?;
                match kind {
                    NOTEPACK => self.notepack(form, data)?,
                    _ => self.extension(kind, data)?,
                }
            }
            Head::Array(items) => {
                self.out.push(b'[');
                self.items(items, depth + 1)?;
                self.out.push(b']');
            }
            Head::Map(pairs) => self.map(pairs, depth)?,
        }
        Ok(())
    }

    fn items(&mut self, items: usize, depth: usize) -> Result<(), ParserError> {
        for item in 0..items {
            if item > 0 {
                self.out.push(b',');
            }
            self.value(depth)?;
        }
        Ok(())
    }

    fn map(&mut self, pairs: usize, depth: usize) -> Result<(), ParserError> {
        self.out.push(b'{');
        let start = self.out.len();
        for _ in 0..pairs {
            let before = self.out.len();
            if before > start {
                self.out.push(b',');
            }
            let key = self.out.len();
            self.key()?;
            if self.input.rest().starts_with(UNDEFINED) {
                // In JSON, what is undefined is left out.
                self.input.skip()?;
                self.out.truncate(before);
                continue;
            }
            let is_mark = &self.out[key..] == br#""_placeholder""#;
            self.out.push(b':');
            if is_mark && self.input.clone().head() == Ok(Head::Bool(true)) {
                self.forged.push(self.out.len());
            }
            self.value(depth + 1)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    /// What JavaScript takes any key for: its text.
    fn key(&mut self) -> Result<(), ParserError> {
        match self.input.head()? {
            Head::Text(len) | Head::Bytes(len) => self.text(len),
            Head::Nil => self.json("null"),
            Head::Bool(value) => self.json(&value.to_string()),
            Head::Unsigned(number) => self.json(&number.to_string()),
            Head::Signed(number) => self.json(&number.to_string()),
            // It has no point if it is whole.
            Head::Float(number) => self.json(&number.to_string()),
            Head::Extension { .. } | Head::Array(_) | Head::Map(_) => {
                Err(ParserError::new("a key that has no text"))
            }
        }
    }

    /// Node reads what is no UTF-8 with U+FFFD in its place.
    fn text(&mut self, len: usize) -> Result<(), ParserError> {
        let bytes = self.input.take(len)?;
        if is_plain_ascii(bytes) {
            self.out.push(b'"');
            self.out.extend_from_slice(bytes);
            self.out.push(b'"');
            return Ok(());
        }
        self.json(&String::from_utf8_lossy(bytes))
    }

    fn extension(&mut self, kind: i8, data: &'m [u8]) -> Result<(), ParserError> {
        let word = |at: usize| data[at..at + 4].try_into().map_or(0, u32::from_be_bytes);
        let long = |at: usize| data[at..at + 8].try_into().map_or(0, i64::from_be_bytes);
        match (kind, data.len()) {
            (TIMESTAMP, 4) => write_date(&mut self.out, word(0).into(), 0),
            (TIMESTAMP, 8) => {
                let seconds = i64::from(word(0) & 3) << 32 | i64::from(word(4));
                write_date(&mut self.out, seconds, word(0) >> 2);
            }
            (TIMESTAMP, 12) => write_date(&mut self.out, long(4), word(0)),
            // To notepack.io, which parsers in JavaScript use, all others are a list.
            _ => {
                self.out.push(b'[');
                self.raw(kind.to_string());
                self.out.push(b',');
                self.bytes(data)?;
                self.out.push(b']');
            }
        }
        Ok(())
    }

    /// Those of notepack.io, which other extensions of this kind are to everybody else.
    fn notepack(&mut self, form: ExtensionForm, data: &'m [u8]) -> Result<(), ParserError> {
        match (form, data.try_into().map(i64::from_be_bytes)) {
            (ExtensionForm::Long, _) => self.bytes(data)?,
            (ExtensionForm::Fixed, Ok(millis)) => {
                let nanos = millis.rem_euclid(1000) * 1_000_000;
                let nanos = u32::try_from(nanos).unwrap_or_default();
                write_date(&mut self.out, millis.div_euclid(1000), nanos);
            }
            // What is undefined, in an array.
            (ExtensionForm::Fixed, Err(_)) if data.len() == 1 => self.raw("null"),
            (ExtensionForm::Fixed, Err(_)) => self.extension(NOTEPACK, data)?,
        }
        Ok(())
    }

    fn bytes(&mut self, data: &'m [u8]) -> Result<(), ParserError> {
        match self.form {
            BytesAs::Attachments { max } if self.attachments.len() >= max => {
                return Err(ParserError::new(format_args!(
                    "more than {max} attachments"
                )));
            }
            BytesAs::Attachments { .. } => {
                self.raw(r#"{"_placeholder":true,"num":"#);
                self.raw(self.attachments.len().to_string());
                self.out.push(b'}');
                self.attachments.push(self.attachment(data));
            }
            BytesAs::Buffers => {
                buffer::write(&mut self.out, data).map_err(ParserError::new)?;
            }
        }
        Ok(())
    }

    /// A part of the message. Whoever keeps a small one is not to keep all of it.
    fn attachment(&self, data: &'m [u8]) -> Bytes {
        match data.len() >= self.message.len() / 2 {
            true => self.message.slice_ref(data),
            false => Bytes::copy_from_slice(data),
        }
    }

    fn raw(&mut self, json: impl AsRef<str>) {
        self.out.extend_from_slice(json.as_ref().as_bytes());
    }

    fn json<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ParserError> {
        serde_json::to_writer(&mut self.out, value).map_err(ParserError::new)
    }

    fn finish(mut self) -> Transcoded {
        if !self.attachments.is_empty() {
            // These are objects that the peer means as they are, but nobody could tell them from the placeholders beside
            // them. It is what becomes of them on their way out, too.
            if !self.forged.is_empty() {
                let json = std::mem::take(&mut self.out);
                placeholder::unmark(&json, &self.forged, &mut self.out);
            }
        }
        Transcoded {
            json: String::from_utf8(self.out).expect("JSON is written as UTF-8"),
            attachments: self.attachments,
        }
    }
}

/// Whether a text is the same in JSON, between quotes. Most are.
fn is_plain_ascii(text: &[u8]) -> bool {
    // A fold that looks at every byte becomes vector instructions; a search that may stop does not.
    text.iter().fold(true, |plain, &byte| {
        plain & (0x20..0x80).contains(&byte) & (byte != b'"') & (byte != b'\\')
    })
}
