//! Without a framework: the server as a tower service, run by hyper.
//!
//! `io.listen` does this and more (header timeouts, TLS, graceful shutdown). Do it yourself if
//! you have an accept loop of your own already.
//!
//! ```text
//! cargo run --example hyper
//! ```
//!
//! Try it, after `npm install socket.io-client`:
//!
//! ```text
//! curl http://localhost:3000/
//! node -e '
//! const socket = require("socket.io-client")("http://localhost:3000");
//! socket.emit("add", 2, 3, (sum) => { console.log(sum); socket.close(); });
//! '
//! ```

use std::convert::Infallible;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use sockeye::{ConnectionInfo, Data, Server};
use tokio::net::TcpListener;
use tower::{Layer, Service, service_fn};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("localhost:3000");

    let io = Server::new();
    io.on("add", |Data((a, b)): Data<(f64, f64)>| a + b);

    // The layer answers what is for `/socket.io/`. With nothing else to answer, `io.service()`
    // would do.
    let service = io.layer().layer(service_fn(page));

    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => accepted?,
            _ = tokio::signal::ctrl_c() => break,
        };
        stream.set_nodelay(true)?;
        let mut service = service.clone();
        // What handlers find as `handshake.remote_addr()`.
        let info = ConnectionInfo {
            remote_addr: Some(peer),
            secure: false,
        };
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(info);
            service.call(request)
        });
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
                // Without this there is no WebSocket.
                .with_upgrades();
            if let Err(error) = connection.await {
                eprintln!("{peer}: {error}");
            }
        });
    }
    io.close().await;
    Ok(())
}

/// Everything that is not Socket.IO.
async fn page(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    let text = format!("{} is not for Socket.IO\n", request.uri().path());
    Ok(Response::new(text))
}
