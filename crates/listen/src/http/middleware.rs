//! Layers around the engine's own answers.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use tower_layer::Layer;
use tower_service::Service;

use super::body::Body;

/// The body of a request as the layers of [`EngineConfig::layer`](crate::EngineConfig::layer) see it.
pub struct RequestBody(UnsyncBoxBody<Bytes, BoxError>);

type BoxError = Box<dyn Error + Send + Sync>;
type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

/// What answers the requests for the engine's path, as a tower [`Service`]: what the layers of
/// [`EngineConfig::layer`](crate::EngineConfig::layer) are put around.
#[derive(Clone)]
pub struct RequestService {
    answer: Arc<dyn Fn(Request<RequestBody>) -> Answer + Send + Sync>,
}

/// The layers of a configuration, the outermost first.
#[derive(Clone, Default)]
pub(crate) struct Layers(Vec<Arc<dyn Fn(RequestService) -> RequestService + Send + Sync>>);

impl Layers {
    pub(crate) fn push<L>(&mut self, layer: L)
    where
        L: Layer<RequestService> + Send + Sync + 'static,
        L::Service: Service<
                Request<RequestBody>,
                Response = Response<Body>,
                Error: Into<BoxError>,
                Future: Send,
            > + Clone
            + Send
            + Sync
            + 'static,
    {
        self.0.push(Arc::new(move |inner| {
            // Each request has a clone of it, and waits until that is ready.
            let service = TowerToHyperService::new(layer.layer(inner));
            RequestService::new(move |request| {
                let answer = service.call(request);
                async move { answer.await.map_err(Into::into) }
            })
        }));
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts all of them around something.
    pub(crate) fn around(&self, inner: RequestService) -> RequestService {
        let layers = self.0.iter().rev();
        layers.fold(inner, |inner, layer| layer(inner))
    }
}

impl RequestService {
    pub(crate) fn new<F, Fut>(answer: F) -> Self
    where
        F: Fn(Request<RequestBody>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Response<Body>, BoxError>> + Send + 'static,
    {
        Self {
            answer: Arc::new(move |request| Box::pin(answer(request))),
        }
    }

    pub(crate) fn answer(&self, request: Request<RequestBody>) -> Answer {
        (self.answer)(request)
    }
}

impl Service<Request<RequestBody>> for RequestService {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Answer;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Answer {
        self.answer(request)
    }
}

impl RequestBody {
    /// A body of whatever kind.
    pub(super) fn new<B>(body: B) -> Self
    where
        B: http_body::Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        let body =
            body.map_frame(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining())));
        Self(body.map_err(Into::into).boxed_unsync())
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestBody")
    }
}

impl fmt::Debug for RequestService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestService")
    }
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Layers({})", self.0.len())
    }
}
