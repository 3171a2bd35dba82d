/// How many events of other servers of the cluster may be unfinished at a time, in each namespace.
///
/// The other servers do not wait. What comes beyond these bounds is dropped, which is
/// [counted](crate::ClusterCounts::dropped_events), logged, and told as a [gap](crate::ClusterChange::Gap).
#[derive(Clone, Copy, Debug)]
pub struct ServerSideLimits {
    max_handlers: usize,
    max_queued_events: usize,
    max_queued_bytes: usize,
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
            max_handlers: 256,
            max_queued_events: 1024,
            max_queued_bytes: 4 * 1024 * 1024,
        }
    }

    /// How many handlers of a namespace may be waiting for something at the same time; the events after that are queued.
    /// Default: 256; 0 means 1.
    #[must_use]
    pub const fn max_handlers(mut self, handlers: usize) -> Self {
        self.max_handlers = if handlers == 0 { 1 } else { handlers };
        self
    }

    /// How many events of a namespace may be queued for a free handler. Default: 1024.
    #[must_use]
    pub const fn max_queued_events(mut self, events: usize) -> Self {
        self.max_queued_events = events;
        self
    }

    /// How many bytes the events of a namespace may have together that are queued, and those whose handlers are waiting for
    /// something, as these may hold their arguments; one event may go beyond either. Default: 4 MiB.
    #[must_use]
    pub const fn max_queued_bytes(mut self, bytes: usize) -> Self {
        self.max_queued_bytes = bytes;
        self
    }

    /// Whether one more may be handled, beside so many handlers that wait and hold so many bytes.
    pub(super) fn are_free(&self, handlers: usize, bytes: usize) -> bool {
        handlers < self.max_handlers && bytes < self.max_queued_bytes.max(1)
    }

    /// Whether one more may be queued, behind so many events of so many bytes.
    pub(super) const fn have_room(&self, events: usize, bytes: usize) -> bool {
        events < self.max_queued_events && bytes < self.max_queued_bytes
    }
}
