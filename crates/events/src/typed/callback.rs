//! Handlers of typed events.

use std::future::Future;
use std::marker::PhantomData;

use futures_util::FutureExt;
use futures_util::future::Map;
use sockeye_socket_proto::ToArgs;

use super::{NoAck, TypedEvent};
use crate::callback::{Async, Never, Plain};
use crate::reply::Outcome;
use crate::{
    BoxHandler, Callback, Called, Event, EventSocket, ExtractError, Failure, FromEvent, IntoReply,
    Responder, erase,
};

/// A plain or async function that handles a [`TypedEvent`]: what `on_event` accepts.
///
/// Implemented for closures and functions of up to eight parameters, of which the last is the event and the others are
/// extractors, as for [`Callback`]. The result is the event's acknowledgement, `()` if it has none, or a `Result` with
/// one of these.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot handle typed events",
    label = "a parameter or the result has a type that handlers of typed events cannot have",
    note = "the last parameter must be the event, by value: a type with `#[derive(Event)]`; those before it are extractors: `async |socket: Socket, chat: Chat| …`",
    note = "the result must be of the type that the event has for its acknowledgement, `#[event(ack = …)]`, or `()` if it has none, or a `Result` with one of these",
    note = "a handler may be async; its future must be `Send + 'static`, and the handler itself `Send + Sync + 'static`"
)]
pub trait EventCallback<S, M>: Send + Sync + 'static {
    /// The event.
    type Event: TypedEvent;
    /// What the function returns, after awaiting.
    type Output: EventReply<<Self::Event as TypedEvent>::Ack>;
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

/// The last parameter of a handler of a typed event: the event, or `Result<E, ExtractError>` to be given the failure
/// to read it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a typed event",
    note = "the last parameter of the handler must be a type with `#[derive(Event)]`"
)]
pub trait EventParam<S>: FromEvent<S> {
    /// The event.
    type Event: TypedEvent;
}

impl<S, E: TypedEvent + FromEvent<S>> EventParam<S> for E {
    type Event = E;
}

impl<S, E: TypedEvent + FromEvent<S>> EventParam<S> for Result<E, ExtractError> {
    type Event = E;
}

/// What a handler may return for an event whose acknowledgement is `A`.
///
/// `A` itself, or a `Result` with it, of which `Err` goes the way of all [errors of handlers](IntoReply); for
/// [`NoAck`], `()` in its place.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the acknowledgement of the event",
    note = "the event is acknowledged with `{A}`"
)]
pub trait EventReply<A> {
    /// Answers the event.
    fn reply<S: EventSocket>(self, to: &Responder<'_, S>);
}

impl<A: ToArgs> EventReply<A> for A {
    fn reply<S: EventSocket>(self, to: &Responder<'_, S>) {
        to.answer(&self);
    }
}

impl<A: ToArgs, E: Failure> EventReply<A> for Result<A, E> {
    fn reply<S: EventSocket>(self, to: &Responder<'_, S>) {
        match self {
            Ok(answer) => to.answer(&answer),
            Err(error) => to.fail(error.fail()),
        }
    }
}

impl EventReply<NoAck> for () {
    fn reply<S: EventSocket>(self, _to: &Responder<'_, S>) {}
}

impl<E: Failure> EventReply<NoAck> for Result<(), E> {
    fn reply<S: EventSocket>(self, to: &Responder<'_, S>) {
        IntoReply::reply(self, to);
    }
}

/// Erases the type of a handler of a typed event, which is then to be registered for the event's name.
pub fn erase_event<S, M, H>(handler: H) -> BoxHandler<S>
where
    S: EventSocket,
    M: 'static,
    H: EventCallback<S, M>,
{
    erase(Untyped(handler, PhantomData::<fn(M)>))
}

/// A handler of a typed event as a handler of any event.
struct Untyped<H, M>(H, PhantomData<fn(M)>);

/// What a handler of a typed event returns, as a result of handlers of any event.
struct Answer<T, A>(T, PhantomData<fn(A)>);

impl<T, A> Outcome for Answer<T, A> {}

impl<T: EventReply<A>, A> IntoReply for Answer<T, A> {
    fn reply<S: EventSocket>(self, to: &Responder<'_, S>) {
        self.0.reply(to);
    }
}

/// Marks [`Untyped`] in [`Callback`]'s inferred parameter.
#[derive(Debug)]
enum Typed {}

type AckOf<H, S, M> = <<H as EventCallback<S, M>>::Event as TypedEvent>::Ack;
type AnswerOf<H, S, M> = Answer<<H as EventCallback<S, M>>::Output, AckOf<H, S, M>>;

impl<S, M, H> Callback<S, (Typed, M)> for Untyped<H, M>
where
    S: 'static,
    M: 'static,
    H: EventCallback<S, M>,
{
    type Output = AnswerOf<H, S, M>;
    type Future = Map<H::Future, fn(H::Output) -> Self::Output>;

    fn call(
        &self,
        event: &Event<'_, S>,
    ) -> Result<Called<Self::Output, Self::Future>, ExtractError> {
        let answer: fn(H::Output) -> Self::Output = |output| Answer(output, PhantomData);
        Ok(match self.0.call(event)? {
            Called::Now(output) => Called::Now(answer(output)),
            Called::Later(future) => Called::Later(future.map(answer)),
        })
    }
}

macro_rules! callbacks {
    ($($param:ident)*) => {
        impl<S, Func, Output, $($param,)* E> EventCallback<S, (Plain, Output, $($param,)* E)> for Func
        where
            Func: Fn($($param,)* E) -> Output + Send + Sync + 'static,
            Output: EventReply<<E::Event as TypedEvent>::Ack> + 'static,
            $($param: FromEvent<S>,)*
            E: EventParam<S>,
        {
            type Event = E::Event;
            type Output = Output;
            type Future = Never<Output>;

            fn call(&self, event: &Event<'_, S>) -> Result<Called<Output, Self::Future>, ExtractError> {
                Ok(Called::Now(self($($param::from_event(event)?,)* E::from_event(event)?)))
            }
        }

        impl<S, Func, Fut, $($param,)* E> EventCallback<S, (Async, Fut, $($param,)* E)> for Func
        where
            Func: Fn($($param,)* E) -> Fut + Send + Sync + 'static,
            Fut: Future<Output: EventReply<<E::Event as TypedEvent>::Ack>> + Send + 'static,
            $($param: FromEvent<S>,)*
            E: EventParam<S>,
        {
            type Event = E::Event;
            type Output = Fut::Output;
            type Future = Fut;

            fn call(&self, event: &Event<'_, S>) -> Result<Called<Fut::Output, Fut>, ExtractError> {
                Ok(Called::Later(self($($param::from_event(event)?,)* E::from_event(event)?)))
            }
        }
    };
}

callbacks!();
callbacks!(A);
callbacks!(A B);
callbacks!(A B C);
callbacks!(A B C D);
callbacks!(A B C D F);
callbacks!(A B C D F G);
callbacks!(A B C D F G H);
