//! A client with a fixed contract for test-suites of servers:
//! `client_probe URL [--transport polling|websocket|upgrade] [--protocol auto|3|4] [--dialect native|lines|auto]
//! [--parser standard|msgpack|json] [--reconnect]`.
//!
//! It connects to a server with the contract of the `conformance` example, tries everything that a
//! client can do there, and prints a line for each case: `ok NAME`, `FAILED NAME: why`, or
//! `left out NAME: why` for what there is not with such a server. It ends with 0 if no case failed,
//! with 1 if one did, and with 2 if the command line makes no sense. A case has five seconds, all of
//! them together have twenty-five.
//!
//! * `--transport` is for HTTP: long-polling alone, WebSocket alone, or from the one to the other
//!   (default).
//! * `--protocol` is the revision of Engine.IO over HTTP. Default: found out.
//! * `--dialect` is for `tcp` and `unix` URLs: packets (default), JSON lines, or found out. Over
//!   lines there are neither namespaces nor requests, so that the cases are others.
//! * `--parser` is the format of packets. Default: the standard one.
//! * `--reconnect` is for those who can restart the server: a last case says a line `restart`, and
//!   waits for the server to crash and to come back.
//!
//! A server of plain peers, which knows no acknowledgements either, is told by its contract: it
//! emits `auth` with an empty object on connection, answers `message` by `message-back`, the event
//! with the empty name by itself, and ends the connection at `disconnect-me`.

mod cases;
mod lines;
mod peer;
mod reconnect;

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use sockeye::client::ConnectUrl;
use sockeye::{ConnectError, Dialect, Revision, TransportKind};
use tokio::time::{Instant, timeout_at};

use peer::Peer;

/// How to reach the server.
#[derive(Clone, Debug)]
struct Probe {
    url: String,
    /// What the connection is to end up on.
    transport: TransportKind,
    /// Whether it begins on long-polling and moves on from there.
    upgrade: bool,
    /// `None` if it is to be found out; so is the dialect.
    revision: Option<Revision>,
    dialect: Option<Dialect>,
    format: Format,
    /// Whether somebody restarts the server when it is asked for.
    reconnect: bool,
}

/// How packets look.
#[derive(Clone, Copy, Debug)]
enum Format {
    Standard,
    MessagePack,
    Json,
}

type Failure = Box<dyn Error + Send + Sync>;
type CaseResult = Result<(), Failure>;
/// Why a case is none with this server: an error of its own, and no failure.
#[derive(Debug)]
struct LeftOut(&'static str);

type Case = for<'p> fn(&'p Probe) -> Pin<Box<dyn Future<Output = CaseResult> + 'p>>;

const USAGE: &str = "usage: client_probe URL [--transport polling|websocket|upgrade] \
                     [--protocol auto|3|4] [--dialect native|lines|auto] \
                     [--parser standard|msgpack|json] [--reconnect]";

/// What one case may take, and all of them together: suites that run this program wait for 30 s.
const CASE_LIMIT: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(25);

const RECONNECT: &str = "reconnect";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(probe) = Probe::from_args() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let end = Instant::now() + LIMIT;
    let lines = match probe.dialect {
        Some(Dialect::Packets) => false,
        Some(Dialect::Lines) => true,
        // What keeps it from connecting is what the cases fail with.
        None => {
            matches!(timeout_at(end, probe.speaks_lines()).await, Ok(Ok(true)))
        }
    };
    let (mut cases, reconnect): (Vec<(&str, Case)>, Case) = match lines {
        true => (lines::CASES.into(), |probe| {
            Box::pin(reconnect::over_lines(probe))
        }),
        false => (cases::CASES.into(), |probe| {
            Box::pin(reconnect::with_namespaces(probe))
        }),
    };
    if probe.reconnect {
        cases.push((RECONNECT, reconnect));
    }
    let mut failures = 0;
    for (name, case) in &cases {
        // Servers may take long to start, which no limit of a case is about.
        let limit = match *name {
            RECONNECT => LIMIT,
            _ => CASE_LIMIT,
        };
        let end = end.min(Instant::now() + limit);
        let result = match timeout_at(end, case(&probe)).await {
            Ok(result) => result,
            Err(_) => Err("no end in time".into()),
        };
        match result {
            Ok(()) => println!("ok {name}"),
            Err(error) if error.is::<LeftOut>() => println!("left out {name}: {error}"),
            Err(error) => {
                failures += 1;
                println!("FAILED {name}: {}", with_causes(&*error));
            }
        }
    }
    println!("{failures} of {} cases failed", cases.len());
    ExitCode::from(u8::from(failures > 0))
}

impl Probe {
    fn from_args() -> Option<Self> {
        let mut args = std::env::args().skip(1);
        let url = args.next()?;
        let parsed: ConnectUrl = url.parse().ok()?;
        let mut transport = parsed.stream_transport();
        let mut upgrade = transport.is_none();
        let mut revision = None;
        let mut dialect = Some(Dialect::Packets);
        let mut format = Format::Standard;
        let mut reconnect = false;
        while let Some(arg) = args.next() {
            if arg == "--reconnect" {
                reconnect = true;
                continue;
            }
            match (arg.as_str(), args.next()?.as_str()) {
                ("--transport", name) => {
                    let named = match name {
                        "polling" => TransportKind::Polling,
                        "websocket" | "upgrade" => TransportKind::WebSocket,
                        _ => return None,
                    };
                    if parsed.is_http() {
                        transport = Some(named);
                        upgrade = name == "upgrade";
                    }
                }
                ("--protocol", "auto") => revision = None,
                ("--protocol", "3") => revision = Some(Revision::V3),
                ("--protocol", "4") => revision = Some(Revision::V4),
                ("--dialect", "native") => dialect = Some(Dialect::Packets),
                ("--dialect", "lines") => dialect = Some(Dialect::Lines),
                ("--dialect", "auto") => dialect = None,
                ("--parser", "standard") => format = Format::Standard,
                ("--parser", "msgpack") => format = Format::MessagePack,
                ("--parser", "json") => format = Format::Json,
                _ => return None,
            }
        }
        if parsed.is_http() {
            dialect = Some(Dialect::Packets);
        }
        Some(Self {
            url,
            transport: transport.unwrap_or(TransportKind::WebSocket),
            upgrade,
            revision,
            dialect,
            format,
            reconnect,
        })
    }

    /// Finds out what a bare stream speaks: over lines there are no namespaces to join.
    async fn speaks_lines(&self) -> Result<bool, Failure> {
        let peer = Peer::new(self, "/")?;
        peer.socket.connect().await?;
        let custom = peer.socket.client().socket("/custom");
        let result = custom.connect().await;
        peer.socket.client().close().await;
        Ok(matches!(result, Err(ConnectError::Namespace(_))))
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for LeftOut {}

fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
