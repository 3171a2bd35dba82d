//! How lines are read.

/// How lines are read. How long one may be is for whoever reads the stream to say.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinesConfig {
    /// What is to be done about lines that mean nothing; see [`bad_lines`](Self::bad_lines).
    pub bad_lines: BadLines,
    /// Whether Buffers are bytes; see [`revive_buffers`](Self::revive_buffers).
    pub revive_buffers: bool,
}

/// What is to be done about lines that mean nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BadLines {
    /// They are skipped, as plain peers do.
    Ignore,
    /// The stream is closed.
    Close,
}

impl LinesConfig {
    /// What is to be done about lines that are neither an event nor an acknowledgement nor an error, or no JSON at all.
    /// Default: [`BadLines::Ignore`].
    #[must_use]
    pub fn bad_lines(mut self, bad_lines: BadLines) -> Self {
        self.bad_lines = bad_lines;
        self
    }

    /// Whether objects of the form `{"type":"Buffer","data":[1,2]}` are bytes: to handlers that ask for bytes, and to
    /// peers of other dialects that the arguments are passed on to; see
    /// [`RawArgs::with_buffers`](crate::RawArgs::with_buffers). Default: true.
    #[must_use]
    pub fn revive_buffers(mut self, revive: bool) -> Self {
        self.revive_buffers = revive;
        self
    }
}

impl Default for LinesConfig {
    fn default() -> Self {
        Self {
            bad_lines: BadLines::Ignore,
            revive_buffers: true,
        }
    }
}
