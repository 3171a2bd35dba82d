//! The log, which goes to standard error.

use std::fmt::{self, Debug};
use std::io::stderr;

use anstream::AutoStream;
use anstream::ColorChoice;
use anstyle::Style;
use tracing::field::Field;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::fmt::format::{FormatFields, Writer, debug_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::escape::escape;
use crate::report::DIM;

/// Starts logging. `verbose` counts the `-v`s, which override the variable RUST_LOG.
pub(crate) fn start(verbose: u8) {
    let wish = std::env::var("RUST_LOG").unwrap_or_default();
    let (filter, mistake) = filter(verbose, &wish);
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(stderr)
        .with_ansi(AutoStream::choice(&stderr()) != ColorChoice::Never)
        .fmt_fields(fields());
    tracing_subscriber::registry()
        .with(filter)
        .with(layer)
        .init();
    if let Some(mistake) = mistake {
        tracing::warn!(%mistake, "RUST_LOG is ignored; it is a list such as info,sockeye_engine=debug");
    }
}

/// What is logged, and why not what RUST_LOG asks for.
fn filter(verbose: u8, wish: &str) -> (Targets, Option<ParseError>) {
    if verbose > 0 || wish.is_empty() {
        return (targets(verbose), None);
    }
    match wish.parse() {
        Ok(filter) => (filter, None),
        Err(mistake) => (targets(verbose), Some(mistake)),
    }
}

/// What is logged if RUST_LOG has no say.
fn targets(verbose: u8) -> Targets {
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let targets = Targets::new().with_default(level);
    if verbose == 1 {
        // Rooms and events of a server are details to a program, but not to whoever looks at it by `-v`.
        targets.with_target("sockeye_server::trace", LevelFilter::DEBUG)
    } else {
        targets
    }
}

/// How the fields of what is logged are written. Names of events, messages of errors and much else
/// come from peers, and the log ends up in a terminal sooner or later.
fn fields() -> impl for<'w> FormatFields<'w> + Send + Sync + 'static {
    debug_fn(write_field).delimited(" ")
}

fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    let text = format!("{value:?}");
    let text = escape(&text);
    let name = field.name();
    match name.strip_prefix("r#").unwrap_or(name) {
        "message" => write!(writer, "{text}"),
        name if writer.has_ansi_escapes() => {
            write!(writer, "{NAME}{name}{NAME:#}{DIM}={DIM:#}{text}")
        }
        name => write!(writer, "{name}={text}"),
    }
}

const NAME: Style = Style::new().italic();

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn variable_decides_without_an_option() {
        use tracing::Level;
        let logs = |verbose, wish, target, level| {
            let (filter, _) = filter(verbose, wish);
            filter.would_enable(target, &level)
        };
        assert!(logs(0, "", "hyper", Level::WARN));
        assert!(!logs(0, "", "hyper", Level::INFO));
        let wish = "info,sockeye_engine=debug,hyper=off";
        assert!(logs(0, wish, "sockeye_engine::driver", Level::DEBUG));
        assert!(logs(0, wish, "rustls", Level::INFO));
        assert!(!logs(0, wish, "hyper", Level::ERROR));
        assert!(logs(1, wish, "hyper", Level::INFO));
        assert!(logs(1, "", "sockeye_server::trace", Level::DEBUG));
        assert!(!logs(1, "", "sockeye_server", Level::DEBUG));
        assert!(logs(3, wish, "hyper", Level::TRACE));
        assert!(filter(0, "loud").1.is_none(), "a target may have any name");
        assert!(filter(0, "hyper=loud").1.is_some());
        assert!(logs(0, "hyper=loud", "hyper", Level::WARN));
    }

    #[test]
    fn log_is_safe_from_text_of_others() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .fmt_fields(fields())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let name = "a\u{9b}2J\u{202e}\n\u{7f}";
            let span = tracing::warn_span!("span", inner = name).entered();
            tracing::warn!(%name, quoted = name, "failed: {name}");
            drop(span);
        });
        let text = String::from_utf8(log.0.lock().clone()).unwrap();
        let safe = r"failed: a\u009b2J\u202e\u000a\u007f name=a\u009b2J\u202e\u000a\u007f quoted=";
        assert!(text.contains(safe), "{text}");
        let line = text.strip_suffix('\n').unwrap();
        assert!(!line.contains(crate::escape::is_hidden), "{line:?}");
    }
}
