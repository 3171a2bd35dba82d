//! The server that `cargo xtask bench` measures: `bench_server HOST:PORT [--listen URL]… [--deflate] [--recovery]`.
//!
//! `echo` acknowledges with its first argument; `cast` emits `cast` with the same argument to
//! every connected socket.
//!
//! Each `--listen URL` adds a listener, such as `unix:/tmp/app.sock` or `tcp://127.0.0.1:5000`. `--deflate`
//! compresses messages on WebSockets; `--recovery` lets sockets come back after a loss. Ctrl-C ends it.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use sockeye::{Args, DeflateConfig, RecoveryConfig, Server, ServerConfig, Socket};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let usage = "usage: bench_server HOST:PORT [--listen URL]… [--deflate] [--recovery]";
    let mut args = std::env::args().skip(1);
    let mut urls = vec![format!("http://{}", args.next().ok_or(usage)?)];
    let (mut deflate, mut recovery) = (None, None);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--listen" => urls.push(args.next().ok_or(usage)?),
            "--deflate" => deflate = Some(DeflateConfig::default()),
            "--recovery" => recovery = Some(RecoveryConfig::default()),
            _ => return Err(usage.into()),
        }
    }
    let mut config = ServerConfig::default().engine(|engine| engine.per_message_deflate(deflate));
    if let Some(recovery) = recovery {
        config = config.recovery(recovery);
    }
    let io = Server::with_config(config)?;
    io.on("echo", |args: Args| args.first());
    io.on("cast", |socket: Socket, args: Args| {
        socket.namespace().emit("cast", args.first())
    });
    let mut listeners = Vec::new();
    for url in urls {
        listeners.push(io.listen(url).await?);
    }
    let mut interrupt = pin!(tokio::signal::ctrl_c());
    // Only once it has been polled does it hear anything, and whoever reads the lines below may interrupt at once.
    let _ = poll_fn(|cx| Poll::Ready(interrupt.as_mut().poll(cx))).await;
    for listener in &listeners {
        println!("listening on {}", listener.url());
    }
    // Whatever listens ends with the runtime, and the files of Unix-domain sockets go with it.
    Ok(interrupt.await?)
}
