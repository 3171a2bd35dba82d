use sockeye_events::Ordering;

/// How many events of one origin may be unfinished at a time: what the limits of a connection's events and of those of other
/// servers have in common.
#[derive(Clone, Copy, Debug)]
pub struct EventLimits {
    max_handlers: usize,
    max_queued_events: usize,
    max_queued_bytes: usize,
}

impl Default for EventLimits {
    fn default() -> Self {
        Self::new()
    }
}

impl EventLimits {
    /// 256 handlers that wait, and 1,024 events or 4 MiB that are queued.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            max_handlers: 256,
            max_queued_events: 1024,
            max_queued_bytes: 4 * 1024 * 1024,
        }
    }

    /// How many handlers may be waiting for something; the events after that are queued. 0 means 1.
    #[must_use]
    pub const fn max_handlers(mut self, handlers: usize) -> Self {
        self.max_handlers = if handlers == 0 { 1 } else { handlers };
        self
    }

    /// How many events may be queued for a free handler. 0 means 1.
    #[must_use]
    pub const fn max_queued_events(mut self, events: usize) -> Self {
        self.max_queued_events = if events == 0 { 1 } else { events };
        self
    }

    /// How many bytes the events may have that are queued, and those whose handlers are waiting. One event may go beyond,
    /// however many it has, so that 0 means that there is one at a time.
    #[must_use]
    pub const fn max_queued_bytes(mut self, bytes: usize) -> Self {
        self.max_queued_bytes = if bytes == 0 { 1 } else { bytes };
        self
    }

    /// Whether another handler may begin, beside so many that wait and hold so many bytes.
    #[must_use]
    #[inline]
    pub const fn is_free(&self, handlers: usize, held: usize) -> bool {
        handlers < self.max_handlers && held < self.max_queued_bytes
    }

    /// Whether another event may be queued, behind so many events and so many bytes.
    #[must_use]
    #[inline]
    pub const fn has_room(&self, events: usize, bytes: usize) -> bool {
        events < self.max_queued_events && bytes < self.max_queued_bytes
    }
}

/// How much of what comes in may be unfinished at a time, per connection.
///
/// Past these bounds the peer is not read from, so that its sending waits.
#[derive(Clone, Copy, Debug)]
pub struct InboxLimits {
    pub(super) events: EventLimits,
    pub(super) max_held_bytes: usize,
    ordering: Ordering,
}

impl Default for InboxLimits {
    fn default() -> Self {
        Self::new()
    }
}

impl InboxLimits {
    /// The defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            events: EventLimits::new(),
            max_held_bytes: 16 * 1024 * 1024,
            ordering: Ordering::Concurrent,
        }
    }

    /// Whether events of one connection may overlap. Default: [`Ordering::Concurrent`].
    #[must_use]
    pub const fn ordering(mut self, ordering: Ordering) -> Self {
        self.ordering = ordering;
        self
    }

    /// How many handlers of one connection may be waiting for something at the same time; the
    /// events after that are queued. At a server so many may also be waiting that decide whether sockets may
    /// join their namespaces; beyond them the peer is not read from. Default: 256; 0 means 1.
    #[must_use]
    pub const fn max_handlers(mut self, handlers: usize) -> Self {
        self.events = self.events.max_handlers(handlers);
        self
    }

    /// How many events of one connection may be queued for a free handler. Default: 1024; 0 means 1.
    #[must_use]
    pub const fn max_queued_events(mut self, events: usize) -> Self {
        self.events = self.events.max_queued_events(events);
        self
    }

    /// How many bytes the events of one connection may have together that are queued, or whose
    /// handlers are waiting for something, as these may hold their arguments; one event may go
    /// beyond. Default: 4 MiB.
    ///
    /// Counted is what came in, as it came: names, JSON and attachments. What a handler makes of it may take several
    /// times as much: a list of short texts, for one, which are a few bytes of JSON each and an allocation each as
    /// `Vec<String>`. Keep that in mind where peers are not trusted, and take arguments as types that are no larger than
    /// need be.
    ///
    /// Handlers that have large arguments and wait for an answer of their own peer need more, or they
    /// wait for what is not read: it lies behind events that there is no room for.
    #[must_use]
    pub const fn max_queued_bytes(mut self, bytes: usize) -> Self {
        self.events = self.events.max_queued_bytes(bytes);
        self
    }

    /// How many bytes the events of one connection may have together that a client gets before it is told that
    /// its socket is connected: those that the socket has missed, if the server has recovery. One event may go
    /// beyond. Default: 16 MiB, which is twice what a server of ours keeps of one namespace; Node's
    /// keep as much as there is.
    ///
    /// Counted is what came in, and 256 bytes more for each event.
    #[must_use]
    pub const fn max_held_bytes(mut self, bytes: usize) -> Self {
        self.max_held_bytes = bytes;
        self
    }

    /// How many decisions about joining may wait before the peer has to. They have no order.
    #[doc(hidden)]
    #[must_use]
    pub const fn max_joins(&self) -> usize {
        self.events.max_handlers
    }

    /// How many handlers may wait before the next event has to.
    pub(super) const fn handlers(&self) -> usize {
        match self.ordering {
            Ordering::Concurrent => self.events.max_handlers,
            Ordering::Serial => 1,
        }
    }

    /// Whether the next event may be handled, beside so many handlers that wait and hold so many bytes.
    pub(super) const fn is_free(&self, handlers: usize, held: usize) -> bool {
        handlers < self.handlers() && self.events.is_free(handlers, held)
    }
}
