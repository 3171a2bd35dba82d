//! Why arguments could not be read.

use std::fmt;

use serde::de;
use serde::de::IgnoredAny;

/// Why arguments could not be read into the types a handler asked for. Arguments count from 1.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArgsError {
    /// The peer sent fewer arguments.
    #[error("argument {argument} is missing")]
    Missing {
        /// Which one.
        argument: usize,
    },
    /// The argument is JSON of another shape, or refers to an attachment that does not exist.
    #[error("argument {argument}: {error}")]
    Shape {
        /// Which one.
        argument: usize,
        /// What was expected, what was found, and where inside the argument.
        error: serde_json::Error,
    },
    /// The argument is not JSON: the peer breaks the protocol.
    #[error("argument {argument} is not JSON: {error}")]
    Syntax {
        /// Which one.
        argument: usize,
        /// What is wrong, and where inside the argument.
        error: serde_json::Error,
    },
    /// The type that takes the arguments as a whole refused them.
    #[error("{0}")]
    Refused(Box<str>),
}

impl ArgsError {
    /// Whether the JSON itself is broken, which is a protocol violation and not a matter of one event.
    #[must_use]
    pub fn is_syntax(&self) -> bool {
        matches!(self, Self::Syntax { .. })
    }

    pub(crate) fn from_json(argument: usize, text: &str, error: serde_json::Error) -> Self {
        // serde_json also reports lone surrogates, numbers beyond the range of `f64` and deep nesting as bad syntax. They are
        // JSON that JavaScript accepts and sends, so they are the fault of the asking type, not of the peer.
        if error.is_data() || serde_json::from_str::<IgnoredAny>(text).is_ok() {
            Self::Shape { argument, error }
        } else {
            Self::Syntax { argument, error }
        }
    }
}

impl de::Error for ArgsError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Refused(message.to_string().into())
    }
}
