use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sockeye_events::StateMap;
use sockeye_link::InboxLimits;

use crate::ServerConfig;
use crate::namespaces::Namespaces;

/// What a server and its connections have in common.
pub(crate) struct Common {
    config: Arc<ServerConfig>,
    /// For the connections, which share them.
    inbox_limits: Arc<InboxLimits>,
    state: Arc<StateMap>,
    namespaces: Arc<Namespaces>,
    closing: AtomicBool,
}

impl Common {
    pub(crate) fn new(config: ServerConfig) -> Self {
        let (config, state) = (Arc::new(config), Arc::<StateMap>::default());
        Self {
            inbox_limits: Arc::new(config.inbox),
            namespaces: Arc::new(Namespaces::new(Arc::clone(&config), Arc::clone(&state))),
            config,
            state,
            closing: AtomicBool::new(false),
        }
    }

    pub(crate) fn config(&self) -> &ServerConfig {
        &self.config
    }

    pub(crate) const fn inbox_limits(&self) -> &Arc<InboxLimits> {
        &self.inbox_limits
    }

    pub(crate) const fn namespaces(&self) -> &Arc<Namespaces> {
        &self.namespaces
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    pub(crate) fn state(&self) -> &StateMap {
        &self.state
    }

    pub(crate) fn set_closing(&self) {
        self.closing.store(true, Ordering::Release);
    }
}
