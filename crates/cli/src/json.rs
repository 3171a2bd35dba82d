//! Arguments on one line: for machines, or for people.

use std::borrow::Cow;
use std::fmt::{self, Write};

use anstyle::{AnsiColor, Style};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use sockeye::{Args, from_json};

use crate::escape::escape;
use crate::report::DIM;

/// Each argument as JSON without white space, bytes as `{"base64":"…"}`. Like everything that is
/// written here it is safe for a terminal, which is where pipes end, too.
pub(crate) fn lines(args: &Args) -> impl Iterator<Item = String> {
    args.iter().map(|json| {
        let mut writer = Writer::new(Form::Machine, args.attachments());
        writer.value(json, 0);
        writer.out
    })
}

/// All arguments as one JSON array.
pub(crate) fn array(args: &Args) -> Box<RawValue> {
    let mut array = String::from("[");
    for (index, json) in lines(args).enumerate() {
        if index > 0 {
            array.push(',');
        }
        array.push_str(&json);
    }
    array.push(']');
    RawValue::from_string(array).expect("only checked JSON is written")
}

/// The arguments for people: in colours, with spaces between them, cut off where they are long, and
/// safe for a terminal.
pub(crate) fn pretty(args: &Args) -> String {
    let mut writer = Writer::new(Form::Terminal, args.attachments());
    for json in args.iter() {
        if !writer.out.is_empty() {
            writer.out.push(' ');
        }
        writer.value(json, 0);
        if writer.is_full() {
            let size = args.as_json().len();
            writer.styled(DIM, format_args!("… {size} bytes in all"));
            break;
        }
    }
    writer.out
}

const STRING: Style = AnsiColor::Green.on_default();
const NUMBER: Style = AnsiColor::Yellow.on_default();
const WORD: Style = AnsiColor::Magenta.on_default();

/// Values inside each other that are looked into. What is deeper is written as it came: arguments
/// come from servers, and must not be able to exhaust the stack.
const MAX_DEPTH: usize = 64;

/// After so many characters people have seen enough.
const MAX_PRETTY: usize = 4000;

/// Bytes of an attachment that are shown to people.
const MAX_BYTES: usize = 16;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Machine,
    Terminal,
}

struct Writer<'a> {
    out: String,
    form: Form,
    attachments: &'a [Bytes],
}

/// The members of an object in their order, which a map would not keep.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Writer<'a> {
    const fn new(form: Form, attachments: &'a [Bytes]) -> Self {
        Self {
            out: String::new(),
            form,
            attachments,
        }
    }

    fn value(&mut self, json: &str, depth: usize) {
        if self.is_full() {
            return;
        }
        let json = json.trim_ascii();
        let read = match json.as_bytes().first() {
            _ if depth == MAX_DEPTH => self.verbatim(json),
            Some(b'[') => serde_json::from_str(json).map(|items| self.list(items, depth)),
            Some(b'{') => from_json(json).map(|members| self.object(&members, depth)),
            Some(b'"') => from_json::<Cow<'_, str>>(json).map(|text| self.text(&text)),
            _ => serde_json::from_str::<&RawValue>(json).map(|_| self.word(json)),
        };
        if read.is_err() {
            // No peer should send this, and if one does it is worth seeing.
            self.open("{", "\"invalid\"");
            self.text(json);
            self.out.push('}');
        }
    }

    fn list(&mut self, items: Vec<&RawValue>, depth: usize) {
        self.out.push('[');
        for (index, item) in items.into_iter().enumerate() {
            if self.is_full() {
                break;
            }
            self.separate(index);
            self.value(item.get(), depth + 1);
        }
        self.out.push(']');
    }

    fn object(&mut self, members: &Members<'_>, depth: usize) {
        if let Some(bytes) = members
            .placeholder()
            .and_then(|num| self.attachments.get(num))
        {
            return self.bytes(bytes);
        }
        self.out.push('{');
        for (index, (key, value)) in members.0.iter().enumerate() {
            if self.is_full() {
                break;
            }
            self.separate(index);
            self.open("", &quoted(key));
            self.value(value.get(), depth + 1);
        }
        self.out.push('}');
    }

    fn bytes(&mut self, bytes: &Bytes) {
        match self.form {
            Form::Machine => {
                self.out.push_str("{\"base64\":\"");
                BASE64_STANDARD.encode_string(bytes, &mut self.out);
                self.out.push_str("\"}");
            }
            Form::Terminal => {
                let mut text = format!("<{} bytes", bytes.len());
                for byte in bytes.iter().take(MAX_BYTES) {
                    // Strings take everything.
                    let _ = write!(text, " {byte:02x}");
                }
                text.push_str(if bytes.len() > MAX_BYTES {
                    " …>"
                } else {
                    ">"
                });
                self.styled(WORD, text);
            }
        }
    }

    fn text(&mut self, text: &str) {
        let quoted = quoted(text);
        match self.form {
            Form::Machine => self.out.push_str(&quoted),
            Form::Terminal => {
                let end = quoted.char_indices().nth(MAX_PRETTY);
                let shown = end.map_or(&*quoted, |(end, _)| &quoted[..end]);
                self.styled(STRING, shown);
            }
        }
    }

    /// A number, a boolean or null.
    fn word(&mut self, json: &str) {
        match self.form {
            Form::Machine => self.out.push_str(json),
            Form::Terminal if json.starts_with(|char: char| char.is_ascii_alphabetic()) => {
                self.styled(WORD, json);
            }
            Form::Terminal => self.styled(NUMBER, json),
        }
    }

    fn verbatim(&mut self, json: &str) -> serde_json::Result<()> {
        serde_json::from_str::<&RawValue>(json)?;
        // Line feeds can only be white space: inside of strings they are escaped.
        let line = json.replace(['\n', '\r'], " ");
        self.out.push_str(&escape(&line));
        Ok(())
    }

    fn open(&mut self, bracket: &str, key: &str) {
        self.out.push_str(bracket);
        self.out.push_str(key);
        self.out.push_str(match self.form {
            Form::Machine => ":",
            Form::Terminal => ": ",
        });
    }

    fn separate(&mut self, index: usize) {
        if index > 0 {
            self.out.push_str(match self.form {
                Form::Machine => ",",
                Form::Terminal => ", ",
            });
        }
    }

    fn styled(&mut self, style: Style, text: impl fmt::Display) {
        let _ = write!(self.out, "{style}{text}{style:#}");
    }

    fn is_full(&self) -> bool {
        self.form == Form::Terminal && self.out.len() > MAX_PRETTY
    }
}

impl Members<'_> {
    /// The number of the attachment that stands here.
    fn placeholder(&self) -> Option<usize> {
        let member = |name: &str| {
            let found = self.0.iter().rfind(|(key, _)| key == name);
            found.map(|(_, value)| value.get())
        };
        (member("_placeholder") == Some("true"))
            .then(|| member("num")?.parse().ok())
            .flatten()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// Text as JSON that is safe for a terminal.
pub(crate) fn quoted(text: &str) -> String {
    let json = serde_json::to_string(text).expect("any string can be JSON");
    match escape(&json) {
        Cow::Borrowed(_) => json,
        Cow::Owned(safe) => safe,
    }
}

#[cfg(test)]
mod tests {
    use sockeye::client::RawArgs;

    use super::*;

    fn args(array: &str) -> Args {
        RawArgs::from_array(array).unwrap().to_args()
    }

    fn plain(args: &Args) -> String {
        anstream::adapter::strip_str(&pretty(args)).to_string()
    }

    #[test]
    fn white_space_goes_and_order_stays() {
        let args = args("[ {\"b\" : 1.50,\n\"a\":[ 1 ,\"x y\" ]}, null]");
        let array = array(&args);
        assert_eq!(array.get(), r#"[{"b":1.50,"a":[1,"x y"]},null]"#);
        assert_eq!(plain(&args), r#"{"b": 1.50, "a": [1, "x y"]} null"#);
        assert_eq!(lines(&args).count(), 2);
    }

    #[test]
    fn bytes_are_shown_where_they_stand() {
        let args = Args::new(&("a", [Bytes::from_static(b"hello")])).unwrap();
        assert_eq!(array(&args).get(), r#"["a",[{"base64":"aGVsbG8="}]]"#);
        assert_eq!(plain(&args), r#""a" [<5 bytes 68 65 6c 6c 6f>]"#);
        let long = Args::new(&Bytes::from(vec![0; 1000])).unwrap();
        assert!(plain(&long).ends_with("00 …>"));
        // Without attachments a placeholder is an object like any other.
        let fake = self::args(r#"[{"_placeholder":true,"num":0}]"#);
        assert_eq!(array(&fake).get(), r#"[{"_placeholder":true,"num":0}]"#);
    }

    #[test]
    fn terminal_gets_no_control_characters() {
        let args = args("[\"a\u{9b}31m\\u001b[2J\", {\"\u{202e}\": 1}]");
        assert_eq!(plain(&args), r#""a\u009b31m\u001b[2J" {"\u202e": 1}"#);
        let safe = r#"["a\u009b31m\u001b[2J",{"\u202e":1}]"#;
        assert_eq!(array(&args).get(), safe);
        let deep = format!("[{}\"\u{7f}\"{}]", "[".repeat(100), "]".repeat(100));
        let safe = deep.replace('\u{7f}', "\\u007f");
        assert_eq!(array(&self::args(&deep)).get(), safe);
    }

    #[test]
    fn half_an_emoji_is_shown_as_a_replacement_character() {
        let args = args(r#"["half \ud83d end",{"\udc00":["\ud83d\ude00"]},1e400,-0]"#);
        let expected = "[\"half \u{fffd} end\",{\"\u{fffd}\":[\"😀\"]},1e400,-0]";
        assert_eq!(array(&args).get(), expected);
        let expected = "\"half \u{fffd} end\" {\"\u{fffd}\": [\"😀\"]} 1e400 -0";
        assert_eq!(plain(&args), expected);
    }

    #[test]
    fn what_is_long_is_cut_off_for_people() {
        let args = Args::new(&vec![0; 100_000]).unwrap();
        let text = plain(&args);
        assert!(text.len() < 10_000, "{}", text.len());
        assert!(text.ends_with("… 200001 bytes in all"), "{text}");
        let text = plain(&Args::new(&"x".repeat(100_000)).unwrap());
        assert!(text.len() < 10_000, "{}", text.len());
    }

    #[test]
    fn nesting_and_broken_json_do_no_harm() {
        let deep = format!("[{}{}]", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(array(&args(&deep)).get(), deep);
        let broken = args(r#"[[1 2]]"#);
        assert_eq!(array(&broken).get(), r#"[{"invalid":"[1 2]"}]"#);
    }
}
