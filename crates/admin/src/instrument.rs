use std::sync::Arc;

use serde_json::json;
use sockeye_server::{Namespace, Server, Socket};
use thiserror::Error;

use crate::access::{Access, NewSession};
use crate::config::{AdminConfig, Mode};
use crate::figures::{self, Identity};
use crate::orders;
use crate::shown::{Shown, note};
use crate::watch;

/// Shows a server to the pages of `@socket.io/admin-ui`, which connect to a namespace that is added to it.
///
/// To be called once for each server, before it listens and before it is given handlers: of sockets and connections that were
/// there before, less is told.
///
/// ```
/// # use sockeye_server as sockeye;
/// use sockeye::Server;
/// use sockeye_admin::{AdminConfig, Credentials, Mode, instrument};
///
/// let io = Server::new();
/// let hash = "$2b$10$jPzzNernFh4JYZCyVk47Z.XMIHFQ7RRUquwQ6nRcrE9w0jw17ETvW";
/// let config = AdminConfig::new(Credentials::new("ann", hash)?).mode(Mode::Production);
/// instrument(&io, config)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// In a cluster, outside of a tokio runtime: pages at other servers are told figures from now on.
pub fn instrument(io: &Server, config: AdminConfig) -> Result<(), InstrumentError> {
    sockeye_meter::count_totals();
    let shown = Arc::new(Shown::new(io, &config));
    let teller = Arc::new(Teller {
        identity: Arc::new(Identity::new(config.server_id.as_deref())),
        mode: config.mode,
        read_only: config.read_only,
    });
    if shown.is_in_cluster() {
        let runtime = tokio::runtime::Handle::try_current();
        let runtime = runtime.map_err(|_| InstrumentError::NoRuntime)?;
        if shown.is_to_begin() {
            runtime.spawn(teller.figures(&shown));
        }
    }
    let pages = io.of(&config.namespace);
    if let Some(credentials) = config.credentials {
        let access = Arc::new(Access::new(credentials, config.sessions));
        pages.middleware(move |socket: Socket| Arc::clone(&access).ask(socket));
    } else {
        tracing::warn!(
            namespace = config.namespace,
            "the admin UI is open to everybody"
        );
    }
    welcome(&pages, &shown, teller);
    if !config.read_only {
        orders::obey(&pages);
    }
    if config.mode == Mode::Development {
        watch::everything(io, &shown);
    }
    Ok(())
}

/// Why a server cannot be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InstrumentError {
    /// It is a server of a cluster, which tells figures from the beginning, and there is no runtime for the task that does.
    #[error("a server of a cluster has to be instrumented in a tokio runtime")]
    NoRuntime,
}

/// What a page is told of when it comes.
struct Teller {
    identity: Arc<Identity>,
    mode: Mode,
    read_only: bool,
}

impl Teller {
    fn features(&self) -> Vec<&'static str> {
        let mut features = match self.read_only {
            true => Vec::new(),
            false => orders::FEATURES.to_vec(),
        };
        features.push("AGGREGATED_EVENTS");
        if self.mode == Mode::Development {
            features.push("ALL_EVENTS");
        }
        features
    }

    fn figures(&self, shown: &Arc<Shown>) -> impl Future<Output = ()> + Send + use<> {
        figures::tell(Arc::downgrade(shown), Arc::clone(&self.identity), self.mode)
    }
}

/// A page that is counted. It is not any more when the socket's handlers are told of its end, or with the socket.
#[derive(Clone)]
struct Counted(#[expect(dead_code, reason = "it is there to be dropped")] Arc<Page>);

struct Page(Arc<Shown>);

impl Drop for Page {
    fn drop(&mut self) {
        self.0.page_went();
    }
}

fn welcome(pages: &Namespace, shown: &Arc<Shown>, teller: Arc<Teller>) {
    let shown = Arc::clone(shown);
    pages.on_connect(move |socket: Socket, io: Server| {
        if let Some(NewSession(session)) = socket.take_data() {
            note(socket.emit("session", session));
        }
        // Whoever has seen the page's first event, and then connects, is among the figures.
        let figures = teller.figures(&shown);
        let features = teller.features();
        note(socket.emit("config", json!({ "supportedFeatures": features })));
        shown.page_came();
        socket.set_data(Counted(Arc::new(Page(Arc::clone(&shown)))));
        if shown.is_to_begin() {
            tokio::spawn(figures);
        }
        let (shown, mode) = (Arc::clone(&shown), teller.mode);
        async move {
            if mode == Mode::Development {
                let sockets = watch::all_sockets(io, &shown).await;
                note(socket.emit("all_sockets", (sockets,)));
            }
        }
    });
    pages.on_disconnect(|socket: Socket| drop(socket.take_data::<Counted>()));
}
