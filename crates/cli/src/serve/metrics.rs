//! What Prometheus and the like read: a page of figures, on a listener of its own.
//!
//! Not on the listeners of the server: what it says is nothing for whoever may connect there, and it is to be read above all
//! when these take nobody any more.

mod figures;

use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use figures::Figures;

/// Where it is if nobody says where: a port that others use for the same, on this machine alone.
pub(super) const DEFAULT_ADDRESS: &str = "localhost:9464";

const PATH: &str = "/metrics";

/// How many may read at once. More than a few never want to.
const MAX_READERS: usize = 8;

/// How long one may take, from connecting to the last byte.
const PATIENCE: Duration = Duration::from_secs(10);

/// A pause after an error by which nobody can be accepted, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// The bounds of what is measured in seconds, from a plain function to one that waits for others. A quantile is as exact as
/// they are close.
const SECONDS: [f64; 21] = [
    1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0, 25.0, 60.0,
];

/// The page, about to be served.
pub(super) struct Metrics {
    figures: Figures,
    listener: TcpListener,
}

impl Metrics {
    /// Listens there, and has everything recorded from now on. To be called before there is a server.
    pub(super) async fn listen(address: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let figures = Figures::new(&SECONDS);
        metrics::set_global_recorder(figures.clone())
            .map_err(|_| io::Error::other("something else records the metrics"))?;
        Ok(Self { figures, listener })
    }

    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Serves for as long as the command runs.
    pub(super) async fn serve(self) {
        let Self { figures, listener } = self;
        let places = Arc::new(Semaphore::new(MAX_READERS));
        loop {
            let place = Arc::clone(&places).acquire_owned().await;
            match listener.accept().await {
                Ok((stream, _)) => {
                    let figures = figures.clone();
                    tokio::spawn(async move {
                        let _ = timeout(PATIENCE, answer_on(stream, figures)).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept readers of metrics for now");
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

async fn answer_on(stream: TcpStream, figures: Figures) {
    let service =
        service_fn(move |request| ready(Ok::<_, Infallible>(answer(&request, || figures.page()))));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a reader of metrics was lost");
    }
}

fn answer<B>(request: &Request<B>, page: impl FnOnce() -> String) -> Response<Full<Bytes>> {
    let (status, text) = match (request.uri().path(), request.method()) {
        (PATH, &Method::GET | &Method::HEAD) => (StatusCode::OK, page()),
        (PATH, _) => (StatusCode::METHOD_NOT_ALLOWED, String::new()),
        _ => (StatusCode::NOT_FOUND, format!("It is {PATH}.\n")),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

/// Where the page is, to be visited.
pub(super) fn url(address: SocketAddr) -> String {
    format!("http://{address}{PATH}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_page_to_read() {
        let status = |method: Method, target: &str| {
            let request = Request::builder().method(method).uri(target);
            let request = request.body(()).unwrap();
            answer(&request, || "up 1\n".to_owned()).status()
        };
        assert_eq!(status(Method::GET, "/metrics"), StatusCode::OK);
        assert_eq!(status(Method::GET, "/metrics?name[]=up"), StatusCode::OK);
        assert_eq!(status(Method::HEAD, "/metrics"), StatusCode::OK);
        assert_eq!(
            status(Method::POST, "/metrics"),
            StatusCode::METHOD_NOT_ALLOWED
        );
        assert_eq!(status(Method::GET, "/"), StatusCode::NOT_FOUND);
    }
}
