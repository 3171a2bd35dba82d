//! What may stand between an event, or a socket that wants in, and the handlers.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt;
use sockeye_events::{
    AckSlot, Callback, Called, Event, EventSocket, Failure, IntoRefusal, Outcome, Refusal,
};
use sockeye_socket_proto::Args;

/// What a middleware decides.
///
/// A middleware of a server's namespace decides whether a socket may join: there, [`Next::Pass`] means yes
/// and [`Next::Drop`] is a refusal with the message `Forbidden`. A socket's middleware decides what becomes of
/// an incoming event.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Go on.
    Pass,
    /// Go on with the event changed to this name and these arguments.
    Rewrite(String, Args),
    /// Go no further, and say nothing.
    Drop,
    /// Go no further, and say why: to the client if it wants to join; if it was an event, to the
    /// error hook, and to the peer if it waits for an answer or is on a TCP or Unix-domain stream.
    Refuse(Refusal),
}

/// What a middleware may return: `()` or `Ok(())` to go on, `Err` to refuse, or a [`Next`].
#[diagnostic::on_unimplemented(
    message = "a middleware cannot return `{Self}`",
    note = "return `()` or `Ok(())` to go on, `Err` with a text or a `Refusal` to refuse, or a `Next`"
)]
pub trait IntoVerdict: Outcome {
    /// Turns the result into a decision.
    fn into_verdict(self) -> Next;
}

impl IntoVerdict for () {
    fn into_verdict(self) -> Next {
        Next::Pass
    }
}

impl Outcome for Next {}

impl IntoVerdict for Next {
    fn into_verdict(self) -> Next {
        self
    }
}

impl<T: IntoVerdict, E: Failure> IntoVerdict for Result<T, E> {
    fn into_verdict(self) -> Next {
        match self {
            Ok(next) => next.into_verdict(),
            Err(error) => Next::Refuse(error.fail()),
        }
    }
}

/// A middleware behind a pointer; made by [`erase`].
pub type BoxMiddleware<S> = Arc<dyn Fn(&Event<'_, S>) -> Decision + Send + Sync>;

/// A decision that takes its time.
pub type Verdict = Pin<Box<dyn Future<Output = Next> + Send>>;

/// A decision, now or later.
pub enum Decision {
    /// It is made.
    Now(Next),
    /// The middleware is async; its future has not been polled yet.
    Later(Verdict),
}

/// Erases a middleware's type. A panic in it is a refusal.
pub fn erase<S, M, F>(middleware: F) -> BoxMiddleware<S>
where
    F: Callback<S, M>,
    F::Output: IntoVerdict,
{
    Arc::new(move |event| {
        let called = catch_unwind(AssertUnwindSafe(|| match middleware.call(event) {
            Ok(Called::Now(output)) => Ok(output.into_verdict()),
            Ok(Called::Later(future)) => Err(future),
            Err(error) => Ok(Next::Refuse(error.into_refusal())),
        }));
        match called {
            Ok(Ok(next)) => Decision::Now(next),
            Ok(Err(future)) => Decision::Later(Box::pin(async {
                let work = async { future.await.into_verdict() };
                AssertUnwindSafe(work)
                    .catch_unwind()
                    .await
                    .unwrap_or_else(|_| panicked())
            })),
            Err(_) => Decision::Now(panicked()),
        }
    })
}

fn panicked() -> Next {
    tracing::error!("a middleware panicked");
    Next::Refuse(Refusal::internal())
}

/// Asks one middleware after the other about an event. If all pass, the verdict is
/// [`Next::Rewrite`] with the event as they have left it.
pub async fn ask<S: EventSocket>(
    middlewares: Arc<Vec<BoxMiddleware<S>>>,
    socket: S,
    mut name: String,
    mut args: Args,
    ack: Option<AckSlot>,
) -> Next {
    for middleware in middlewares.iter() {
        let decision = middleware(&Event::again(&socket, &name, args.as_raw(), ack.clone()));
        let next = match decision {
            Decision::Now(next) => next,
            Decision::Later(future) => future.await,
        };
        match next {
            Next::Pass => {}
            Next::Rewrite(new_name, new_args) => (name, args) = (new_name, new_args),
            verdict => return verdict,
        }
    }
    Next::Rewrite(name, args)
}

impl fmt::Debug for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(next) => f.debug_tuple("Now").field(next).finish(),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}
