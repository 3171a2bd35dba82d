//! `sockeye serve`: a Socket.IO server, with the demo chat unless it is not wanted.

mod metrics;
mod options;
mod site;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use sockeye::{ClientFilesError, ConfigError, ListenError, ListenOptions, Listener, Server};
use thiserror::Error;

use crate::report::{ADDRESS, BOLD, BRAND, DIM, Exit, Explain};
use crate::signals::Signals;
pub(crate) use options::ServeOptions;

use metrics::Metrics;
use site::Site;

/// Why the server does not start.
#[derive(Debug, Error)]
pub(crate) enum ServeError {
    #[error("the client bundles cannot be served")]
    ClientFiles(#[from] ClientFilesError),
    #[error("this cannot be served")]
    Config(#[from] ConfigError),
    #[error("there is no such cluster")]
    Cluster(#[from] sockeye::cluster::ClusterUrlError),
    #[error("cannot wait for signals")]
    Signals(#[source] io::Error),
    #[error("no metrics can be read at {address}")]
    Metrics { address: String, source: io::Error },
    #[error(transparent)]
    Listen(#[from] ListenError),
}

/// How long the server waits for its cluster before it begins alone.
const CLUSTER_PATIENCE: Duration = Duration::from_secs(3);

/// Serves until it is told to stop.
pub(crate) async fn run(options: ServeOptions) -> Result<Exit, ServeError> {
    let mut signals = Signals::listen().map_err(ServeError::Signals)?;
    // Before there is a server, which looks for who records what it does.
    let metrics = match &options.metrics {
        Some(address) => Some(record(address).await?),
        None => None,
    };
    let io = Server::with_config(options.config()?)?;
    let site = if options.no_demo {
        Site::health_only()
    } else {
        sockeye_chat::open(&io);
        Site::with_chat(&options.path)
    };
    if let Some(cluster) = io.cluster() {
        // Who is told where this server is can rely on its being in the cluster, unless that is away.
        let _ = tokio::time::timeout(CLUSTER_PATIENCE, cluster.ready()).await;
    }
    let mut listeners = Vec::new();
    for url in &options.listen {
        let listening = io.listen_service(url, ListenOptions::default(), site.clone());
        listeners.push(listening.await?);
    }
    let readable = metrics.as_ref().and_then(Metrics::local_addr);
    welcome(&options, &listeners, readable);
    if let Some(metrics) = metrics {
        tokio::spawn(metrics.serve());
    }

    signals.next().await;
    say(format_args!(
        "{DIM}Closing; Ctrl-C again stops at once.{DIM:#}"
    ));
    tokio::select! {
        () = io.close() => Ok(Exit::Success),
        () = signals.next() => Ok(Exit::Interrupted),
    }
}

async fn record(address: &str) -> Result<Metrics, ServeError> {
    let listening = Metrics::listen(address).await;
    listening.map_err(|source| ServeError::Metrics {
        address: address.to_owned(),
        source,
    })
}

/// Tells where the server can be reached, and its metrics read.
fn welcome(options: &ServeOptions, listeners: &[Listener], metrics: Option<SocketAddr>) {
    let version = env!("CARGO_PKG_VERSION");
    let what = match options.no_demo {
        true => "Socket.IO server",
        false => "Socket.IO server with a chat",
    };
    say(format_args!(
        "{BRAND}Sockeye{BRAND:#} {BOLD}{version}{BOLD:#}, {what}"
    ));
    for listener in listeners {
        let (url, note) = visitable(&listener.url(), listener.local_addr());
        say(format_args!(
            "  {ADDRESS}{url}{ADDRESS:#}{DIM}{note}{DIM:#}"
        ));
    }
    if let Some(address) = metrics {
        let url = metrics::url(address);
        say(format_args!("{DIM}Metrics are at {url}{DIM:#}"));
    }
    let path = &options.path;
    say(format_args!(
        "{DIM}Clients connect with the path {path}/. Ctrl-C stops.{DIM:#}"
    ));
}

/// A URL that can be opened in a browser, and what else there is to say about it.
fn visitable(url: &str, address: Option<SocketAddr>) -> (String, &'static str) {
    if let Some(address) = address.filter(|address| address.ip().is_unspecified()) {
        let scheme = url.split("://").next().unwrap_or("http");
        let url = format!("{scheme}://localhost:{}", address.port());
        (url, " and every other address of this machine")
    } else {
        (url.to_owned(), "")
    }
}

/// Writes a line to standard output.
fn say(line: std::fmt::Arguments<'_>) {
    // The server works as well if nobody reads this.
    let _ = writeln!(anstream::stdout(), "{line}");
}

impl Explain for ServeError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Listen(error) => listen_hint(error),
            Self::Cluster(error) => Some(crate::publish::url_hint(error)),
            Self::Metrics { source, .. } => Some(metrics_hint(source.kind()).into()),
            Self::ClientFiles(_) => Some(
                "--client-dir wants a directory with socket.io.js or its relatives, such as \
                 node_modules/socket.io/client-dist."
                    .into(),
            ),
            _ => None,
        }
    }
}

/// What helps where metrics cannot be listened for.
const fn metrics_hint(error: io::ErrorKind) -> &'static str {
    match error {
        io::ErrorKind::AddrInUse => {
            "Another program listens there already; take another port: --metrics localhost:9465"
        }
        io::ErrorKind::PermissionDenied => "Ports below 1024 need special rights on most systems.",
        _ => "Write it like localhost:9464, or 0.0.0.0:9464 to let other machines read, too.",
    }
}

fn listen_hint(error: &ListenError) -> Option<String> {
    match error {
        ListenError::Bind { url, source } => {
            let shown = url.to_string();
            match shown.split_once(':') {
                Some(("unix", _)) | None => path_hint(source.kind()).map(str::to_owned),
                Some((scheme, _)) => port_hint(scheme, url.port(), source.kind()),
            }
        }
        ListenError::Url { .. } => {
            Some("Write it like http://localhost:3000, tcp://:5000 or unix:./app.sock.".into())
        }
        ListenError::MissingTls { .. } => {
            Some("This command does not serve TLS; put a proxy in front of it for https.".into())
        }
        _ => None,
    }
}

/// What helps where a port cannot be listened on.
fn port_hint(scheme: &str, port: u16, error: io::ErrorKind) -> Option<String> {
    match error {
        io::ErrorKind::AddrInUse => {
            let other = port.checked_add(1).unwrap_or(3000);
            Some(format!(
                "Another program listens there already, perhaps an earlier `sockeye serve`. \
                 Stop it, or take another port: sockeye serve --listen {scheme}://localhost:{other}"
            ))
        }
        io::ErrorKind::PermissionDenied => Some(format!(
            "Ports below 1024 need special rights on most systems; try one above, such as \
             {scheme}://localhost:3000."
        )),
        io::ErrorKind::AddrNotAvailable => Some(format!(
            "No interface of this machine has that address; {scheme}://0.0.0.0:3000 means all \
             that there are."
        )),
        _ => None,
    }
}

/// What helps where a socket file, or something like it, cannot be made.
const fn path_hint(error: io::ErrorKind) -> Option<&'static str> {
    match error {
        io::ErrorKind::AddrInUse => Some(
            "Perhaps it is an earlier `sockeye serve`. Stop it, or let --listen name another \
             path.",
        ),
        io::ErrorKind::AlreadyExists => Some(
            "Only a socket file that nobody answers on is replaced; move this file away, or let \
             --listen name another path.",
        ),
        io::ErrorKind::PermissionDenied => Some(
            "A socket file takes the right to write to its directory, and one that is there \
             already may be another user's; try a directory of your own, such as \
             unix:./app.sock.",
        ),
        io::ErrorKind::NotFound => Some("Its directory has to be there already; make it first."),
        io::ErrorKind::InvalidInput => {
            Some("A path from the current directory is shorter, such as unix:./app.sock.")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(url: &str, source: io::ErrorKind) -> String {
        let error = ListenError::Bind {
            url: url.parse().unwrap(),
            source: source.into(),
        };
        ServeError::Listen(error).hint().unwrap()
    }

    #[test]
    fn hint_is_about_what_was_to_be_listened_on() {
        use io::ErrorKind::{AddrInUse, AlreadyExists, NotFound, PermissionDenied};
        for url in ["http://localhost:80", "tcp://:80"] {
            assert!(hint(url, PermissionDenied).contains("Ports below 1024"));
        }
        assert!(hint("http://a:80", AddrInUse).ends_with("--listen http://localhost:81"));
        assert!(hint("tcp://:80", AddrInUse).ends_with("--listen tcp://localhost:81"));
        for url in ["unix:./app.sock", "unix:@app", "unix:/a://b:1"] {
            for kind in [AddrInUse, AlreadyExists, NotFound, PermissionDenied] {
                let hint = hint(url, kind);
                for word in ["port", "Port", "localhost", "http"] {
                    assert!(!hint.contains(word), "{url} {kind}: {hint}");
                }
            }
        }
    }

    #[test]
    fn every_address_is_shown_as_one_that_can_be_visited() {
        let everywhere = "[::]:3000".parse().ok();
        let (url, note) = visitable("http://[::]:3000", everywhere);
        assert_eq!(url, "http://localhost:3000");
        assert!(note.contains("every other address"));
        let here = "127.0.0.1:80".parse().ok();
        assert_eq!(visitable("http://a:80", here), ("http://a:80".into(), ""));
        let file = "unix:./app.sock";
        assert_eq!(visitable(file, None), (file.into(), ""));
    }
}
