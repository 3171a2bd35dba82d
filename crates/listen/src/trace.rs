//! What is logged of sessions, and what is logged and counted of who does not get one.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use sockeye_engine_proto::RequestError;
use sockeye_meter as meter;
use tracing::Span;

/// The span of a session's task, in which the application's handlers run, too.
///
/// Sessions have a number in it, as their ids are secret. It stands alone, because it outlives the request that has opened
/// the session: whatever that one's span was would otherwise stay open as long.
pub(crate) fn connection(remote: Option<SocketAddr>) -> Span {
    static OPENED: AtomicU64 = AtomicU64::new(1);
    tracing::info_span!(
        parent: None,
        "connection",
        n = OPENED.fetch_add(1, Ordering::Relaxed),
        remote = remote.map(tracing::field::display),
    )
}

/// A request over HTTP is refused. One of a session that there is has been let in before.
pub(crate) fn refused(error: &RequestError, remote: Option<SocketAddr>) {
    if !error.is_about_session() {
        meter::refused(reason(error));
    }
    let context = match error {
        RequestError::BadRequest(context) => Some(context.name()),
        _ => None,
    };
    tracing::debug!(
        code = error.code(),
        %error,
        context,
        remote = remote.map(tracing::field::display),
        "request refused"
    );
}

/// A peer on a bare stream does not get a session.
pub(crate) fn unopened(why: Unopened<'_>, remote: Option<SocketAddr>) {
    let reason = match why {
        Unopened::Garbled(_) => "garbled",
        Unopened::Silent => "silent",
        Unopened::Http => "http on a stream",
        Unopened::Lines => "lines",
        Unopened::Refused(error) => reason(error),
    };
    meter::refused(reason);
    let error = match why {
        Unopened::Garbled(error) => Some(error),
        Unopened::Refused(error) => Some(error as &dyn fmt::Display),
        Unopened::Silent | Unopened::Http | Unopened::Lines => None,
    };
    tracing::debug!(
        reason,
        error = error.map(tracing::field::display),
        remote = remote.map(tracing::field::display),
        "a peer on a bare stream did not open a session"
    );
}

/// Why a peer on a bare stream does not get a session.
#[derive(Clone, Copy)]
pub(crate) enum Unopened<'a> {
    /// What it said makes no sense, or its stream came to its end.
    Garbled(&'a dyn fmt::Display),
    /// It said nothing.
    Silent,
    /// It speaks HTTP.
    Http,
    /// It speaks lines where only packets are taken.
    Lines,
    Refused(&'a RequestError),
}

/// A connection finds no room.
pub(crate) fn no_room(full: &dyn fmt::Display) {
    meter::refused("too many connections");
    tracing::debug!(%full, "a connection is refused");
}

/// What the refusal is counted as. No words of the application's: these could be of any number.
fn reason(error: &RequestError) -> &'static str {
    match error {
        RequestError::BadRequest(context) => context.name(),
        RequestError::Forbidden(Some(text)) if [FULL, FULL_FROM_THERE].contains(&&**text) => {
            "too many sessions"
        }
        RequestError::Forbidden(_) => "forbidden",
        RequestError::UnknownTransport => "unknown transport",
        RequestError::UnknownSession => "unknown session",
        RequestError::BadHandshakeMethod => "bad method",
        RequestError::UnsupportedRevision => "unsupported revision",
        _ => "bad request",
    }
}

/// What a peer is told for whom there is no room.
pub(crate) const FULL: &str = "the server takes no more sessions";

/// The same, if it is only for peers from where it is.
pub(crate) const FULL_FROM_THERE: &str = "the server takes no more sessions from this address";
