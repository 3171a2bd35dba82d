//! Sockets that have lost their connections, as servers keep them for each other.

use std::sync::Arc;

use crate::opts::read_names;
use crate::sink::Sink;
use crate::source::Source;
use crate::{DecodeError, EncodeError, Limits, Value};

/// What is kept of a socket that has lost its connection, in the form that Node's servers give it.
#[derive(Clone)]
pub struct Session {
    /// The socket's id.
    pub sid: Arc<str>,
    /// The private id, under which it is asked for: whoever knows it can become this socket.
    pub pid: Box<str>,
    /// The rooms that it was in; its id is one.
    pub rooms: Vec<Arc<str>>,
    /// What the application has stored with it.
    pub data: Option<Value>,
}

/// What is written where sessions stand in a log.
#[derive(Debug, Clone)]
pub enum SessionMark {
    /// It may come back.
    Kept(Session),
    /// It has come back, or may not any more; what was written before does not count.
    Gone {
        /// Its private id.
        pid: Box<str>,
    },
}

impl SessionMark {
    pub(crate) fn read<'a, S: Source<'a>>(
        source: &mut S,
        limits: &Limits,
    ) -> Result<Self, DecodeError> {
        let (mut sid, mut pid, mut rooms, mut data) = (None, None, Vec::new(), None);
        source.map(|source, key| {
            match key {
                b"sid" => sid = source.optional(Source::text)?,
                b"pid" => pid = source.optional(Source::text)?,
                b"rooms" => rooms = read_names(source, limits)?,
                b"data" => data = source.optional(Source::wire)?.map(Value::wire),
                // What else there may be are mistakes and marks, such as `tombstone`.
                _ => source.skip()?,
            }
            Ok(())
        })?;
        let pid = pid.ok_or(DecodeError::Missing("a private id"))?.into();
        Ok(match sid {
            Some(sid) => Self::Kept(Session {
                sid: sid.into(),
                pid,
                rooms,
                data,
            }),
            None => Self::Gone { pid },
        })
    }

    pub(crate) fn write<S: Sink>(&self, sink: &mut S) -> Result<(), EncodeError> {
        match self {
            Self::Kept(session) => session.write(sink),
            Self::Gone { pid } => {
                sink.map(2)?;
                sink.key("pid")?;
                sink.text(pid)?;
                sink.key("tombstone")?;
                sink.truth(true);
                sink.end_map();
                Ok(())
            }
        }
    }
}

impl Session {
    pub(crate) fn write<S: Sink>(&self, sink: &mut S) -> Result<(), EncodeError> {
        sink.map(3 + usize::from(self.data.is_some()))?;
        sink.key("sid")?;
        sink.text(&self.sid)?;
        sink.key("pid")?;
        sink.text(&self.pid)?;
        sink.key("rooms")?;
        sink.texts(&self.rooms)?;
        if let Some(data) = &self.data {
            sink.key("data")?;
            sink.value(data)?;
        }
        sink.end_map();
        Ok(())
    }
}

/// Without what is secret.
impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("rooms", &self.rooms.len())
            .finish_non_exhaustive()
    }
}
