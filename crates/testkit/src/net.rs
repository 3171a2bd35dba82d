use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::{BoxStream, Http, Request, Response};

type Connecting = Pin<Box<dyn Future<Output = io::Result<BoxStream>> + Send>>;

/// The way to a server: how to connect, and under which path it answers.
#[derive(Clone)]
pub struct Net {
    connect: Arc<dyn Fn() -> Connecting + Send + Sync>,
    path: Arc<str>,
    address: Option<SocketAddr>,
    patience: Duration,
}

/// How much an in-memory connection holds in each direction.
const PIPE: usize = 64 * 1024;

impl Net {
    /// Over TCP.
    #[must_use]
    pub fn tcp(address: SocketAddr, path: &str) -> Self {
        Self {
            connect: Arc::new(move || {
                Box::pin(async move {
                    let stream = TcpStream::connect(address).await?;
                    stream.set_nodelay(true)?;
                    Ok(Box::new(stream) as BoxStream)
                })
            }),
            path: path.into(),
            address: Some(address),
            patience: Duration::from_secs(20),
        }
    }

    /// The same over TCP, by connections that are reset when they are dropped, as happens when a
    /// peer crashes.
    #[must_use]
    pub fn resetting(&self) -> Self {
        let address = self.address();
        Self {
            connect: Arc::new(move || {
                Box::pin(async move {
                    let stream = TcpStream::connect(address).await?;
                    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
                    Ok(Box::new(stream) as BoxStream)
                })
            }),
            ..self.clone()
        }
    }

    /// In memory: each connection is a pipe whose other end hyper serves with this service.
    ///
    /// Meant for runtimes whose clock is paused, so patience is a day.
    pub fn memory<S, B>(service: S, path: &str) -> Self
    where
        S: Service<http::Request<Incoming>, Response = http::Response<B>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
        B: hyper::body::Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
    {
        Self {
            connect: Arc::new(move || {
                let (near, far) = tokio::io::duplex(PIPE);
                let service = TowerToHyperService::new(service.clone());
                tokio::spawn(async move {
                    let connection = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(far), service)
                        .with_upgrades();
                    // How a connection ends is what tests look at from the client's side.
                    let _ = connection.await;
                });
                Box::pin(async move { Ok(Box::new(near) as BoxStream) })
            }),
            path: path.into(),
            address: None,
            patience: Duration::from_secs(86_400),
        }
    }

    /// The path under which the server answers.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The server's address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address.expect("a server on TCP")
    }

    /// Connects.
    pub async fn connect(&self) -> BoxStream {
        (self.connect)().await.expect("the server accepts")
    }

    /// Opens a connection for requests.
    pub async fn http(&self) -> Http {
        Http::new(self.connect().await, self.patience)
    }

    /// Sends one request, on a connection of its own, and waits for the answer.
    pub async fn request(&self, request: &Request) -> Response {
        self.http().await.request(request).await
    }

    /// A GET of the server's path with this query.
    pub async fn get(&self, query: &str) -> Response {
        self.request(&self.to_get(query)).await
    }

    /// A POST to the server's path with this query.
    pub async fn post(&self, query: &str, body: impl Into<Vec<u8>>) -> Response {
        let request = self.to_get(query).method("POST");
        self.request(&request.body(body)).await
    }

    /// The GET request for the server's path with this query.
    #[must_use]
    pub fn to_get(&self, query: &str) -> Request {
        Request::get(&format!("{}?{query}", self.path))
    }

    /// How long waiting may take before it is a failure.
    #[must_use]
    pub const fn patience(&self) -> Duration {
        self.patience
    }

    /// Waits for something that must come.
    pub async fn within<F: Future>(&self, what: &str, future: F) -> F::Output {
        match tokio::time::timeout(self.patience, future).await {
            Ok(output) => output,
            Err(_) => panic!("{what} did not come in time"),
        }
    }

    /// Lets other tasks run until a condition holds that nothing announces.
    pub async fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let looking = async {
            while !condition() {
                tokio::task::yield_now().await;
            }
        };
        self.within(what, looking).await;
    }
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Net")
            .field("path", &self.path)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
