//! Inside an axum application: `io.layer()` answers what is for `/socket.io/`, the router the
//! rest, and its handlers emit to sockets.
//!
//! ```text
//! cargo run --example axum
//! ```
//!
//! Open http://localhost:3000/ in a browser, or listen from Node after
//! `npm install socket.io-client`:
//!
//! ```text
//! node -e 'require("socket.io-client")("http://localhost:3000").on("news", console.log)'
//! ```
//!
//! and then let the web application say something:
//!
//! ```text
//! curl -d 'the coffee is ready' http://localhost:3000/news
//! curl http://localhost:3000/count
//! ```

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{Html, Response};
use axum::routing::{get, post};
use sockeye::{Server, Socket};

/// A page that shows the news; it loads the client that the server itself serves.
const PAGE: &str = r#"<!doctype html>
<title>News</title>
<h1>News</h1>
<ul id="news"></ul>
<script type="module">
  import { connect } from "/socket.io/sockeye.js";
  const socket = connect("/");
  socket.on("news", (text) => {
    const item = document.createElement("li");
    item.textContent = text;
    document.getElementById("news").append(item);
  });
</script>
"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("localhost:3000");

    let io = Server::new();
    io.on_connect(|socket: Socket| {
        println!("{socket:?} is {:?}", socket.handshake().remote_addr());
    });

    let app = Router::new()
        .route("/", get(async || Html(PAGE)))
        .route("/news", post(news))
        .route("/count", get(count))
        // A server is a cheap clone, and can be the state or a part of it.
        .with_state(io.clone())
        .layer(io.layer())
        // Layers that are added later are the outer ones: this one tells the sockets' handshakes
        // the address that axum knows.
        .layer(from_fn(pass_address));

    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            let _ = tokio::signal::ctrl_c().await;
            // Requests that poll and WebSockets end only when the sockets are told to go.
            io.close().await;
        })
        .await?;
    Ok(())
}

/// Sends a text to every socket.
async fn news(State(io): State<Server>, text: String) -> Result<String, StatusCode> {
    io.emit("news", text)
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(format!("sent to {} sockets\n", io.sockets().len()))
}

async fn count(State(io): State<Server>) -> String {
    format!("{} connections\n", io.connection_count())
}

async fn pass_address(
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    request.extensions_mut().insert(address);
    next.run(request).await
}
