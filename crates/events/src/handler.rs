use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::FutureExt;

use crate::reply::{Responder, Role};
use crate::{Callback, Called, Event, EventSocket, HandlerFuture, IntoReply};

/// A handler whose type is erased.
pub type BoxHandler<S> = Arc<dyn ErasedHandler<S>>;

/// A handler behind a pointer; made by [`erase`].
pub trait ErasedHandler<S>: Send + Sync {
    /// Calls the handler. A future comes back if it is async, not polled yet.
    ///
    /// Failures to extract, errors and panics have been reported to the socket.
    fn call(&self, event: &Event<'_, S>, role: Role) -> Option<HandlerFuture>;
}

/// Erases a handler's type.
pub fn erase<S, M, H>(handler: H) -> BoxHandler<S>
where
    S: EventSocket,
    M: 'static,
    H: Callback<S, M>,
    H::Output: IntoReply,
{
    Arc::new(Erased {
        handler,
        inferred: PhantomData::<fn(M)>,
    })
}

struct Erased<H, M> {
    handler: H,
    inferred: PhantomData<fn(M)>,
}

impl<S, M, H> ErasedHandler<S> for Erased<H, M>
where
    S: EventSocket,
    H: Callback<S, M>,
    H::Output: IntoReply,
{
    fn call(&self, event: &Event<'_, S>, role: Role) -> Option<HandlerFuture> {
        let responder = Responder::begin(event, role);
        // A panic must end this event only, also one in what the result's type does when it is
        // sent. The handler is shared by reference and is expected to keep its own state sound,
        // as every handler on a thread pool must.
        let called = catch_unwind(AssertUnwindSafe(|| match self.handler.call(event) {
            Ok(Called::Now(output)) => {
                output.reply(&responder);
                None
            }
            Ok(Called::Later(future)) => Some(future),
            Err(error) => {
                responder.reject(error);
                None
            }
        }));
        match called {
            Ok(None) => {
                responder.end();
                None
            }
            Ok(Some(future)) => {
                let later = responder.to_owned();
                Some(Box::pin(async move {
                    let work = async { future.await.reply(&later.responder()) };
                    if let Err(panic) = AssertUnwindSafe(work).catch_unwind().await {
                        later.responder().panicked(&*panic);
                    }
                    later.responder().end();
                }))
            }
            Err(panic) => {
                responder.panicked(&*panic);
                responder.end();
                None
            }
        }
    }
}
