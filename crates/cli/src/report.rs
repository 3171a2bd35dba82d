//! How failures are told, and the colours of everything that is.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use thiserror::Error;

use crate::escape::escape;

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
    let mut text = chain(error);
    if let Some(hint) = error.hint() {
        text.truncate(text.trim_end_matches('.').len());
        text.push_str(". ");
        text.push_str(&hint);
    }
    let text = escape(&text);
    // Where standard error is closed nobody can be told.
    let _ = writeln!(out, "{FAILURE}error:{FAILURE:#} {text}");
}

/// Writes a warning to standard error.
pub(crate) fn warn(text: &str) {
    let text = escape(text);
    let _ = writeln!(anstream::stderr(), "{WARNING}warning:{WARNING:#} {text}");
}

/// Whether something could be written to standard output. Whoever read that may have had enough, such as `| head`, which is no
/// failure.
pub(crate) fn unless_closed(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// An error and its causes, as `what: why: why`. Some errors end with their cause already, as they
/// have to make sense where nobody looks for it; that is not said twice.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let why = error.to_string();
        if !text.ends_with(&why) {
            text.push_str(": ");
            text.push_str(&why);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use sockeye::EventError;
    use sockeye::client::EventErrorKind;

    use super::*;

    #[test]
    fn causes_follow_what_they_caused() {
        let error = NoRuntime(io::Error::other("no threads left"));
        assert_eq!(chain(&error), "cannot start: no threads left");
    }

    #[test]
    fn output_that_nobody_reads_any_more_is_no_failure() {
        let result = |kind: io::ErrorKind| unless_closed(Err(kind.into()));
        assert!(result(io::ErrorKind::BrokenPipe).is_ok());
        assert!(result(io::ErrorKind::StorageFull).is_err());
        assert!(unless_closed(Ok(())).is_ok());
    }

    #[test]
    fn cause_that_is_told_already_is_not_told_again() {
        let kind = EventErrorKind::Undecodable("no type".into());
        let error = EventError::new("error", kind);
        let text = "event \"error\": undecodable packet: no type";
        assert_eq!(chain(&error), text);
    }
}
