//! The server that `cargo xtask bench` measures: `bench_server HOST:PORT`.
//!
//! `echo` acknowledges with its first argument; `cast` emits `cast` with the same argument to
//! every connected socket.

use sockeye::{Args, Server, Socket};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args()
        .nth(1)
        .ok_or("usage: bench_server HOST:PORT")?;
    let io = Server::new();
    io.on("echo", |args: Args| args.first());
    io.on("cast", |socket: Socket, args: Args| {
        socket.namespace().emit("cast", args.first())
    });
    let mut listener = io.listen(&format!("http://{address}")).await?;
    listener.closed().await;
    Ok(())
}
