//! The log, which goes to standard error.

use std::io::stderr;

use anstream::AutoStream;
use anstream::ColorChoice;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

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
        _ => filter.parse_lossy(""),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(AutoStream::choice(&stderr()) != ColorChoice::Never)
        .init();
}
