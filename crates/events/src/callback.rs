use std::convert::Infallible;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::{Event, ExtractError, FromEvent};

/// A plain or async function of extractors: what `on`, `middleware` and the like accept.
///
/// Implemented for closures and functions of up to eight parameters, each a [`FromEvent`].
/// `M` is inferred; it tells plain functions, async ones and parameter lists apart.
///
/// The function is shared by all events, so it must be `Fn`: what it changes belongs into a
/// mutex or an atomic. An async closure (`async |…| …`) must not use variables from around it,
/// because the future could then outlive them; take such values with the
/// [`State`](crate::State) extractor, or clone them for each call:
/// `move |…| { let users = users.clone(); async move { … } }`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot handle events",
    label = "a parameter or the result has a type that handlers cannot have",
    note = "every parameter must be an extractor, by value: `Socket`, `Server`, `Data<T>` with `T: DeserializeOwned`, `Args`, `Ack<T>`, `State<T>` or `Extension<T>` with `T: Clone + Send + Sync`, `Captures<T>` with `T: DeserializeOwned`, `ParentNamespace`, `EventName`, `Handshake`, `DisconnectReason`, `DisconnectDetail`, `EnginePacket`, or `Result<X, ExtractError>` of one of these",
    note = "the arguments of the event are one extractor: `Data(text): Data<String>`, `Data((a, b)): Data<(A, B)>`",
    note = "the result must be `()`, a number, string, `Bytes`, `Vec`, `Option`, map, tuple, `serde_json::Value`, `Args`, or a `Result` with one of these; return any other `Serialize` type as `Reply(value)`",
    note = "a handler may be async; its future must be `Send + 'static`, and the handler itself `Send + Sync + 'static`"
)]
pub trait Callback<S, M>: Send + Sync + 'static {
    /// What the function returns, after awaiting.
    type Output;
    /// The future of an async function.
    type Future: Future<Output = Self::Output> + Send + 'static;

    /// Extracts the parameters and calls the function.
    ///
    /// # Errors
    ///
    /// If a parameter cannot be extracted; the function was not called then.
    fn call(
        &self,
        event: &Event<'_, S>,
    ) -> Result<Called<Self::Output, Self::Future>, ExtractError>;
}

/// What a call gave.
#[derive(Debug)]
pub enum Called<T, F> {
    /// A plain function's result.
    Now(T),
    /// An async function's future, not polled yet.
    Later(F),
}

/// Marks plain functions in [`Callback`]'s inferred parameter.
#[derive(Debug)]
pub enum Plain {}

/// Marks async functions in [`Callback`]'s inferred parameter.
#[derive(Debug)]
pub enum Async {}

/// The future of a plain function: there is none. A `Ready` would ask that results are `Send`.
#[derive(Debug)]
pub struct Never<T>(Infallible, PhantomData<fn() -> T>);

impl<T> Future for Never<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<T> {
        match self.0 {}
    }
}

macro_rules! callbacks {
    ($($param:ident)*) => {
        impl<S, Func, Output, $($param,)*> Callback<S, (Plain, Output, $($param,)*)> for Func
        where
            Func: Fn($($param),*) -> Output + Send + Sync + 'static,
            Output: crate::reply::Outcome + 'static,
            $($param: FromEvent<S>,)*
        {
            type Output = Output;
            type Future = Never<Output>;

            #[expect(clippy::allow_attributes, reason = "used by every arity but the first")]
            #[allow(unused_variables)]
            #[inline]
            fn call(&self, event: &Event<'_, S>) -> Result<Called<Output, Self::Future>, ExtractError> {
                Ok(Called::Now(self($($param::from_event(event)?),*)))
            }
        }

        impl<S, Func, Fut, $($param,)*> Callback<S, (Async, Fut, $($param,)*)> for Func
        where
            Func: Fn($($param),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output: crate::reply::Outcome> + Send + 'static,
            $($param: FromEvent<S>,)*
        {
            type Output = Fut::Output;
            type Future = Fut;

            #[expect(clippy::allow_attributes, reason = "used by every arity but the first")]
            #[allow(unused_variables)]
            #[inline]
            fn call(&self, event: &Event<'_, S>) -> Result<Called<Fut::Output, Fut>, ExtractError> {
                Ok(Called::Later(self($($param::from_event(event)?),*)))
            }
        }
    };
}

callbacks!();
callbacks!(A);
callbacks!(A B);
callbacks!(A B C);
callbacks!(A B C D);
callbacks!(A B C D E);
callbacks!(A B C D E F);
callbacks!(A B C D E F G);
callbacks!(A B C D E F G H);
