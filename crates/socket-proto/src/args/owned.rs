use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::Deserialize;

use super::{ArgsError, BytesForm, RawArgs, fmt_args};
use crate::encode::{ArgsWriter, Attachments, BytesOut, EncodeError, ToArgs};

/// Arguments of one event or acknowledgement, owned.
///
/// Clones share the text and the attachments. They can be emitted again as they are: the JSON is written verbatim
/// and the placeholders are renumbered where needed. Bytes change their form if the receiving peer's differs. JSON that
/// came from a peer is validated at that moment, so that a broken packet cannot be passed on to others.
///
/// # Other formats
///
/// Arguments are JSON with attachments here also where peers speak another format than the standard one: a
/// [parser](crate::parser) translates them on their way in and out. What meets them in between (handlers, middlewares,
/// buffers, lines, other nodes of a cluster) so has to know one form, and a type reads the same whatever its peer
/// speaks; the price is one pass more over the arguments of such peers. Bytes stay bytes, and whole numbers keep all of
/// their digits. What JSON has no word for is for the parser to put into one: a number that is not finite, a date.
///
/// # Bytes
///
/// In the JSON, an object `{"_placeholder":true,"num":0}` stands for the attachment of this number.
///
/// ```
/// use sockeye_socket_proto::Args;
///
/// let args = Args::new(&("hi", 2))?;
/// assert_eq!(args.get(0), Some("\"hi\""));
/// assert_eq!(args.deserialize::<(String, u8)>()?, ("hi".to_owned(), 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Args {
    text: Arc<str>,
    // The part of `text` that is meant, so that taking one argument copies nothing.
    start: usize,
    end: usize,
    len: usize,
    attachments: Option<Arc<[Bytes]>>,
    origin: Origin,
}

/// Who wrote the JSON, and so whether it must be validated before it is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Local,
    Peer,
    /// A peer that has no attachments; see [`RawArgs::with_buffers`].
    PeerWithBuffers,
}

impl Args {
    /// Encodes `args` as an emit would.
    ///
    /// # Errors
    ///
    /// When serde or serde_json cannot encode a value, such as a map whose keys are not strings.
    pub fn new<A: ToArgs + ?Sized>(args: &A) -> Result<Self, EncodeError> {
        let mut text = Vec::new();
        // How many attachments there may be is seen when they are sent, if they are.
        let mut attachments = Attachments::new(BytesOut::UNLIMITED);
        let mut writer = ArgsWriter::new(&mut text, &mut attachments);
        args.write_args(&mut writer)?;
        let len = writer.finish()?;
        let text = shared_text(text);
        let attachments = attachments.into_parts();
        Ok(Self {
            end: text.len(),
            text,
            start: 0,
            len,
            attachments: (!attachments.is_empty()).then(|| attachments.into()),
            origin: Origin::Local,
        })
    }

    /// No arguments.
    #[must_use]
    pub fn empty() -> Self {
        RawArgs::empty().to_args()
    }

    /// The arguments of a packet that had to wait: a list that was counted when it came, and its attachments.
    pub(crate) fn received(list: Arc<str>, len: usize, attachments: Vec<Bytes>) -> Self {
        Self {
            end: list.len(),
            text: list,
            start: 0,
            len,
            attachments: (!attachments.is_empty()).then(|| attachments.into()),
            origin: Origin::Peer,
        }
    }

    /// A list of so many arguments that this side has written, and what its placeholders stand for.
    #[cfg(feature = "msgpack")]
    pub(crate) fn written(list: Arc<str>, len: usize, attachments: Vec<Bytes>) -> Self {
        Self {
            origin: Origin::Local,
            ..Self::received(list, len, attachments)
        }
    }

    /// A borrowed view.
    #[must_use]
    pub fn as_raw(&self) -> RawArgs<'_> {
        RawArgs {
            list: &self.text[self.start..self.end],
            len: self.len,
            bytes: match self.origin {
                Origin::Local | Origin::Peer => BytesForm::Attachments(self.attachments()),
                Origin::PeerWithBuffers => BytesForm::Buffers,
            },
        }
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
    pub fn as_json(&self) -> &str {
        self.as_raw().list
    }

    /// The attachments of the packet that these arguments are from; placeholder number `n` stands for the one at
    /// index `n`.
    #[must_use]
    pub fn attachments(&self) -> &[Bytes] {
        self.attachments.as_deref().unwrap_or_default()
    }

    /// The JSON of each argument.
    pub fn iter(&self) -> impl Iterator<Item = &str> + Clone + fmt::Debug {
        self.as_raw().iter()
    }

    /// The JSON of the argument at `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&str> {
        self.as_raw().get(index)
    }

    /// Only the argument at `index`; shares text and attachments with `self`.
    #[must_use]
    pub fn arg(&self, index: usize) -> Option<Self> {
        let mut values = self.iter();
        let before = values.by_ref().take(index).count();
        let value = values.next().filter(|_| before == index)?;
        let start = value.as_ptr() as usize - self.text.as_ptr() as usize;
        Some(Self {
            start,
            end: start + value.len(),
            len: 1,
            ..self.clone()
        })
    }

    /// Only the first argument, or none if there is none.
    #[must_use]
    #[inline]
    pub fn first(&self) -> Self {
        if self.len == 1 {
            // Most events have one argument, and then there is nothing to look for.
            return self.clone();
        }
        self.arg(0).unwrap_or_else(Self::empty)
    }

    /// Reads the arguments into `T`; see [`RawArgs::deserialize`].
    ///
    /// # Errors
    ///
    /// As [`RawArgs::deserialize`].
    pub fn deserialize<'de, T: Deserialize<'de>>(&'de self) -> Result<T, ArgsError> {
        self.as_raw().deserialize()
    }
}

impl Default for Args {
    fn default() -> Self {
        Self::empty()
    }
}

/// Same text, same attachments and same form of bytes; white space counts.
impl PartialEq for Args {
    fn eq(&self, other: &Self) -> bool {
        self.as_raw() == other.as_raw()
    }
}

impl Eq for Args {}

impl fmt::Debug for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_args(f, "Args", self.as_json(), self.attachments())
    }
}

impl From<RawArgs<'_>> for Args {
    fn from(args: RawArgs<'_>) -> Self {
        args.to_args()
    }
}

impl RawArgs<'_> {
    /// Copies the text into an owned value; attachments are shared.
    #[must_use]
    #[inline]
    pub fn to_args(&self) -> Args {
        let text: Arc<str> = if self.list.is_empty() {
            Arc::default()
        } else {
            self.list.into()
        };
        let attachments = self.attachments();
        Args {
            end: text.len(),
            text,
            start: 0,
            len: self.len,
            attachments: (!attachments.is_empty()).then(|| attachments.into()),
            origin: match self.bytes {
                BytesForm::Attachments(_) => Origin::Peer,
                BytesForm::Buffers => Origin::PeerWithBuffers,
            },
        }
    }
}

impl ToArgs for Args {
    fn write_args(&self, out: &mut ArgsWriter<'_>) -> Result<(), EncodeError> {
        match self.origin {
            Origin::Local => out.extend_trusted(self.as_raw()),
            Origin::Peer | Origin::PeerWithBuffers => out.extend(self.as_raw()),
        }
    }
}

impl ToArgs for &Args {
    fn write_args(&self, out: &mut ArgsWriter<'_>) -> Result<(), EncodeError> {
        (**self).write_args(out)
    }
}

impl ToArgs for RawArgs<'_> {
    fn write_args(&self, out: &mut ArgsWriter<'_>) -> Result<(), EncodeError> {
        out.extend(*self)
    }
}

fn shared_text(json: Vec<u8>) -> Arc<str> {
    String::from_utf8(json)
        .expect("serde_json writes UTF-8, and verbatim arguments are text")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo(args: &impl ToArgs) -> (String, Vec<Bytes>) {
        let again = Args::new(args).unwrap();
        (again.as_json().to_owned(), again.attachments().to_vec())
    }

    #[test]
    fn arguments_are_counted_and_split() {
        let args = RawArgs::from_array(r#"[ 1, "a,b" ,{"k":[2]}]"#).unwrap();
        assert_eq!(args.len(), 3);
        assert_eq!(args.get(1), Some("\"a,b\""));
        assert_eq!(args.get(3), None);
        let owned = args.to_args();
        assert_eq!(owned.arg(2).unwrap().as_json(), r#"{"k":[2]}"#);
        assert_eq!(owned.arg(3), None);
        assert_eq!(owned.first().as_json(), "1");
        assert_eq!(Args::empty().first(), Args::empty());
    }

    #[test]
    fn received_arguments_are_emitted_verbatim() {
        let args = RawArgs::from_array(r#"[1.50, {"b" : 1,"a":2},"\u00e9"]"#).unwrap();
        assert_eq!(echo(&args).0, r#"1.50, {"b" : 1,"a":2},"\u00e9""#);
        assert_eq!(echo(&args.to_args()).0, r#"1.50, {"b" : 1,"a":2},"\u00e9""#);
    }

    #[test]
    fn broken_json_is_not_passed_on() {
        for text in ["[[}]", "[{\"a\"}]", "[\"\\x\"]", "[[1 2]]", "[\"a\nb\"]"] {
            let args = RawArgs::from_array(text).unwrap().to_args();
            let error = Args::new(&args).unwrap_err();
            assert!(error.to_string().contains("argument 1"), "{error}");
        }
    }

    #[test]
    fn attachments_are_renumbered_when_a_part_is_emitted() {
        let both = [
            Bytes::from_static(b"zero"),
            Bytes::from_static(b"one"),
            Bytes::from_static(b"two"),
        ];
        let text = r#"[{"_placeholder":true,"num":0},{"a":{"_placeholder":true,"num":2},"b":[{"num": 1,"_placeholder":true}]}]"#;
        let args = RawArgs::from_array(text)
            .unwrap()
            .with_attachments(&both)
            .to_args();
        let (json, attachments) = echo(&args.arg(1).unwrap());
        assert_eq!(
            json,
            r#"{"a":{"_placeholder":true,"num":0},"b":[{"_placeholder":true,"num":1}]}"#
        );
        assert_eq!(attachments, ["two", "one"]);
        assert_eq!(echo(&args).1, ["zero", "two", "one"]);
    }

    #[test]
    fn placeholder_without_its_attachment_is_not_passed_on() {
        let one = [Bytes::from_static(b"x")];
        for num in ["1", "-1", "0.5", "\"0\"", "null", "99999999999999999999"] {
            let text = format!(r#"[{{"_placeholder":true,"num":{num}}}]"#);
            let args = RawArgs::from_array(&text).unwrap().with_attachments(&one);
            assert!(Args::new(&args).is_err(), "{num}");
        }
    }

    #[test]
    fn debug_shows_the_json() {
        let args = Args::new(&(1, Bytes::from_static(b"x"))).unwrap();
        assert_eq!(
            format!("{args:?}"),
            r#"Args([1,{"_placeholder":true,"num":0}], [b"x"])"#
        );
    }
}
