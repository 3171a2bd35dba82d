//! `sockeye bench`: how fast a server answers events.

mod load;
mod options;
mod progress;
mod results;

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use sockeye::client::{EncodeError, Socket};
use thiserror::Error;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::escape::escape;
use crate::peer::PeerError;
use crate::report::{self, Exit, Explain};
use crate::signals::Signals;
use load::{Load, Pace};
pub(crate) use options::BenchOptions;
use options::LoadOptions;
use progress::Progress;
use results::Results;

/// Why nothing was measured.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error("the payload cannot be sent")]
    Encode(#[from] EncodeError),
    #[error("cannot wait for signals")]
    Signals(#[source] io::Error),
    #[error("the results cannot be written")]
    Output(#[source] io::Error),
}

/// Connections that are opened at a time. More would measure the server's backlog.
const OPENING: usize = 32;

/// Connects, emits for a while, and tells what it was like.
pub(crate) async fn run(mut options: BenchOptions) -> Result<Exit, Failure> {
    let mut signals = Signals::listen().map_err(Failure::Signals)?;
    options.peer.warn();
    options.peer.prefer_websocket();
    let load = Arc::new(Load::new(&options.load)?);
    let progress = Progress::new();
    let sockets = tokio::select! {
        sockets = connect(&options, &load, &progress) => sockets?,
        () = signals.next() => return Ok(Exit::Interrupted),
    };

    let start = Instant::now();
    let workers = spawn(&options.load, &sockets, &load, start);
    tokio::select! {
        () = tokio::time::sleep_until(start + options.load.duration.0) => {}
        () = load.lost_all(sockets.len()) => {}
        // What there is until then is told.
        () = signals.next() => {}
        () = progress.follow(&load, options.load.duration.0) => {}
    }
    load.stop();
    let transport = sockets.iter().find_map(Socket::transport);
    let (elapsed, answered) = (start.elapsed(), load.answered());
    // What is in flight is waited for, unless whoever watches has seen enough.
    tokio::select! {
        _ = join_all(workers) => {}
        () = signals.next() => {}
    }
    progress.finish();
    let results = Results::new(&options, transport, (elapsed, answered), &load);
    report::unless_closed(write(&results, options.json)).map_err(Failure::Output)?;
    if results.exit() == Exit::NoAnswer {
        let event = &options.load.event;
        report::warn(&format!(
            "nothing was answered: the server may not know the event {event}, or not answer it; and \
             who keeps silent on a bare stream may be no Socket.IO server at all"
        ));
    }
    let closing = sockets.iter().map(Socket::client);
    let closing = closing.map(|client| async move { client.close().await });
    tokio::select! {
        _ = join_all(closing) => Ok(results.exit()),
        () = signals.next() => Ok(Exit::Interrupted),
    }
}

/// Opens all connections.
async fn connect(
    options: &BenchOptions,
    load: &Arc<Load>,
    progress: &Progress,
) -> Result<Vec<Socket>, Failure> {
    let connections = options.load.connections.get();
    let opening = stream::iter(0..connections)
        .map(|_| async {
            let socket = options.peer.builder(None).build();
            let socket = socket.map_err(|error| options.peer.config_error(error))?;
            load.watch(&socket);
            let connected = socket.connect().await;
            connected.map_err(|error| options.peer.connect_error(error))?;
            progress.connected(connections);
            Ok(socket)
        })
        .buffer_unordered(OPENING);
    opening.try_collect().await
}

/// Starts the workers, each of which has one event in flight.
fn spawn(
    options: &LoadOptions,
    sockets: &[Socket],
    load: &Arc<Load>,
    start: Instant,
) -> Vec<JoinHandle<()>> {
    let count = sockets.len() * options.in_flight.get();
    // Neighbours in this list emit one after the other, so they are of different connections.
    let sockets = sockets.iter().cycle().take(count);
    sockets
        .enumerate()
        .map(|(index, socket)| {
            let pace = options
                .rate
                .map(|rate| Pace::new(rate, index, count, start));
            tokio::spawn(Arc::clone(load).work(index, socket.clone(), pace))
        })
        .collect()
}

fn write(results: &Results, as_json: bool) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    match as_json {
        true => writeln!(out, "{}", escape(&serde_json::to_string(results)?)),
        false => write!(out, "{results}"),
    }
}

/// A duration with three digits or so, for people.
fn human(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    let (value, unit) = match micros {
        ..1e3 => (micros, "µs"),
        ..1e6 => (micros / 1e3, "ms"),
        _ => (micros / 1e6, "s"),
    };
    match value {
        ..10.0 => format!("{value:.2} {unit}"),
        ..100.0 => format!("{value:.1} {unit}"),
        _ => format!("{value:.0} {unit}"),
    }
}

/// A number with its digits in groups, for people.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl Explain for Failure {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Peer(error) => error.hint(),
            _ => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Peer(error) => error.exit(),
            _ => Exit::Failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_few_digits() {
        for (micros, text) in [
            (1.234, "1.23 µs"),
            (82.04, "82.0 µs"),
            (999.0, "999 µs"),
            (1500.0, "1.50 ms"),
            (2.5e6, "2.50 s"),
        ] {
            assert_eq!(human(Duration::from_secs_f64(micros / 1e6)), text);
        }
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
