use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Either;
use tower_layer::Layer;
use tower_service::Service;

use super::{Body, empty, respond};
use crate::application::Application;
use crate::engine::Engine;
use crate::handshake::ConnectionInfo;

/// What a tower service returns.
type BoxFuture<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// The engine as a tower [`Service`]. Requests that are not for the engine's path get status
/// 404.
///
/// The peer's address, if the surrounding server puts a `SocketAddr` (or [`ConnectionInfo`])
/// into the request's extensions, ends up in the handshake.
pub struct EngineService<A> {
    engine: Engine<A>,
}

/// Puts the engine in front of another service; see [`Engine::layer`].
pub struct EngineLayer<A> {
    engine: Engine<A>,
}

/// A service with the engine in front of it.
pub struct LayeredService<A, S> {
    engine: Engine<A>,
    inner: S,
}

/// The body of an answer: the engine's own, or the inner service's.
pub type LayerBody<B> = Either<Body, B>;

impl<A: Application> Engine<A> {
    /// The engine as a tower service of its own.
    #[must_use]
    pub fn service(&self) -> EngineService<A> {
        EngineService {
            engine: self.clone(),
        }
    }

    /// The engine as a layer: it answers what is for its path, the wrapped service the rest.
    #[must_use]
    pub fn layer(&self) -> EngineLayer<A> {
        EngineLayer {
            engine: self.clone(),
        }
    }
}

impl<A, B> Service<Request<B>> for EngineService<A>
where
    A: Application,
    B: http_body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let engine = self.engine.clone();
        Box::pin(async move {
            if !engine.config().owns(request.uri().path()) {
                return Ok(empty(StatusCode::NOT_FOUND));
            }
            let connection = connection_info(&request);
            Ok(respond(&engine, request, connection).await)
        })
    }
}

impl<A: Application, S> Layer<S> for EngineLayer<A> {
    type Service = LayeredService<A, S>;

    fn layer(&self, inner: S) -> Self::Service {
        LayeredService {
            engine: self.engine.clone(),
            inner,
        }
    }
}

impl<A, S, B, R> Service<Request<B>> for LayeredService<A, S>
where
    A: Application,
    S: Service<Request<B>, Response = Response<R>, Future: Send + 'static>,
    B: http_body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static,
    R: http_body::Body<Data = Bytes>,
{
    type Response = Response<LayerBody<R>>;
    type Error = S::Error;
    type Future = BoxFuture<Self::Response, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if self.engine.config().owns(request.uri().path()) {
            let engine = self.engine.clone();
            return Box::pin(async move {
                let connection = connection_info(&request);
                Ok(respond(&engine, request, connection)
                    .await
                    .map(Either::Left))
            });
        }
        let answer = self.inner.call(request);
        Box::pin(async move { Ok(answer.await?.map(Either::Right)) })
    }
}

fn connection_info<B>(request: &Request<B>) -> ConnectionInfo {
    let extensions = request.extensions();
    extensions
        .get::<ConnectionInfo>()
        .copied()
        .unwrap_or_else(|| ConnectionInfo {
            remote_addr: extensions.get::<SocketAddr>().copied(),
            secure: false,
        })
}

impl<A> Clone for EngineService<A> {
    fn clone(&self) -> Self {
        Self {
            engine: self.engine.clone(),
        }
    }
}

impl<A> Clone for EngineLayer<A> {
    fn clone(&self) -> Self {
        Self {
            engine: self.engine.clone(),
        }
    }
}

impl<A, S: Clone> Clone for LayeredService<A, S> {
    fn clone(&self) -> Self {
        Self {
            engine: self.engine.clone(),
            inner: self.inner.clone(),
        }
    }
}

impl<A> fmt::Debug for EngineService<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EngineService").field(&self.engine).finish()
    }
}

impl<A> fmt::Debug for EngineLayer<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EngineLayer").field(&self.engine).finish()
    }
}

impl<A, S: fmt::Debug> fmt::Debug for LayeredService<A, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayeredService")
            .field("engine", &self.engine)
            .field("inner", &self.inner)
            .finish()
    }
}
