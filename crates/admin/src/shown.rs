//! The server that is shown, and who looks at it.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use sockeye_server::{EmitError, Namespace, Server, Socket, ToArgs, WeakServer};

use crate::config::AdminConfig;
use crate::view::Veil;

/// What handlers and the task that tells figures have in common. The handlers are kept by the server, so that this keeps
/// nothing of it.
pub(crate) struct Shown {
    pub(crate) server: WeakServer,
    /// Of the pages.
    pub(crate) namespace: String,
    pub(crate) veil: Veil,
    pub(crate) max_event_bytes: usize,
    /// Pages that are connected to other servers are told as well.
    is_in_cluster: bool,
    /// Changed under the lock of [`is_told`](Self::is_told).
    pages: AtomicUsize,
    /// A task tells figures, or is about to be spawned for that.
    is_told: Mutex<bool>,
}

/// How many watch any server of this process: of the servers in clusters each, of others their pages. Where it is zero,
/// nobody need look further.
static WATCHERS: AtomicUsize = AtomicUsize::new(0);

/// Bytes that may wait for a page before events are left out.
const LAGGING: usize = 64 * 1024;

/// Whether anybody watches any server of this process.
pub(crate) fn anybody_watches() -> bool {
    WATCHERS.load(Ordering::Relaxed) > 0
}

impl Shown {
    pub(crate) fn new(server: &Server, config: &AdminConfig) -> Self {
        let is_in_cluster = server.cluster().is_some();
        WATCHERS.fetch_add(usize::from(is_in_cluster), Ordering::Relaxed);
        Self {
            server: server.downgrade(),
            namespace: config.namespace.clone(),
            veil: Veil::new(&config.hidden),
            max_event_bytes: config.max_event_bytes,
            is_in_cluster,
            pages: AtomicUsize::new(0),
            is_told: Mutex::default(),
        }
    }

    pub(crate) const fn is_in_cluster(&self) -> bool {
        self.is_in_cluster
    }

    /// Whether anybody is to be told.
    pub(crate) fn is_watched(&self) -> bool {
        self.is_in_cluster || self.pages.load(Ordering::Acquire) > 0
    }

    /// Whether this namespace is that of the pages.
    pub(crate) fn is_of_pages(&self, namespace: &Namespace) -> bool {
        namespace.name() == self.namespace
    }

    /// A page has connected.
    pub(crate) fn page_came(&self) {
        let _is_told = self.is_told.lock();
        self.pages.fetch_add(1, Ordering::Release);
        WATCHERS.fetch_add(1, Ordering::Relaxed);
    }

    /// It has gone.
    pub(crate) fn page_went(&self) {
        let _is_told = self.is_told.lock();
        self.pages.fetch_sub(1, Ordering::Release);
        WATCHERS.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether a task is to be spawned that tells figures. It has to ask [`goes_on`](Self::goes_on) from time to time.
    pub(crate) fn is_to_begin(&self) -> bool {
        !std::mem::replace(&mut *self.is_told.lock(), true)
    }

    /// Whether that task has to go on. If not, it is none any more.
    pub(crate) fn goes_on(&self) -> bool {
        let mut is_told = self.is_told.lock();
        *is_told = self.is_watched();
        *is_told
    }

    /// Tells all pages.
    pub(crate) fn tell(&self, event: &str, args: impl ToArgs) {
        if let Some(pages) = self.pages() {
            note(pages.emit(event, args));
        }
    }

    /// The same of something that a page can do without: it is left out where pages are behind. What they have to know to show
    /// what is there always goes.
    pub(crate) fn mention(&self, event: &str, args: impl ToArgs) {
        let Some(pages) = self.pages() else {
            return;
        };
        let is_behind = |page: &Socket| page.queued_bytes() > LAGGING;
        note(match pages.sockets().iter().any(is_behind) {
            false => pages.emit(event, args),
            true => pages.volatile().emit(event, args),
        });
    }

    fn pages(&self) -> Option<Namespace> {
        self.is_watched()
            .then(|| self.server.namespace(&self.namespace))
            .flatten()
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        let watchers = usize::from(self.is_in_cluster) + *self.pages.get_mut();
        WATCHERS.fetch_sub(watchers, Ordering::Relaxed);
    }
}

/// What a page cannot be told is no error of whoever has done it.
pub(crate) fn note(told: Result<(), EmitError>) {
    if let Err(error) = told {
        tracing::debug!(%error, "a page of the admin UI was not told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn figures_are_told_by_one_task_for_as_long_as_there_are_pages() {
        let io = Server::new();
        let shown = Shown::new(&io, &AdminConfig::unprotected());
        assert!(!shown.is_watched());
        shown.page_came();
        assert!(shown.is_watched() && anybody_watches());
        assert!(shown.is_to_begin());
        shown.page_came();
        assert!(!shown.is_to_begin(), "there is one");
        shown.page_went();
        assert!(shown.goes_on());
        shown.page_went();
        assert!(!shown.is_watched());
        shown.page_came();
        assert!(!shown.is_to_begin(), "it has not ended yet");
        assert!(shown.goes_on());
        shown.page_went();
        assert!(!shown.goes_on());
        assert!(shown.is_to_begin());
        shown.page_came();
        drop(shown);
        assert!(!anybody_watches());
    }
}
