use crate::DecodeError;

/// What is read from other servers at most. All of these are finite by default, as whoever may publish on the engine
/// between the servers can send anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub(crate) max_bytes: usize,
    pub(crate) max_names: usize,
    pub(crate) max_attachments: usize,
}

impl Limits {
    /// The default limits.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            max_bytes: 64 << 20,
            max_names: 100_000,
            max_attachments: 10_000,
        }
    }

    /// Sets how many bytes a message may have. Default: 64 MiB.
    #[must_use]
    pub const fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets how many rooms a message may name in one list. Each takes some 50 bytes more in memory than on the wire. Default:
    /// 100,000.
    #[must_use]
    pub const fn max_names(mut self, names: usize) -> Self {
        self.max_names = names;
        self
    }

    /// Sets how many attachments the arguments of an event may have. What a client sends has a limit of its own, which is
    /// much lower; this one is for what servers emit. Default: 10,000.
    #[must_use]
    pub const fn max_attachments(mut self, attachments: usize) -> Self {
        self.max_attachments = attachments;
        self
    }

    pub(crate) fn check_len(&self, frame: &[u8]) -> Result<(), DecodeError> {
        let max = self.max_bytes;
        match frame.len() > max {
            true => Err(DecodeError::TooLong { max }),
            false => Ok(()),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}
