//! Broadcasts of this server that wait for their place in the log.

use std::collections::VecDeque;
use std::time::Instant;

use sockeye_adapter::{BroadcastOptions, EventBody, Local};
use sockeye_socket_proto::Args;

/// Those of one namespace, in the order of their tags, which is that in which they were published.
///
/// They are delivered in this order, too, so that one that comes back and is not here any more was delivered before.
#[derive(Debug, Default)]
pub(super) struct Later(VecDeque<Waiting>);

#[derive(Debug)]
pub(super) struct Waiting {
    tag: u64,
    name: Box<str>,
    args: Args,
    options: BroadcastOptions,
    until: Instant,
}

impl Later {
    pub(super) fn push(
        &mut self,
        tag: u64,
        event: &EventBody<'_>,
        options: &BroadcastOptions,
        until: Instant,
    ) {
        self.0.push_back(Waiting {
            tag,
            name: event.name.into(),
            args: event.args.to_args(),
            options: options.clone(),
            until,
        });
    }

    /// Whether the first has waited until then; any, without a time.
    pub(super) fn is_due(&self, now: Option<Instant>) -> bool {
        let first = self.0.front();
        first.is_some_and(|first| now.is_none_or(|now| first.until <= now))
    }

    pub(super) fn pop(&mut self) -> Option<Waiting> {
        self.0.pop_front()
    }

    /// The first, if it is not behind this one.
    pub(super) fn pop_until(&mut self, tag: u64) -> Option<Waiting> {
        self.0.front().filter(|first| first.tag <= tag)?;
        self.0.pop_front()
    }
}

impl Waiting {
    pub(super) const fn tag(&self) -> u64 {
        self.tag
    }

    pub(super) fn deliver(mut self, local: &dyn Local, offset: Option<&str>) {
        self.options.offset = offset.map(Into::into);
        let body = EventBody {
            name: &self.name,
            args: self.args.as_raw(),
        };
        local.broadcast(&body, &self.options);
    }
}
