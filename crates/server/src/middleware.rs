use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt;
use sockeye_events::{Callback, Called, Event, IntoRefusal, Outcome, Refusal};
use sockeye_socket_proto::Args;

use crate::Socket;

/// What a middleware decides.
///
/// A namespace's middleware decides whether a socket may join: there, [`Next::Pass`] means yes
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
    /// Go no further, and say why: to the client if it wants to join, to the error hook if it
    /// was an event.
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

impl<T: IntoVerdict, E: IntoRefusal> IntoVerdict for Result<T, E> {
    fn into_verdict(self) -> Next {
        match self {
            Ok(next) => next.into_verdict(),
            Err(error) => Next::Refuse(error.into_refusal()),
        }
    }
}

/// A middleware behind a pointer.
pub(crate) type BoxMiddleware = Arc<dyn Fn(&Event<'_, Socket>) -> Decision + Send + Sync>;

/// A decision, now or later.
pub(crate) enum Decision {
    Now(Next),
    Later(Pin<Box<dyn Future<Output = Next> + Send>>),
}

/// Erases a middleware's type. A panic in it is a refusal.
pub(crate) fn erase<M, F>(middleware: F) -> BoxMiddleware
where
    F: Callback<Socket, M>,
    F::Output: IntoVerdict,
{
    Arc::new(move |event| {
        let called = catch_unwind(AssertUnwindSafe(|| match middleware.call(event) {
            Ok(Called::Now(output)) => Ok(output.into_verdict()),
            Ok(Called::Later(future)) => Err(future),
            Err(error) => Ok(Next::Refuse(Refusal::new(error.to_string()))),
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
    Next::Refuse(Refusal::new("internal error"))
}
