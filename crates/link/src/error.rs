//! Errors on their way to a socket's own handlers.

use std::sync::Arc;

use sockeye_events::{Event, EventError, EventErrorKind, EventSocket, HandlerFuture, Listeners};

use crate::packet::ERROR;

/// Hands an error to those of a socket's handlers that listen to the event `error`; `start` gets each future right
/// after its handler was called. The error comes back, and whether anybody was told.
///
/// What goes wrong in such a handler itself is not told to it again.
pub fn tell_error<S: EventSocket>(
    socket: &S,
    listeners: &Listeners<S>,
    error: EventError,
    start: impl FnMut(HandlerFuture),
) -> (Arc<EventError>, bool) {
    let error = Arc::new(error);
    let table = listeners.load();
    if is_of_handler(&error) || !table.has_named(ERROR) {
        return (error, false);
    }
    let event = Event::local(socket, ERROR).with_detail(&error);
    if table.dispatch_local(&event, start) {
        listeners.sweep(ERROR);
    }
    (error, true)
}

/// Whether a handler of `error` has caused this.
fn is_of_handler(error: &EventError) -> bool {
    error.event() == ERROR
        && matches!(
            error.kind(),
            EventErrorKind::Extract(_)
                | EventErrorKind::Refused(_)
                | EventErrorKind::Panicked(_)
                | EventErrorKind::Reply(_)
        )
}
