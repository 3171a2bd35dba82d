//! What can be emitted, and the serializer that tells one argument from several.

use std::cell::Cell;
use std::fmt::Display;
use std::io;

use bytes::Bytes;
use memchr::memchr;
use serde::de::IgnoredAny;
use serde::ser::{Serialize, Serializer};
use serde_json::ser::{Compound, Formatter};

use super::attachments::{Attachments, BytesTo, Inline};
use super::error::{EncodeError, EncodeErrorKind};
use super::pass_on::{MARK, disarm, pass_on, write_placeholder};
use crate::RawArgs;
use crate::args::buffer;
use crate::scan::is_plain_string;

/// What can be emitted as the arguments of an event or acknowledgement.
///
/// Everything that is `Serialize` can:
///
/// * a tuple is one argument for each of its elements, and so is an array `[T; N]`, because serde cannot tell them
///   apart; references and boxes make no difference;
/// * `()` is no argument;
/// * everything else is one argument: `Vec` and slices, strings, maps, structs (tuple structs as well), enums, and
///   `Option`, so that `Some((a, b))` is one argument and `None` is `null`. A tuple inside another tuple is one
///   argument; to send a single tuple or array as one argument, put it into `(value,)`.
///
/// Bytes, wherever serde meets them (`bytes::Bytes`, the types of `serde_bytes`), become binary attachments. A
/// `Vec<u8>` is a list of numbers to serde and stays one. Values follow serde_json: a map needs string-like keys,
/// floats that are not finite become `null`.
///
/// A peer of the [lines dialect](crate::lines) has no attachments; there bytes stay in the JSON.
///
/// What looks like the placeholder of an attachment, `{"_placeholder":true,"num":0}`, but does not stand for bytes, would
/// be taken for one by the receiver if there are attachments beside it: JavaScript peers put the wrong bytes in its place,
/// or give up the connection. In that case `true` leaves as `false`.
///
/// [`Args`](crate::Args) and [`RawArgs`] are written as they were received. A type of your own that is not
/// `Serialize` can compose arguments from several sources with an [`ArgsWriter`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be emitted",
    note = "arguments must implement `serde::Serialize`; a tuple is several arguments"
)]
pub trait ToArgs {
    /// Writes the arguments.
    ///
    /// # Errors
    ///
    /// When a value cannot be encoded.
    fn write_args(&self, out: &mut ArgsWriter<'_>) -> Result<(), EncodeError>;
}

impl<T: Serialize + ?Sized> ToArgs for T {
    #[inline]
    fn write_args(&self, out: &mut ArgsWriter<'_>) -> Result<(), EncodeError> {
        out.serialize(|json, top| self.serialize(Spread { json, top }))
    }
}

/// Takes the arguments of one packet, one after the other.
#[derive(Debug)]
pub struct ArgsWriter<'a> {
    buf: &'a mut Vec<u8>,
    /// Where the arguments begin in the buffer.
    start: usize,
    bytes: BytesTo<'a>,
    len: usize,
    comma: bool,
}

impl<'a> ArgsWriter<'a> {
    pub(crate) fn new(buf: &'a mut Vec<u8>, attachments: &'a mut Attachments) -> Self {
        Self {
            start: buf.len(),
            buf,
            bytes: attachments.begin(),
            len: 0,
            comma: false,
        }
    }

    /// A writer for a peer that has no attachments: bytes stay in the JSON, as many as `left` says.
    #[must_use]
    pub const fn with_buffers(buf: &'a mut Vec<u8>, left: &'a mut usize) -> Self {
        Self {
            start: buf.len(),
            buf,
            bytes: BytesTo::Inline(Inline::new(left)),
            len: 0,
            comma: false,
        }
    }

    pub(crate) fn after_name(buf: &'a mut Vec<u8>, attachments: &'a mut Attachments) -> Self {
        Self {
            comma: true,
            ..Self::new(buf, attachments)
        }
    }

    /// All arguments have been written: says how many, once nothing but our own placeholders can be taken for some.
    #[inline]
    pub(crate) fn finish(self) -> Result<usize, EncodeError> {
        if let BytesTo::Attachments(attachments) = self.bytes
            && !attachments.is_empty()
        {
            disarm(self.buf, self.start, attachments.len())?;
            let mut rest = &mut self.buf[self.start..];
            while let Some(mark) = memchr(MARK, rest) {
                rest[mark] = b't';
                rest = &mut rest[mark + 1..];
            }
        }
        Ok(self.len)
    }

    /// How many arguments have been written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none has been written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Writes one argument, whatever its type: here a tuple is an array and `()` is `null`.
    ///
    /// # Errors
    ///
    /// When the value cannot be encoded.
    pub fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.serialize(|json, _| value.serialize(json))
    }

    /// Writes received arguments as they are, after checking that they are JSON. The attachments that they refer to
    /// are added, and their placeholders are renumbered. Only bytes change their form, if the peer that these
    /// arguments go to has another one than the peer that they came from.
    ///
    /// # Errors
    ///
    /// When an argument is not JSON, refers to an attachment that does not exist or to the same one as another, or there
    /// are too many.
    pub fn extend(&mut self, args: RawArgs<'_>) -> Result<(), EncodeError> {
        match args.len() {
            // A list of one is that one, so that there is nothing to split.
            1 => validate(1, args.as_json())?,
            _ => {
                for (argument, value) in (1..).zip(args.iter()) {
                    validate(argument, value)?;
                }
            }
        }
        self.extend_trusted(args)
    }

    /// [`extend`](Self::extend) for arguments that we have encoded ourselves.
    #[inline]
    pub(crate) fn extend_trusted(&mut self, args: RawArgs<'_>) -> Result<(), EncodeError> {
        if args.is_empty() {
            return Ok(());
        }
        if self.comma {
            self.buf.push(b',');
        }
        self.comma = true;
        self.len += args.len();
        pass_on(args, self.buf, &mut self.bytes)
    }

    #[inline]
    fn serialize(
        &mut self,
        write: impl FnOnce(&mut Json<'_>, &Top) -> Result<(), serde_json::Error>,
    ) -> Result<(), EncodeError> {
        let before = self.buf.len();
        if self.comma {
            self.buf.push(b',');
        }
        let mark = self.buf.len();
        let top = Top::default();
        let formatter = ArgsFormatter {
            bytes: self.bytes.reborrow(),
            top: &top,
            depth: 0,
        };
        let mut json = serde_json::Serializer::with_formatter(&mut *self.buf, formatter);
        let result = write(&mut json, &top);
        let count = top.count.get();
        // A Vec takes everything, so that it is bytes that were refused.
        result.map_err(|error| match error.is_io() {
            true => self.bytes.refusal(),
            false => EncodeErrorKind::Argument {
                argument: self.len + count.max(1),
                error,
            },
        })?;
        if self.buf.len() == mark {
            // It was no argument at all, so nothing is to be separated.
            self.buf.truncate(before);
        } else {
            self.comma = true;
            self.len += count.max(1);
        }
        Ok(())
    }
}

/// Whether a received argument is JSON: its outline is known to be right, but no more.
fn validate(argument: usize, value: &str) -> Result<(), EncodeError> {
    if is_plain_string(value) {
        return Ok(());
    }
    match serde_json::from_str::<IgnoredAny>(value) {
        Ok(_) => Ok(()),
        Err(error) => Err(EncodeErrorKind::BrokenArgument { argument, error }.into()),
    }
}

type Json<'a> = serde_json::Serializer<&'a mut Vec<u8>, ArgsFormatter<'a>>;

/// What the top-level serializer tells the formatter, and back. serde_json gives no access to its formatter while
/// it writes, hence the cells.
#[derive(Default)]
struct Top {
    /// The outermost array is a tuple of arguments: its brackets are not written.
    spread: Cell<bool>,
    /// How many elements of that tuple have begun.
    count: Cell<usize>,
}

/// A compact formatter that takes bytes out as attachments and leaves placeholders in their place, or writes them as
/// Buffers.
struct ArgsFormatter<'a> {
    bytes: BytesTo<'a>,
    top: &'a Top,
    /// Arrays that are open.
    depth: usize,
}

impl ArgsFormatter<'_> {
    fn is_spread(&self) -> bool {
        self.depth == 1 && self.top.spread.get()
    }
}

impl Formatter for ArgsFormatter<'_> {
    fn write_byte_array<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        value: &[u8],
    ) -> io::Result<()> {
        match &mut self.bytes {
            BytesTo::Attachments(attachments) => {
                let num = attachments
                    .push(Bytes::copy_from_slice(value))
                    .map_err(|_| io::ErrorKind::FileTooLarge)?;
                write_placeholder(writer, num)
            }
            BytesTo::Inline(inline) => {
                inline
                    .take(value.len())
                    .map_err(|_| io::ErrorKind::FileTooLarge)?;
                buffer::write(writer, value)
            }
        }
    }

    #[inline]
    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        if self.is_spread() {
            return Ok(());
        }
        writer.write_all(b"[")
    }

    #[inline]
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if self.is_spread() {
            self.top.count.set(self.top.count.get() + 1);
        }
        if first {
            return Ok(());
        }
        writer.write_all(b",")
    }

    #[inline]
    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        let spread = self.is_spread();
        self.depth -= 1;
        if spread {
            return Ok(());
        }
        writer.write_all(b"]")
    }
}

/// serde_json's serializer, except that a tuple loses its brackets and `()` writes nothing.
struct Spread<'s, 'a> {
    json: &'s mut Json<'a>,
    top: &'s Top,
}

macro_rules! pass_on {
    ($($method:ident($($name:ident: $type:ty),*);)*) => {$(
        #[inline]
        fn $method(self $(, $name: $type)*) -> Result<(), serde_json::Error> {
            self.json.$method($($name),*)
        }
    )*};
}

impl<'s, 'a> Serializer for Spread<'s, 'a> {
    type Ok = ();
    type Error = serde_json::Error;
    type SerializeSeq = Compound<'s, &'a mut Vec<u8>, ArgsFormatter<'a>>;
    type SerializeTuple = Self::SerializeSeq;
    type SerializeTupleStruct = Self::SerializeSeq;
    type SerializeTupleVariant = Self::SerializeSeq;
    type SerializeMap = Self::SerializeSeq;
    type SerializeStruct = Self::SerializeSeq;
    type SerializeStructVariant = Self::SerializeSeq;

    pass_on! {
        serialize_bool(value: bool);
        serialize_i8(value: i8);
        serialize_i16(value: i16);
        serialize_i32(value: i32);
        serialize_i64(value: i64);
        serialize_i128(value: i128);
        serialize_u8(value: u8);
        serialize_u16(value: u16);
        serialize_u32(value: u32);
        serialize_u64(value: u64);
        serialize_u128(value: u128);
        serialize_f32(value: f32);
        serialize_f64(value: f64);
        serialize_char(value: char);
        serialize_str(value: &str);
        serialize_bytes(value: &[u8]);
        serialize_none();
        serialize_unit_struct(name: &'static str);
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str);
    }

    fn serialize_unit(self) -> Result<(), serde_json::Error> {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), serde_json::Error> {
        self.json.serialize_some(value)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), serde_json::Error> {
        self.json.serialize_newtype_struct(name, value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), serde_json::Error> {
        self.json
            .serialize_newtype_variant(name, index, variant, value)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, serde_json::Error> {
        self.json.serialize_seq(len)
    }

    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, serde_json::Error> {
        self.top.spread.set(true);
        self.json.serialize_tuple(len)
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleStruct, serde_json::Error> {
        self.json.serialize_tuple_struct(name, len)
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, serde_json::Error> {
        self.json.serialize_tuple_variant(name, index, variant, len)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, serde_json::Error> {
        self.json.serialize_map(len)
    }

    fn serialize_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStruct, serde_json::Error> {
        self.json.serialize_struct(name, len)
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, serde_json::Error> {
        self.json
            .serialize_struct_variant(name, index, variant, len)
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), serde_json::Error> {
        self.json.collect_str(value)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Serialize;

    use super::*;
    use crate::Args;

    fn json(args: &(impl ToArgs + ?Sized)) -> (String, usize) {
        let args = Args::new(args).unwrap();
        assert_eq!(args.iter().count(), args.len());
        (args.as_json().to_owned(), args.len())
    }

    fn one(args: &(impl ToArgs + ?Sized)) -> String {
        let (json, len) = json(args);
        assert_eq!(len, 1, "{json}");
        json
    }

    #[derive(Serialize)]
    struct Unit;
    #[derive(Serialize)]
    struct New((u8, u8));
    #[derive(Serialize)]
    struct Pair(u8, Bytes);
    #[derive(Serialize)]
    enum Choice {
        Plain,
        New((u8, u8)),
        Pair(u8, u8),
        Named { a: [u8; 2] },
    }

    #[test]
    fn tuples_and_arrays_spread() {
        assert_eq!(
            json(&(1, "a", [2, 3], (4, ()))),
            (r#"1,"a",[2,3],[4,null]"#.to_owned(), 4)
        );
        assert_eq!(json(&[1, 2]), ("1,2".to_owned(), 2));
        assert_eq!(json(&&Box::new((1, 2))), ("1,2".to_owned(), 2));
        assert_eq!(json(&((1, 2),)), ("[1,2]".to_owned(), 1));
        assert_eq!(
            json(&(vec![vec![1], vec![]], 2)),
            ("[[1],[]],2".to_owned(), 2)
        );
    }

    #[test]
    fn unit_and_empty_tuples_are_no_arguments() {
        let none: [u8; 0] = [];
        assert_eq!(json(&()), (String::new(), 0));
        assert_eq!(json(&none), (String::new(), 0));
        assert_eq!(one(&((),)), "null");
    }

    #[test]
    fn everything_else_is_one_argument() {
        assert_eq!(one("text"), r#""text""#);
        assert_eq!(one(&[1, 2][..]), "[1,2]");
        assert_eq!(one(&Vec::<u8>::new()), "[]");
        assert_eq!(one(&Some((1, 2))), "[1,2]");
        assert_eq!(one(&None::<u8>), "null");
        assert_eq!(one(&Unit), "null");
        assert_eq!(one(&New((1, 2))), "[1,2]");
        assert_eq!(one(&Choice::Plain), r#""Plain""#);
        assert_eq!(one(&Choice::New((1, 2))), r#"{"New":[1,2]}"#);
        assert_eq!(one(&Choice::Pair(1, 2)), r#"{"Pair":[1,2]}"#);
        assert_eq!(
            one(&Choice::Named { a: [1, 2] }),
            r#"{"Named":{"a":[1,2]}}"#
        );
        assert_eq!(one(&BTreeMap::from([(1, [2, 3])])), r#"{"1":[2,3]}"#);
        assert_eq!(one(&f64::NAN), "null");
        assert_eq!(one(&u128::MAX), u128::MAX.to_string());
        assert_eq!(one(&format_args!("{}", 1)), r#""1""#);
    }

    #[test]
    fn bytes_become_attachments_in_order() {
        let a = Bytes::from_static(b"a");
        let b = Bytes::from_static(b"b");
        let args = Args::new(&(Pair(1, a.clone()), vec![Some(b.clone())], &a)).unwrap();
        assert_eq!(args.attachments(), [a.clone(), b, a.clone()]);
        assert_eq!(args.get(0).unwrap(), r#"[1,{"_placeholder":true,"num":0}]"#);
        assert_eq!(Args::new(&a).unwrap().len(), 1);
    }
}
