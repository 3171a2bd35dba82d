//! HTTP on the connections of a listener.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service;

use super::{Guarded, ListenOptions};
use crate::connections::{Owner, Serving, Watched};
use crate::handshake::ConnectionInfo;

/// What is said to those for whom there is no room.
pub(super) const UNAVAILABLE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    Connection: close\r\nRetry-After: 10\r\nContent-Length: 0\r\n\r\n";

/// Serves HTTP/1 on one connection until it ends, is taken over by a WebSocket, or is told to
/// stop.
pub(super) async fn serve<S, B>(
    stop: impl Future<Output = ()>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    watched: Watched,
    service: S,
    info: ConnectionInfo,
    options: &ListenOptions,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send,
    S::Future: Send,
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static,
{
    let service = WithInfo {
        service,
        info,
        owner: Owner(Arc::clone(watched.connection())),
    };
    let stream = Guarded::new(stream, watched, options.write_timeout);
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_timeout)
        .max_buf_size(options.max_header_bytes)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = &mut connection => result,
        () = stop => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "http connection ended");
    }
}

/// Tells the service whom it talks to, and the connection's account what it is doing.
#[derive(Clone)]
struct WithInfo<S> {
    service: S,
    info: ConnectionInfo,
    owner: Owner,
}

impl<S, B> Service<Request<Incoming>> for WithInfo<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
{
    type Response = Response<Tracked<B>>;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Self::Future {
        let serving = self.owner.0.serve();
        request.extensions_mut().insert(self.info);
        request.extensions_mut().insert(self.owner.clone());
        Answering {
            answer: self.service.call(request),
            serving: Some(serving),
        }
    }
}

pin_project! {
    /// A request that is being served.
    struct Answering<F> {
        #[pin]
        answer: F,
        serving: Option<Serving>,
    }
}

impl<F: Future<Output = Result<Response<B>, E>>, B, E> Future for Answering<F> {
    type Output = Result<Response<Tracked<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.answer.poll(cx))?;
        let serving = this.serving.take();
        Poll::Ready(Ok(response.map(|body| Tracked {
            body,
            _serving: serving,
        })))
    }
}

pin_project! {
    /// The body of an answer: while there is more of it to come, its request is being served.
    struct Tracked<B> {
        #[pin]
        body: B,
        _serving: Option<Serving>,
    }
}

impl<B: http_body::Body> http_body::Body for Tracked<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
