//! A plain WebSocket echo on any path: `ws_echo HOST:PORT [--deflate | --deflate-takeover]`.
//!
//! With `--deflate` messages of every length are compressed for clients that offer it, each by itself; with
//! `--deflate-takeover` they may refer to those before them.

use std::convert::Infallible;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sockeye_listen::{Body, WebSocket};
use sockeye_websocket::{DeflateConfig, Event, Limits};
use tokio::net::TcpListener;

/// Cases 9.3.1 and 9.4.1 of Autobahn have messages of 4 MiB in pieces of 64 bytes, four times what is taken by default.
const MAX_FRAGMENTS: u32 = 100_000;

/// Messages may be this large.
const MAX_MESSAGE: usize = 64 * 1024 * 1024;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    const USAGE: &str = "usage: ws_echo HOST:PORT [--deflate | --deflate-takeover]";
    let (mut address, mut deflate) = (None, None);
    for arg in std::env::args().skip(1) {
        let compressed = DeflateConfig::default().threshold(0);
        match arg.as_str() {
            "--deflate" => deflate = Some(compressed),
            "--deflate-takeover" => deflate = Some(compressed.context_takeover(true)),
            _ => address = Some(arg),
        }
    }
    let address = address.ok_or(USAGE)?;
    let listener = TcpListener::bind(&address).await?;
    println!("listening on ws://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let service = service_fn(|request| serve(request, deflate));
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            if let Err(error) = connection.await {
                eprintln!("{error}");
            }
        });
    }
}

async fn serve(
    request: Request<Incoming>,
    deflate: Option<DeflateConfig>,
) -> Result<Response<Body>, Infallible> {
    let limits = Limits::default()
        .max_frame(MAX_MESSAGE)
        .max_message(MAX_MESSAGE)
        .max_fragments(MAX_FRAGMENTS);
    let (response, upgrading) = match WebSocket::upgrade(request, limits, deflate.as_ref()) {
        Ok(accepted) => accepted,
        Err(error) => {
            let mut response = Response::new(Body::from(error.to_string()));
            *response.status_mut() = StatusCode::BAD_REQUEST;
            return Ok(response);
        }
    };
    tokio::spawn(async move {
        let Some(socket) = upgrading.finish().await else {
            return;
        };
        // How the peer ends it is its own affair.
        let _ = socket
            .run(|event, replies| match event {
                Event::Text(text) => replies.text(&text),
                Event::Binary(data) => replies.binary(&data),
                _ => {}
            })
            .await;
    });
    Ok(response)
}
