//! What can be registered for the sockets of a namespace, or of all namespaces of a kind.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use sockeye_events::{EventError, EventSocket, Listeners, Snapshot, names};
use sockeye_link::middleware::BoxMiddleware;

/// Handlers of events, middlewares and the error hook.
pub(crate) struct Handlers<S> {
    pub(crate) listeners: Listeners<S>,
    middlewares: Snapshot<Vec<BoxMiddleware<S>>>,
    error_hook: Snapshot<Option<ErrorHook<S>>>,
}

/// What is called with events that went wrong.
pub(crate) type ErrorHook<S> = Arc<dyn Fn(&S, &EventError) + Send + Sync>;

impl<S: EventSocket> Handlers<S> {
    pub(crate) fn add_middleware(&self, middleware: BoxMiddleware<S>) {
        self.middlewares
            .update(|middlewares| middlewares.push(middleware));
    }

    pub(crate) fn middlewares(&self) -> Arc<Vec<BoxMiddleware<S>>> {
        self.middlewares.load()
    }

    pub(crate) fn set_error_hook(&self, hook: ErrorHook<S>) {
        self.error_hook.update(|current| *current = Some(hook));
    }

    pub(crate) fn error_hook(&self) -> Option<ErrorHook<S>> {
        Option::clone(&self.error_hook.load())
    }
}

impl<S: EventSocket> Default for Handlers<S> {
    fn default() -> Self {
        Self {
            listeners: Listeners::with_own_names(own_name),
            middlewares: Snapshot::default(),
            error_hook: Snapshot::default(),
        }
    }
}

/// Calls a hook, which is the last resort: what it panics with can only be logged.
pub(crate) fn tell<S>(hook: &ErrorHook<S>, socket: &S, error: &EventError) {
    if catch_unwind(AssertUnwindSafe(|| hook(socket, error))).is_err() {
        tracing::error!("the error hook panicked");
    }
}

/// `connection` is what the JavaScript API calls it.
fn own_name(name: &str) -> &str {
    match name {
        "connection" => names::CONNECT,
        name => name,
    }
}
