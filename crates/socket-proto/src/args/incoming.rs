//! Arguments on their way out of a connection, borrowed if they can be.

use serde::de::Deserialize;

use super::{Args, ArgsError, RawArgs};
use crate::encode::{ArgsWriter, EncodeError, ToArgs};

/// Arguments as they come out of a connection: borrowed from the received text, or owned when the packet had to
/// wait for its attachments.
#[derive(Debug, Clone)]
pub enum IncomingArgs<'a> {
    /// Borrowed from the text that has just been handled.
    Borrowed(RawArgs<'a>),
    /// Kept aside until the last attachment arrived.
    Owned(Args),
}

impl IncomingArgs<'_> {
    /// A borrowed view.
    #[must_use]
    pub fn as_raw(&self) -> RawArgs<'_> {
        match self {
            Self::Borrowed(args) => *args,
            Self::Owned(args) => args.as_raw(),
        }
    }

    /// The owned form; copies only what is borrowed.
    #[must_use]
    pub fn into_args(self) -> Args {
        match self {
            Self::Borrowed(args) => args.to_args(),
            Self::Owned(args) => args,
        }
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

impl PartialEq for IncomingArgs<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_raw() == other.as_raw()
    }
}

impl ToArgs for IncomingArgs<'_> {
    fn write_args(&self, out: &mut ArgsWriter<'_>) -> Result<(), EncodeError> {
        out.extend(self.as_raw())
    }
}
