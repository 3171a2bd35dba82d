//! The options of `sockeye serve`.

use std::path::PathBuf;

use clap::Args;
use sockeye::{ClientFiles, Cors, ServerConfig};

use super::ServeError;
use super::metrics::DEFAULT_ADDRESS;
use crate::units::{Size, Span};

/// What to serve, where, and within which bounds.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ServeOptions {
    /// Where to listen: http://HOST:PORT, tcp://HOST:PORT or unix:PATH. May be given several times. Port 0 takes any free port;
    /// with the host 0.0.0.0 other machines can connect.
    #[arg(long, value_name = "URL", default_value = "http://localhost:3000")]
    pub(crate) listen: Vec<String>,

    /// The path under which Socket.IO is served.
    #[arg(long, value_name = "PATH", default_value = "/socket.io", value_parser = parse_path)]
    pub(crate) path: String,

    /// An origin whose pages may use this server, such as https://example.org, or * for any.
    /// May be given several times. They may send cookies, as clients of Socket.IO 2 ask for it.
    #[arg(long, value_name = "ORIGIN", value_parser = parse_origin)]
    cors: Vec<String>,

    /// Serve Socket.IO only, without the chat and its pages.
    #[arg(long)]
    pub(crate) no_demo: bool,

    /// Serve the official client bundles of this directory, such as
    /// node_modules/socket.io/client-dist, under the path.
    #[arg(long, value_name = "DIR")]
    client_dir: Option<PathBuf>,

    /// Refuse clients of Engine.IO 3, which are those of Socket.IO 1 and 2.
    #[arg(long)]
    no_v3: bool,

    /// Serve metrics for Prometheus at http://ADDR/metrics, on a listener of its own. Give it no address that strangers
    /// can reach.
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = DEFAULT_ADDRESS)]
    pub(crate) metrics: Option<String>,

    /// Form one cluster with all servers that use this engine, Node's too: redis://HOST, redis+sharded://HOST,
    /// redis+streams://HOST, postgres://USER@HOST/DATABASE, mongodb://HOST/DATABASE, nats://HOST or nats+mickl://HOST;
    /// with TLS rediss://HOST (Redis) or tls://HOST (NATS). While it cannot be reached, this server goes on alone.
    #[arg(long, value_name = "URL")]
    cluster: Option<String>,

    #[command(flatten, next_help_heading = "Limits")]
    limits: Limits,
}

/// Bounds and times, all with a default.
#[derive(Debug, Args)]
struct Limits {
    /// The largest message or request body that is accepted.
    #[arg(long, value_name = "SIZE", default_value_t = Size(1_000_000))]
    max_payload: Size,

    /// What may wait for a client that reads slowly, before it misses messages or is
    /// disconnected.
    #[arg(long, value_name = "SIZE", default_value_t = Size(8 << 20))]
    max_outbox: Size,

    /// How many clients may be connected at once, over whatever transport.
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000)]
    max_sessions: usize,

    /// How many connections there may be at once, page requests included. A client has up to three. Beyond that an idle
    /// connection is closed for a new one, or else the new one refused.
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000_000)]
    max_connections: usize,

    /// How many of these, and of the clients, may come from one IP address, or from one network of IPv6 (the first 64 bits).
    /// Those behind a proxy all come from the proxy's address.
    #[arg(long, value_name = "NUMBER", default_value_t = 20_000)]
    max_connections_per_address: usize,

    /// How often clients are asked whether they are still there.
    #[arg(long, value_name = "TIME", default_value = "25s")]
    ping_interval: Span,

    /// How long they may take to answer that.
    #[arg(long, value_name = "TIME", default_value = "20s")]
    ping_timeout: Span,

    /// How long a client may stay without joining a namespace.
    #[arg(long, value_name = "TIME", default_value = "45s")]
    connect_timeout: Span,

    /// How long going from long-polling to a WebSocket may take.
    #[arg(long, value_name = "TIME", default_value = "10s")]
    upgrade_timeout: Span,
}

const EXAMPLES: &str = "\
Socket.IO clients of every version since 1.0 can connect, over long-polling and WebSocket.
GET /healthz answers \"ok\" as long as the server is up.

Sizes have the unit B, kB, MB, KiB or MiB, and are bytes without one; times have ms, s, m or h.
At most 64 events of one client wait for its earlier ones.

Examples:
  sockeye serve                                     the chat at http://localhost:3000
  sockeye serve --listen http://0.0.0.0:8080        for other machines too
  sockeye serve --listen unix:./app.sock            for programs on this machine
  sockeye serve --metrics 0.0.0.0:9464              with figures for Prometheus at /metrics
  sockeye serve --no-demo --cors https://example.org --client-dir node_modules/socket.io/client-dist
  sockeye serve --ping-interval 5s --ping-timeout 3s --max-payload 10MB";

/// How many events of one client may wait until its earlier ones are done with. Fewer than the
/// library's default, because each may be as large as the largest payload.
const MAX_QUEUED_EVENTS: usize = 64;

impl ServeOptions {
    /// The configuration of the server.
    pub(super) fn config(&self) -> Result<ServerConfig, ServeError> {
        let given = &self.limits;
        let mut config = ServerConfig::default()
            .inbox(|inbox| inbox.max_queued_events(MAX_QUEUED_EVENTS))
            .connection(|connection| connection.connect_timeout(given.connect_timeout.0))
            .engine(|engine| {
                engine
                    .path(self.path.as_str())
                    .allow_v3(!self.no_v3)
                    .max_sessions(given.max_sessions)
                    .max_connections(given.max_connections)
                    .max_connections_per_address(given.max_connections_per_address)
                    .limits(|limits| {
                        limits
                            .max_payload(given.max_payload.0)
                            .outbox_limit(given.max_outbox.0)
                    })
                    .session(|session| {
                        session
                            .ping_interval(given.ping_interval.0)
                            .ping_timeout(given.ping_timeout.0)
                            .upgrade_timeout(given.upgrade_timeout.0)
                    })
            });
        if let Some(cors) = self.cors() {
            config = config.engine(|engine| engine.cors(cors));
        }
        if let Some(dir) = &self.client_dir {
            config = config.client_files(ClientFiles::from_dir(dir)?);
        }
        if let Some(url) = &self.cluster {
            config = config.cluster(sockeye::cluster::from_url(url)?);
        }
        Ok(config)
    }

    fn cors(&self) -> Option<Cors> {
        let cors = match &self.cors[..] {
            [] => return None,
            origins if origins.iter().any(|origin| origin == "*") => Cors::mirror(),
            origins => Cors::origins(origins),
        };
        // Long-polling of Socket.IO 2 asks with credentials, and browsers hand it no answer that
        // does not allow them. This server has no cookies that another page could abuse.
        Some(cors.credentials(true))
    }
}

/// Brings a path into the form `/a/b`.
///
/// It gets into the chat's page as it is, so it must not hold what means something to HTML or
/// to a URL. `/` alone would leave no room for the pages.
fn parse_path(path: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let trimmed = path.trim_end_matches('/');
    if !trimmed.starts_with('/') {
        Err("it must begin with a slash and have a name, such as /socket.io")
    } else if !trimmed.bytes().all(plain) || trimmed.contains("//") {
        Err("it may hold letters, digits, single slashes and -._~")
    } else {
        Ok(trimmed.to_owned())
    }
}

/// Origins are compared as they are, so one that no browser sends would be a silent mistake.
fn parse_origin(origin: &str) -> Result<String, &'static str> {
    let complete = match origin.split_once("://") {
        Some((scheme, host)) => {
            !scheme.is_empty() && !host.is_empty() && !host.contains(['/', '?', '#', ' ', '*'])
        }
        None => origin == "*" || origin == "null",
    };
    if complete {
        Ok(origin.to_owned())
    } else {
        Err("write it as a browser sends it, without a final slash: https://example.org or *")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_is_brought_into_one_form() {
        assert_eq!(parse_path("/a/b/").as_deref(), Ok("/a/b"));
        for wrong in ["", "/", "a", "/a\"b", "/a?b", "/a//b", "/ä"] {
            assert!(parse_path(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn origin_is_what_a_browser_sends() {
        for right in ["*", "null", "https://example.org", "http://localhost:8080"] {
            assert!(parse_origin(right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "example.org",
            "https://",
            "https://example.org/",
            "https://*.org",
        ] {
            assert!(parse_origin(wrong).is_err(), "{wrong}");
        }
    }
}
