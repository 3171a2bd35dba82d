//! Rooms, and how something is sent: the same in all dialects.

use std::fmt;
use std::sync::Arc;

use crate::sink::Sink;
use crate::source::Source;
use crate::{DecodeError, EncodeError, Limits, Value};

/// Whom something is for, and how it is sent.
#[derive(Clone, Default)]
pub struct Opts {
    /// Sockets in any of these rooms are meant, or all if there are none. The id of a socket is a room.
    pub rooms: Vec<Arc<str>>,
    /// But none that is in one of these.
    pub except: Vec<Arc<str>>,
    /// How it is sent.
    pub flags: Flags,
}

/// How something is sent. What is not known here travels on as it came.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// Those who cannot take it right now miss it.
    pub volatile: bool,
    /// Whether it may be compressed; `None` for what is usual, which is that it may.
    pub compress: Option<bool>,
    /// Whether bytes travel as attachments; `None` for what is usual, which is that they do.
    pub binary: Option<bool>,
    /// Only one socket is asked, and its answer stands for itself. Of use to the one who asks.
    pub expect_single_response: bool,
    /// How long answers are waited for, in milliseconds.
    pub timeout: Option<u64>,
    /// What else there is.
    pub other: Vec<(Box<str>, Value)>,
}

/// How many rooms, and not which: the id of a socket is one, and that of an old client is a secret.
impl fmt::Debug for Opts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opts")
            .field("rooms", &self.rooms.len())
            .field("except", &self.except.len())
            .field("flags", &self.flags)
            .finish()
    }
}

/// Which flags a dialect writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FlagsIn {
    Opts,
    /// The requests of the classic dialect other than broadcasts have none.
    Nothing,
}

pub(crate) fn read_opts<'a, S: Source<'a>>(
    source: &mut S,
    limits: &Limits,
) -> Result<Opts, DecodeError> {
    let mut opts = Opts::default();
    source.map(|source, key| {
        match key {
            b"rooms" => opts.rooms = read_names(source, limits)?,
            b"except" => opts.except = read_names(source, limits)?,
            b"flags" => opts.flags = source.optional(read_flags)?.unwrap_or_default(),
            _ => source.skip()?,
        }
        Ok(())
    })?;
    Ok(opts)
}

/// Reads names of rooms; old nodes may send numbers.
pub(crate) fn read_names<'a, S: Source<'a>>(
    source: &mut S,
    limits: &Limits,
) -> Result<Vec<Arc<str>>, DecodeError> {
    let max = limits.max_names;
    let names = source.optional(|source| {
        let mut names = Vec::new();
        source.list(|source| {
            if names.len() >= max {
                let what = "rooms";
                return Err(DecodeError::TooMany { what, max });
            }
            names.push(source.text()?.into());
            Ok(())
        })?;
        Ok(names)
    })?;
    Ok(names.unwrap_or_default())
}

fn read_flags<'a, S: Source<'a>>(source: &mut S) -> Result<Flags, DecodeError> {
    let mut flags = Flags::default();
    source.map(|source, key| {
        match key {
            b"volatile" => flags.volatile = source.optional(Source::truth)? == Some(true),
            b"compress" => flags.compress = source.optional(Source::truth)?,
            b"binary" => flags.binary = source.optional(Source::truth)?,
            b"expectSingleResponse" => {
                flags.expect_single_response = source.optional(Source::truth)? == Some(true);
            }
            b"timeout" => flags.timeout = source.optional(Source::whole)?,
            _ if flags.other.len() == MAX_FLAGS => {
                let (what, max) = ("flags", MAX_FLAGS);
                return Err(DecodeError::TooMany { what, max });
            }
            _ => flags.other.push((
                String::from_utf8_lossy(key).into(),
                Value::wire(source.wire()?),
            )),
        }
        Ok(())
    })?;
    Ok(flags)
}

/// There are eight or so in all versions of Socket.IO.
const MAX_FLAGS: usize = 64;

pub(crate) fn write_opts<S: Sink>(
    sink: &mut S,
    opts: &Opts,
    flags: FlagsIn,
) -> Result<(), EncodeError> {
    let has_flags = flags == FlagsIn::Opts;
    sink.map(2 + usize::from(has_flags))?;
    sink.key("rooms")?;
    sink.texts(&opts.rooms)?;
    sink.key("except")?;
    sink.texts(&opts.except)?;
    if has_flags {
        sink.key("flags")?;
        write_flags(sink, &opts.flags)?;
    }
    sink.end_map();
    Ok(())
}

/// What is not set is not there: to Node, `volatile: false` is volatile enough not to be recovered.
fn write_flags<S: Sink>(sink: &mut S, flags: &Flags) -> Result<(), EncodeError> {
    let truths = [
        ("volatile", flags.volatile.then_some(true)),
        ("compress", flags.compress),
        ("binary", flags.binary),
        (
            "expectSingleResponse",
            flags.expect_single_response.then_some(true),
        ),
    ];
    let set = truths.iter().filter(|(_, value)| value.is_some()).count();
    sink.map(set + usize::from(flags.timeout.is_some()) + flags.other.len())?;
    for (key, value) in truths {
        if let Some(value) = value {
            sink.key(key)?;
            sink.truth(value);
        }
    }
    if let Some(timeout) = flags.timeout {
        sink.key("timeout")?;
        sink.whole(timeout);
    }
    for (key, value) in &flags.other {
        sink.any_key(key)?;
        sink.value(value)?;
    }
    sink.end_map();
    Ok(())
}
