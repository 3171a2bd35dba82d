//! What answers the requests that are not for the engine.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use tower_service::Service;

/// A service of an application, or none. It has one type whatever is in it, so that what serves connections is compiled once,
/// and not anew in each program for each service.
#[derive(Clone)]
pub struct OtherService(Option<Arc<dyn Fn(Request<Incoming>) -> Answer + Send + Sync>>);

type Answer = Pin<Box<dyn Future<Output = Result<Response<OtherBody>, Infallible>> + Send>>;

/// The body of its answers.
pub type OtherBody = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

impl OtherService {
    /// Status 404 for everything.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// Lets a service answer.
    pub fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
        B: http_body::Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>
            + Send
            + 'static,
    {
        // Each request has a clone of it, and waits until that is ready.
        let service = TowerToHyperService::new(service);
        Self(Some(Arc::new(move |request| {
            let answer = service.call(request);
            Box::pin(async move {
                Ok(answer
                    .await?
                    .map(|body| body.map_err(Into::into).boxed_unsync()))
            })
        })))
    }
}

impl Service<Request<Incoming>> for OtherService {
    type Response = Response<OtherBody>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Answer {
        match &self.0 {
            Some(answer) => answer(request),
            None => Box::pin(async { Ok(not_found()) }),
        }
    }
}

fn not_found() -> Response<OtherBody> {
    let mut answer = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *answer.status_mut() = StatusCode::NOT_FOUND;
    answer
}

impl fmt::Debug for OtherService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(_) => f.write_str("OtherService"),
            None => f.write_str("OtherService(none)"),
        }
    }
}
