//! The deserializer over a list of arguments: tuples take several, everything else takes the first.

use std::borrow::Cow;

use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::lenient::mend;
use super::reading::{How, Numbers, Reading};
use super::{ArgsError, BytesForm, RawArgs};
use crate::scan::Values;

pub(super) struct ArgsDeserializer<'de> {
    args: RawArgs<'de>,
    numbers: Numbers,
}

impl<'de> ArgsDeserializer<'de> {
    /// Reads as serde_json does.
    pub(super) const fn strict(args: RawArgs<'de>) -> Self {
        Self {
            args,
            numbers: Numbers::AsWritten,
        }
    }

    /// Reads what cannot be read otherwise.
    pub(super) const fn lenient(args: RawArgs<'de>, numbers: Numbers) -> Self {
        Self { args, numbers }
    }
}

/// Hands one argument to `$method` of serde_json, behind the wrapper only if there can be bytes to be found, or if it cannot
/// be read otherwise.
macro_rules! read_one {
    ($this:expr, $argument:expr, $text:expr, |$de:ident| $read:expr) => {{
        let original = $text;
        let mended = mend(original);
        let result = match ($this.args.bytes, $this.numbers, &mended) {
            (BytesForm::Attachments([]), Numbers::AsWritten, Cow::Borrowed(_)) => {
                let mut json = serde_json::Deserializer::from_str(original);
                let $de = &mut json;
                $read.and_then(|value| json.end().map(|()| value))
            }
            (form, numbers, mended) => {
                let mut json = serde_json::Deserializer::from_str(mended);
                let how = How {
                    form,
                    numbers,
                    text: mended,
                    original,
                };
                let $de = Reading::new(&mut json, &how);
                $read.and_then(|value| json.end().map(|()| value))
            }
        };
        result.map_err(|error| ArgsError::from_json($argument, original, error))
    }};
}

macro_rules! take_first {
    ($($method:ident($($name:ident: $type:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(self $(, $name: $type)*, visitor: V) -> Result<V::Value, ArgsError> {
            let text = self.args.get(0).ok_or(ArgsError::Missing { argument: 1 })?;
            read_one!(self, 1, text, |de| de.$method($($name,)* visitor))
        }
    )*};
}

impl<'de> Deserializer<'de> for ArgsDeserializer<'de> {
    type Error = ArgsError;

    take_first! {
        deserialize_any();
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_i128();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_u128();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_seq();
        deserialize_map();
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        visitor.visit_seq(Spread {
            values: Values::new(self.args.list),
            args: self.args,
            numbers: self.numbers,
            next: 0,
            len,
        })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        match self.args.get(0) {
            None => visitor.visit_none(),
            Some(text) => read_one!(self, 1, text, |de| de.deserialize_option(visitor)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        match self.args.get(0) {
            None => visitor
                .visit_newtype_struct(Missing { argument: 1 })
                .map_err(|_| ArgsError::Missing { argument: 1 }),
            Some(text) => {
                read_one!(self, 1, text, |de| de
                    .deserialize_newtype_struct(name, visitor))
            }
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        visitor.visit_unit()
    }
}

/// The arguments as the elements of a tuple.
struct Spread<'de> {
    args: RawArgs<'de>,
    numbers: Numbers,
    values: Values<'de>,
    next: usize,
    len: usize,
}

impl<'de> SeqAccess<'de> for Spread<'de> {
    type Error = ArgsError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ArgsError> {
        if self.next == self.len {
            return Ok(None);
        }
        self.next += 1;
        let argument = self.next;
        let value = match self.values.next() {
            Some(text) => read_one!(self, argument, text, |de| seed.deserialize(de))?,
            // Whatever a type makes of nothing, the argument is what is missing.
            None => seed
                .deserialize(Missing { argument })
                .map_err(|_| ArgsError::Missing { argument })?,
        };
        Ok(Some(value))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.len - self.next)
    }
}

/// An argument that is not there: enough for an `Option` or `()`, an error for everything else.
struct Missing {
    argument: usize,
}

impl<'de> Deserializer<'de> for Missing {
    type Error = ArgsError;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, ArgsError> {
        Err(ArgsError::Missing {
            argument: self.argument,
        })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        visitor.visit_none()
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf seq tuple
        tuple_struct map struct enum identifier
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use bytes::Bytes;
    use serde::Deserialize;
    use serde_json::value::RawValue;

    use super::*;

    fn args(array: &str) -> RawArgs<'_> {
        RawArgs::from_array(array).unwrap()
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Point(i32, i32);

    #[derive(Debug, PartialEq, Deserialize)]
    struct Maybe(Option<i32>);

    #[derive(Debug, PartialEq, Deserialize)]
    struct Upload {
        name: String,
        parts: Vec<Bytes>,
    }

    #[test]
    fn tuple_takes_one_argument_for_each_element() {
        assert_eq!(
            args(r#"[1,"a"]"#).deserialize::<(u8, &str)>().unwrap(),
            (1, "a")
        );
        assert_eq!(args("[1,2,3]").deserialize::<[u8; 2]>().unwrap(), [1, 2]);
        assert_eq!(
            args("[[1,2]]").deserialize::<(Vec<u8>,)>().unwrap().0,
            [1, 2]
        );
        assert_eq!(
            args("[[1,2],3]").deserialize::<((u8, u8), u8)>().unwrap(),
            ((1, 2), 3)
        );
    }

    #[test]
    fn anything_else_takes_the_first_argument() {
        assert_eq!(args("[1,2]").deserialize::<u8>().unwrap(), 1);
        assert_eq!(args("[[1,2],3]").deserialize::<Vec<u8>>().unwrap(), [1, 2]);
        assert_eq!(
            args("[[1,2],3]").deserialize::<Point>().unwrap(),
            Point(1, 2)
        );
        assert_eq!(
            args("[[1,2],3]").deserialize::<Option<(u8, u8)>>().unwrap(),
            Some((1, 2))
        );
        assert_eq!(args("[7]").deserialize::<Maybe>().unwrap(), Maybe(Some(7)));
        assert_eq!(
            args("[ {\"a\": 1} ]")
                .deserialize::<&RawValue>()
                .unwrap()
                .get(),
            "{\"a\": 1}"
        );
    }

    #[test]
    fn missing_arguments_are_none_or_an_error() {
        assert_eq!(
            args("[1]").deserialize::<(u8, Option<u8>)>().unwrap(),
            (1, None)
        );
        assert_eq!(args("[]").deserialize::<Option<u8>>().unwrap(), None);
        assert_eq!(args("[null]").deserialize::<Option<u8>>().unwrap(), None);
        assert_eq!(args("[]").deserialize::<Maybe>().unwrap(), Maybe(None));
        assert_eq!(args("[1]").deserialize::<(u8, ())>().unwrap(), (1, ()));
        args("[]").deserialize::<()>().unwrap();
        args("[1,2]").deserialize::<()>().unwrap();
        for (error, text) in [
            (
                args("[1]").deserialize::<(u8, u8)>().unwrap_err(),
                "argument 2 is missing",
            ),
            (
                args("[]").deserialize::<String>().unwrap_err(),
                "argument 1 is missing",
            ),
            (
                args("[]").deserialize::<&RawValue>().unwrap_err(),
                "argument 1 is missing",
            ),
            (
                args("[]").deserialize::<Point>().unwrap_err(),
                "argument 1 is missing",
            ),
        ] {
            assert_eq!(error.to_string(), text);
            assert!(!error.is_syntax());
        }
    }

    #[test]
    fn wrong_shape_names_argument_expectation_and_finding() {
        let error = args(r#"[1,"x"]"#).deserialize::<(u8, u32)>().unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with(r#"argument 2: invalid type: string "x", expected u32"#),
            "{text}"
        );
        assert!(!error.is_syntax());
    }

    #[test]
    fn broken_json_is_told_from_wrong_shape() {
        for text in ["[[}]", "[\"\\x\"]", "[{\"a\"}]"] {
            let error = args(text).deserialize::<serde_json::Value>().unwrap_err();
            assert!(error.is_syntax(), "{text}: {error}");
        }
        // Valid JSON that Rust types cannot hold is not the peer's fault.
        let error = args("[1,1e400]").deserialize::<(u8, f64)>().unwrap_err();
        assert!(!error.is_syntax(), "{error}");
        assert!(
            error
                .to_string()
                .starts_with("argument 2: number out of range")
        );
        let deep = format!("[{}1{}]", "[".repeat(500), "]".repeat(500));
        let error = args(&deep).deserialize::<serde_json::Value>().unwrap_err();
        assert!(!error.is_syntax(), "{error}");
    }

    #[test]
    fn what_only_javascript_takes_is_read_as_it_does() {
        let half = args(r#"["half \ud83d end",{"\udc00":1.0},-0]"#);
        type All = (String, HashMap<String, u64>, i32);
        let (text, map, zero) = half.deserialize::<All>().unwrap();
        assert_eq!((&*text, zero), ("half \u{fffd} end", 0));
        assert_eq!(map["\u{fffd}"], 1);
        assert_eq!(half.deserialize::<String>().unwrap(), text);
        assert_eq!(half.deserialize::<serde_json::Value>().unwrap(), text);
        assert_eq!(half.deserialize::<Option<String>>().unwrap(), Some(text));
        assert_eq!(args("[1.0]").deserialize::<u64>().unwrap(), 1);
        assert_eq!(
            args("[3.0]").deserialize::<Maybe>().unwrap(),
            Maybe(Some(3))
        );
        assert_eq!(
            args("[[1.0,2.0]]").deserialize::<Point>().unwrap(),
            Point(1, 2)
        );
        // What is passed on is as it came.
        assert_eq!(half.to_args().get(0), Some(r#""half \ud83d end""#));
        let error = args(r#"["\ud83d",1]"#).deserialize::<(String, String)>();
        let text = error.unwrap_err().to_string();
        assert!(
            text.starts_with("argument 2: invalid type: integer `1`"),
            "{text}"
        );
    }

    #[test]
    fn bytes_of_half_an_emoji_are_the_same_with_and_without_attachments() {
        let parts = [Bytes::from_static(b"x")];
        let text = args(r#"["half \ud83d end"]"#);
        for raw in [text, text.with_attachments(&parts), text.with_buffers()] {
            assert_eq!(raw.deserialize::<Bytes>().unwrap(), "half \u{fffd} end");
        }
    }

    #[test]
    fn what_only_javascript_takes_is_read_beside_bytes() {
        let parts = [Bytes::from_static(b"x")];
        let text = r#"[{"name":"\ud83d","parts":[{"_placeholder":true,"num":0}]},"plain",2.0]"#;
        let raw = args(text).with_attachments(&parts);
        let (upload, plain, n) = raw.deserialize::<(Upload, &str, u8)>().unwrap();
        assert_eq!((&*upload.name, &*upload.parts[0]), ("\u{fffd}", &b"x"[..]));
        assert_eq!((plain, n), ("plain", 2));
        let text = r#"[{"name":"\ud83d","parts":[{"type":"Buffer","data":[1]}]}]"#;
        let upload: Upload = args(text).with_buffers().deserialize().unwrap();
        assert_eq!((&*upload.name, &*upload.parts[0]), ("\u{fffd}", &[1][..]));
        let big = args("[18446744073709551616]").with_attachments(&parts);
        assert_eq!(big.deserialize::<u128>().unwrap(), 1 << 64);
    }

    #[test]
    fn placeholders_become_bytes_at_any_depth() {
        let parts = [Bytes::from_static(b"zero"), Bytes::from_static(b"one")];
        let raw = args(
            r#"[{"name":"n","parts":[{"_placeholder":true,"num":1},{"num":0,"_placeholder":true}]},{"k":{"_placeholder":true,"num":0}},{"_placeholder":true,"num":1}]"#,
        )
        .with_attachments(&parts);
        type All = (Upload, HashMap<String, Option<Bytes>>, Bytes);
        let (upload, map, last) = raw.deserialize::<All>().unwrap();
        assert_eq!(upload.name, "n");
        assert_eq!(upload.parts, ["one", "zero"]);
        assert_eq!(map["k"].as_ref().unwrap(), "zero");
        assert_eq!(last, "one");
    }

    #[test]
    fn enums_newtypes_and_raw_values_work_beside_attachments() {
        #[derive(Debug, PartialEq, Deserialize)]
        enum Part {
            Empty,
            Data(Bytes),
            Pair(u8, Bytes),
            Named { data: Bytes },
        }
        #[derive(Debug, PartialEq, Deserialize)]
        struct Wrapped(Bytes);

        let parts = [Bytes::from_static(b"x")];
        let p = r#"{"_placeholder":true,"num":0}"#;
        let text = format!(
            r#"["Empty",{{"Data":{p}}},{{"Pair":[1,{p}]}},{{"Named":{{"data":{p}}}}},{p},{{"a": 1}},"abc",[1,2]]"#
        );
        type All<'a> = (Part, Part, Part, Part, Wrapped, &'a RawValue, Bytes, Bytes);
        let raw = args(&text).with_attachments(&parts);
        let all: All<'_> = raw.deserialize().unwrap();
        assert_eq!(all.0, Part::Empty);
        assert_eq!(all.1, Part::Data("x".into()));
        assert_eq!(all.2, Part::Pair(1, "x".into()));
        assert_eq!(all.3, Part::Named { data: "x".into() });
        assert_eq!(all.4, Wrapped("x".into()));
        assert_eq!(all.5.get(), r#"{"a": 1}"#);
        assert_eq!((all.6, all.7), ("abc".into(), Bytes::from_static(&[1, 2])));
    }

    #[test]
    fn placeholder_out_of_range_is_an_error_of_its_argument() {
        let parts = [Bytes::from_static(b"x")];
        let error = args(r#"[1,{"_placeholder":true,"num":1}]"#)
            .with_attachments(&parts)
            .deserialize::<(u8, Bytes)>()
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("argument 2: attachment 1 does not exist"),
            "{text}"
        );
        for text in [
            r#"[{"_placeholder":false,"num":0}]"#,
            r#"[{"_placeholder":1,"num":0}]"#,
            r#"[{"_placeholder":true}]"#,
            r#"[{"_placeholder":true,"num":-1}]"#,
            r#"[{"num":0}]"#,
            "[{}]",
            "[null]",
            "[1]",
        ] {
            let raw = args(text).with_attachments(&parts);
            assert!(raw.deserialize::<Bytes>().is_err(), "{text}");
        }
    }

    #[test]
    fn placeholder_in_a_packet_without_attachments_is_a_plain_object() {
        let raw = args(r#"[{"_placeholder":true,"num":0}]"#);
        assert!(raw.deserialize::<Bytes>().is_err());
        assert!(
            raw.deserialize::<HashMap<String, serde_json::Value>>()
                .is_ok()
        );
    }

    #[test]
    fn buffer_json_becomes_bytes_at_any_depth() {
        let raw = args(
            r#"[{"name":"n","parts":[{"type":"Buffer","data":[]},{"data":[1, 255],"x":[{}],"type":"Buffer"}]},{"k":{"type":"Buffer","data":[104,105]}},"abc",[1,2]]"#,
        )
        .with_buffers();
        type All = (Upload, HashMap<String, Option<Bytes>>, Bytes, Bytes);
        let (upload, map, text, list) = raw.deserialize::<All>().unwrap();
        assert_eq!(upload.parts, [&[][..], &[1, 255]]);
        assert_eq!(map["k"].as_ref().unwrap(), "hi");
        assert_eq!((text, list), ("abc".into(), Bytes::from_static(&[1, 2])));
        let owned = raw.to_args();
        assert!(owned.as_raw().has_buffers());
        assert_eq!(owned.arg(2).unwrap().deserialize::<Bytes>().unwrap(), "abc");
        assert!(owned.first().deserialize::<Upload>().is_ok());
    }

    #[test]
    fn buffer_json_is_an_object_where_it_is_not_revived() {
        let raw = args(r#"[{"type":"Buffer","data":[1]}]"#);
        assert!(raw.deserialize::<Bytes>().is_err());
        let value = raw.with_buffers().deserialize::<serde_json::Value>();
        assert_eq!(value.unwrap()["data"][0], 1);
    }

    #[test]
    fn what_only_resembles_buffer_json_is_no_bytes() {
        for (text, why) in [
            (
                r#"[{"type":"Buffer","data":[256]}]"#,
                "invalid value: integer `256`, expected u8",
            ),
            (
                r#"[{"type":"buffer","data":[1]}]"#,
                "unknown variant `buffer`, expected `Buffer`",
            ),
            (r#"[{"type":"Buffer"}]"#, "invalid type: map"),
            (r#"[{"data":[1]}]"#, "invalid type: map"),
            (r#"[{"_placeholder":true,"num":0}]"#, "invalid type: map"),
        ] {
            let error = args(text)
                .with_buffers()
                .deserialize::<Bytes>()
                .unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
