//! The words of the adapter, and those of the wire.

use std::time::Duration;

use sockeye_adapter::{BroadcastOptions, EventBody, Target};
use sockeye_cluster_proto::{Event, Flags, Opts};

/// Whom a target means, without anything special.
pub(crate) fn opts_of(target: &Target) -> Opts {
    Opts {
        rooms: target.shared_rooms().to_vec(),
        except: target.excepted().map(Into::into).collect(),
        flags: Flags::default(),
    }
}

/// To whom an event goes, and how. What is usual is not said.
pub(crate) fn opts_with(options: &BroadcastOptions) -> Opts {
    let mut opts = opts_of(&options.target);
    opts.flags.volatile = options.volatile;
    opts.flags.compress = (!options.compress).then_some(false);
    opts.flags.binary = (!options.binary).then_some(false);
    opts
}

pub(crate) fn target_of(opts: &Opts) -> Target {
    Target::all().to(&opts.rooms).except(&opts.except)
}

pub(crate) fn options_of(opts: &Opts) -> BroadcastOptions {
    let mut options = BroadcastOptions::new(target_of(opts));
    options.volatile = opts.flags.volatile;
    options.compress = opts.flags.compress.unwrap_or(true);
    options.binary = opts.flags.binary.unwrap_or(true);
    options.timeout = opts.flags.timeout.map(Duration::from_millis);
    options
}

pub(crate) fn event_of(event: &EventBody<'_>) -> Event {
    Event::new(event.name, event.args)
}
