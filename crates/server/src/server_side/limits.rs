use sockeye_link::EventLimits;

/// How many events of other servers of the cluster may be unfinished at a time, in each namespace.
///
/// The other servers do not wait. What comes beyond these bounds is dropped, which is
/// [counted](crate::ClusterCounts::dropped_events), logged, and told as a [gap](crate::ClusterChange::Gap).
#[derive(Clone, Copy, Debug)]
pub struct ServerSideLimits {
    pub(super) events: EventLimits,
}

impl Default for ServerSideLimits {
    fn default() -> Self {
        Self::new()
    }
}

impl ServerSideLimits {
    /// The defaults, which are those of a client's [events](crate::InboxLimits).
    #[must_use]
    pub const fn new() -> Self {
        Self {
            events: EventLimits::new(),
        }
    }

    /// How many handlers of a namespace may be waiting for something at the same time; the events after that are queued.
    /// Default: 256; 0 means 1.
    #[must_use]
    pub const fn max_handlers(mut self, handlers: usize) -> Self {
        self.events = self.events.max_handlers(handlers);
        self
    }

    /// How many events of a namespace may be queued for a free handler. Default: 1024; 0 means 1.
    #[must_use]
    pub const fn max_queued_events(mut self, events: usize) -> Self {
        self.events = self.events.max_queued_events(events);
        self
    }

    /// How many bytes the events of a namespace may have together that are queued, and those whose handlers are waiting for
    /// something, as these may hold their arguments; one event may go beyond either. Default: 4 MiB.
    #[must_use]
    pub const fn max_queued_bytes(mut self, bytes: usize) -> Self {
        self.events = self.events.max_queued_bytes(bytes);
        self
    }
}
