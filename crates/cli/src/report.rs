//! How failures are told, and the colours of everything that is.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use thiserror::Error;

pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const COMMAND: Style = AnsiColor::Cyan.on_default().bold();
pub(crate) const ADDRESS: Style = AnsiColor::Cyan.on_default().underline();
pub(crate) const BRAND: Style = AnsiColor::Red.on_default().bold();
const FAILURE: Style = AnsiColor::Red.on_default().bold();

const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// How a command ends, as a script sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Exit {
    Success = 0,
    /// What was asked for cannot be done, by whatever is in the way on this side.
    Failure = 1,
    /// The server cannot be reached, or refuses.
    Unreachable = 2,
    /// The server did not answer in time.
    NoAnswer = 3,
    /// The connection was lost, or the server ended it.
    Disconnected = 4,
    /// What a shell reports for a program that Ctrl-C ended.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A failure that may know what to do about it.
pub(crate) trait Explain: Error {
    /// Sentences for the one who started the command.
    fn hint(&self) -> Option<String> {
        None
    }

    /// How the command ends by it.
    fn exit(&self) -> Exit {
        Exit::Failure
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
    // Servers have a say in some of these.
    let text = chain(error);
    let text = escape_controls(&text);
    // Where standard error is closed nobody can be told.
    let _ = match error.hint() {
        Some(hint) => {
            let text = text.trim_end_matches('.');
            writeln!(out, "{FAILURE}error:{FAILURE:#} {text}. {hint}")
        }
        None => writeln!(out, "{FAILURE}error:{FAILURE:#} {text}"),
    };
}

/// Writes a warning to standard error.
pub(crate) fn warn(text: &str) {
    let _ = writeln!(anstream::stderr(), "{WARNING}warning:{WARNING:#} {text}");
}

/// Text for a terminal, in which nothing moves its cursor, changes its colours, or turns the
/// direction of the text around.
pub(crate) fn escape_controls(text: &str) -> Cow<'_, str> {
    if !text.contains(is_control) {
        return text.into();
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        if is_control(char) {
            // As JSON would write it; all of these fit into four digits.
            let _ = write!(safe, "\\u{:04x}", u32::from(char));
        } else {
            safe.push(char);
        }
    }
    safe.into()
}

/// Whether a character acts on the terminal rather than being shown by it.
fn is_control(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// An error and its causes, as `what: why: why`.
pub(crate) fn chain(error: &dyn Error) -> String {
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

    #[test]
    fn terminal_is_safe_from_text_of_others() {
        assert_eq!(escape_controls("Grüße 🎈"), "Grüße 🎈");
        assert_eq!(escape_controls("\u{1b}[2J"), "\\u001b[2J");
        assert_eq!(escape_controls("a\u{9b}\u{202e}b"), "a\\u009b\\u202eb");
    }
}
