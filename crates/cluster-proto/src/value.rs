//! Values of the application, which are passed on without being looked at.

use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use sockeye_socket_proto::parser::msgpack;
use sockeye_socket_proto::{Args, ArgsWriter, RawArgs, ToArgs, split_event};

use crate::{DecodeError, EncodeError, Limits};

/// An event on its way between servers: its name and its arguments.
///
/// One that was received is the part of the message that it stands in, and has not been looked at. [`decode`](Self::decode)
/// is for when somebody here is meant.
#[derive(Clone)]
pub struct Event(EventForm);

#[derive(Clone)]
enum EventForm {
    Own { name: Box<str>, args: Args },
    Wire(Wire),
}

/// One value: an answer, or what a server tells of its sockets. As with an [`Event`], one that was received has not been
/// looked at.
#[derive(Clone)]
pub struct Value(ValueForm);

#[derive(Clone)]
enum ValueForm {
    /// One argument.
    Own(Args),
    Wire(Wire),
}

/// A part of a received message.
#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) form: WireForm,
    pub(crate) bytes: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WireForm {
    MessagePack,
    /// What looks like Node's Buffer in it is what it looks like, as bytes would have been sent in another form.
    Json,
    /// Nothing is ever sent in another form, so that what looks like Node's Buffer is one.
    JsonWithBuffers,
}

impl Event {
    /// An event to be sent. Copies name and text; attachments are shared.
    #[must_use]
    pub fn new(name: &str, args: RawArgs<'_>) -> Self {
        Self(EventForm::Own {
            name: name.into(),
            args: args.to_args(),
        })
    }

    pub(crate) fn wire(wire: Wire) -> Self {
        Self(EventForm::Wire(wire))
    }

    /// The name and the arguments.
    ///
    /// # Errors
    ///
    /// When what was received is no event, is nested too deeply, or has too many attachments.
    pub fn decode(&self, limits: &Limits) -> Result<(Box<str>, Args), DecodeError> {
        let wire = match &self.0 {
            EventForm::Own { name, args } => return Ok((name.clone(), args.clone())),
            EventForm::Wire(wire) => wire,
        };
        if wire.form == WireForm::MessagePack {
            return Ok(msgpack::read_event(&wire.bytes, limits.max_attachments)?);
        }
        let (name, args) = split_event(wire.text()?)?;
        Ok((name.into(), wire.args(args)))
    }

    /// About how many bytes it takes.
    #[must_use]
    pub fn size(&self) -> usize {
        match &self.0 {
            EventForm::Own { name, args } => name.len() + size(args),
            EventForm::Wire(wire) => wire.bytes.len(),
        }
    }

    /// Whether there are bytes among the arguments.
    #[must_use]
    pub fn has_bytes(&self) -> bool {
        match &self.0 {
            EventForm::Own { args, .. } => has_bytes(args),
            EventForm::Wire(wire) => wire.has_bytes(),
        }
    }

    pub(crate) fn write_msgpack(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let (name, args) = match &self.0 {
            EventForm::Own { name, args } => (name, args),
            EventForm::Wire(wire) if wire.form == WireForm::MessagePack => {
                out.extend_from_slice(&wire.bytes);
                return Ok(());
            }
            EventForm::Wire(_) => return self.plain()?.write_msgpack(out),
        };
        msgpack::write::array(out, 1 + args.len())?;
        msgpack::write::text(out, name)?;
        Ok(msgpack::write_values(args.as_raw(), out)?)
    }

    pub(crate) fn write_json(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let EventForm::Own { name, args } = &self.0 else {
            return self.plain()?.write_json(out);
        };
        out.push(b'[');
        write_text(out, name);
        if !args.is_empty() {
            out.push(b',');
            write_args(out, args)?;
        }
        out.push(b']');
        Ok(())
    }

    /// The same as if it had been made here.
    fn plain(&self) -> Result<Self, EncodeError> {
        let (name, args) = self.decode(&ANY).map_err(EncodeError::Received)?;
        Ok(Self(EventForm::Own { name, args }))
    }
}

impl Value {
    /// The first of some arguments, which is all that travels of an acknowledgement; `None` if there is none.
    #[must_use]
    pub fn first(args: &Args) -> Option<Self> {
        match args.is_empty() {
            true => None,
            false => Some(Self(ValueForm::Own(args.first()))),
        }
    }

    /// Anything that can be serialised. Bytes in it stay bytes.
    ///
    /// # Errors
    ///
    /// When serde or serde_json cannot encode it.
    pub fn new<T: Serialize + ?Sized>(value: &T) -> Result<Self, EncodeError> {
        Ok(Self(ValueForm::Own(Args::new(&(value,))?)))
    }

    pub(crate) fn wire(wire: Wire) -> Self {
        Self(ValueForm::Wire(wire))
    }

    /// The value as the only argument.
    ///
    /// # Errors
    ///
    /// When what was received is broken, is nested too deeply, or has too many attachments.
    pub fn decode(&self, limits: &Limits) -> Result<Args, DecodeError> {
        let wire = match &self.0 {
            ValueForm::Own(args) => return Ok(args.clone()),
            ValueForm::Wire(wire) => wire,
        };
        if wire.form == WireForm::MessagePack {
            return Ok(msgpack::read_value(&wire.bytes, limits.max_attachments)?);
        }
        let array = format!("[{}]", wire.text()?);
        Ok(wire.args(RawArgs::from_array(&array)?))
    }

    /// The items of a list as one argument each, so that a broken one does not spoil the others.
    ///
    /// # Errors
    ///
    /// As [`decode`](Self::decode), and when it is no list.
    pub fn decode_items(&self, limits: &Limits) -> Result<Args, DecodeError> {
        let wire = match &self.0 {
            ValueForm::Own(args) => {
                let items = RawArgs::from_array(args.as_json())?;
                return Ok(items.with_attachments(args.attachments()).to_args());
            }
            ValueForm::Wire(wire) => wire,
        };
        if wire.form == WireForm::MessagePack {
            return Ok(msgpack::read_items(&wire.bytes, limits.max_attachments)?);
        }
        Ok(wire.args(RawArgs::from_array(wire.text()?)?))
    }

    /// About how many bytes it takes.
    #[must_use]
    pub fn size(&self) -> usize {
        match &self.0 {
            ValueForm::Own(args) => size(args),
            ValueForm::Wire(wire) => wire.bytes.len(),
        }
    }

    /// Whether there are bytes in it.
    #[must_use]
    pub fn has_bytes(&self) -> bool {
        match &self.0 {
            ValueForm::Own(args) => has_bytes(args),
            ValueForm::Wire(wire) => wire.has_bytes(),
        }
    }

    pub(crate) fn write_msgpack(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match &self.0 {
            ValueForm::Own(args) => Ok(msgpack::write_values(args.as_raw(), out)?),
            ValueForm::Wire(wire) if wire.form == WireForm::MessagePack => {
                out.extend_from_slice(&wire.bytes);
                Ok(())
            }
            ValueForm::Wire(_) => self.plain()?.write_msgpack(out),
        }
    }

    pub(crate) fn write_json(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match &self.0 {
            ValueForm::Own(args) => write_args(out, args),
            ValueForm::Wire(_) => self.plain()?.write_json(out),
        }
    }

    fn plain(&self) -> Result<Self, EncodeError> {
        let args = self.decode(&ANY).map_err(EncodeError::Received)?;
        Ok(Self(ValueForm::Own(args)))
    }
}

impl Wire {
    fn text(&self) -> Result<&str, DecodeError> {
        std::str::from_utf8(&self.bytes).map_err(|_| DecodeError::Utf8)
    }

    fn args(&self, args: RawArgs<'_>) -> Args {
        match self.form {
            WireForm::JsonWithBuffers => args.with_buffers().to_args(),
            WireForm::Json | WireForm::MessagePack => args.to_args(),
        }
    }

    fn has_bytes(&self) -> bool {
        match self.form {
            WireForm::MessagePack => msgpack::has_bytes(&self.bytes).unwrap_or_default(),
            WireForm::Json => false,
            WireForm::JsonWithBuffers => {
                let text = self.text().unwrap_or_default();
                text.contains("\"Buffer\"")
            }
        }
    }
}

/// What has been received within the limits of whoever received it is passed on whole.
const ANY: Limits = Limits::new().max_attachments(usize::MAX);

fn size(args: &Args) -> usize {
    let attachments: usize = args.attachments().iter().map(|part| part.len()).sum();
    args.as_json().len() + attachments
}

fn has_bytes(args: &Args) -> bool {
    !args.attachments().is_empty() || args.as_raw().has_buffers()
}

/// Bytes have the form of Node's Buffer.
fn write_args(out: &mut Vec<u8>, args: &Args) -> Result<(), EncodeError> {
    let mut unlimited = usize::MAX;
    Ok(args.write_args(&mut ArgsWriter::with_buffers(out, &mut unlimited))?)
}

pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    // A fold that looks at every byte becomes vector instructions; a search that may stop does not.
    let is_plain = text.bytes().fold(true, |plain, byte| {
        plain & (byte >= 0x20) & (byte != b'"') & (byte != b'\\')
    });
    if is_plain {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        serde_json::to_writer(out, text).expect("a Vec takes every text");
    }
}

/// Without what is said.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            EventForm::Own { name, .. } => f.debug_tuple("Event").field(name).finish(),
            EventForm::Wire(wire) => wire.fmt_as("Event", f),
        }
    }
}

/// Without what it is.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            ValueForm::Own(args) => write!(f, "Value({} bytes)", args.as_json().len()),
            ValueForm::Wire(wire) => wire.fmt_as("Value", f),
        }
    }
}

impl Wire {
    fn fmt_as(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (form, bytes) = (self.form, self.bytes.len());
        write!(f, "{name}({bytes} bytes of {form:?})")
    }
}
