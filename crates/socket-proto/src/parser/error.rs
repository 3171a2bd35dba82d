use std::fmt;

/// What a parser cannot write or read, and why. Made from anything that can be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParserError(Box<str>);

impl ParserError {
    /// An error that says this.
    #[must_use]
    pub fn new(what: impl fmt::Display) -> Self {
        Self(what.to_string().into())
    }
}
