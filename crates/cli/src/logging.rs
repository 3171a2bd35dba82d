//! The log, which goes to standard error.

use std::fmt::{self, Debug};
use std::io::stderr;

use anstream::AutoStream;
use anstream::ColorChoice;
use anstyle::Style;
use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::{FormatFields, Writer, debug_fn};

use crate::escape::escape;
use crate::report::DIM;

/// Starts logging. `verbose` counts the `-v`s, which override the variable RUST_LOG.
pub(crate) fn start(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let filter = EnvFilter::builder().with_default_directive(level.into());
    let filter = match verbose {
        0 => filter.from_env_lossy(),
        1 => filter.parse_lossy(WHAT_HAPPENS),
        _ => filter.parse_lossy(""),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(AutoStream::choice(&stderr()) != ColorChoice::Never)
        .fmt_fields(fields())
        .init();
}

/// Rooms and events of a server are details to a program, but not to whoever looks at it by `-v`.
const WHAT_HAPPENS: &str = "info,sockeye_server::trace=debug";

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
