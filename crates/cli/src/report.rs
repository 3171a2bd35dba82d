//! How failures are told, and the colours of everything that is.

use std::error::Error;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use thiserror::Error;

pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const COMMAND: Style = AnsiColor::Cyan.on_default().bold();
pub(crate) const ADDRESS: Style = AnsiColor::Cyan.on_default().underline();
pub(crate) const BRAND: Style = AnsiColor::Red.on_default().bold();
const FAILURE: Style = AnsiColor::Red.on_default().bold();

/// A failure that may know what to do about it.
pub(crate) trait Explain: Error {
    /// Sentences for the one who started the command.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// The operating system refused what a runtime needs.
#[derive(Debug, Error)]
#[error("cannot start")]
pub(crate) struct NoRuntime(#[source] pub(crate) io::Error);

impl Explain for NoRuntime {}

impl<E: Explain + 'static> From<E> for Box<dyn Explain> {
    fn from(error: E) -> Self {
        Box::new(error)
    }
}

/// Writes a failure to standard error: what, why, and what to do about it, in one paragraph.
pub(crate) fn print(error: &dyn Explain) {
    let mut out = anstream::stderr().lock();
    let text = chain(error);
    // Where standard error is closed nobody can be told.
    let _ = match error.hint() {
        Some(hint) => writeln!(out, "{FAILURE}error:{FAILURE:#} {text}. {hint}"),
        None => writeln!(out, "{FAILURE}error:{FAILURE:#} {text}"),
    };
}

/// An error and its causes, as `what: why: why`.
fn chain(error: &dyn Explain) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_follow_what_they_caused() {
        let error = NoRuntime(io::Error::other("no threads left"));
        assert_eq!(chain(&error), "cannot start: no threads left");
    }
}
