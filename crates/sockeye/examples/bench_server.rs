//! The server that `cargo xtask bench` measures:
//! `bench_server HOST:PORT [--listen URL]… [--deflate] [--recovery] [--cluster URL]`.
//!
//! `echo` acknowledges with its first argument; `cast` emits `cast` with the same argument to
//! every connected socket.
//!
//! Each `--listen URL` adds a listener, such as `unix:/tmp/app.sock` or `tcp://127.0.0.1:5000`. `--deflate`
//! compresses messages on WebSockets; `--recovery` lets sockets come back after a loss. Ctrl-C ends it.
//!
//! With `--cluster URL` it is a node of a cluster, and serves two events more: `join` puts the socket into the rooms of a
//! list, and acknowledges when the others know; `burst` (count, rooms, value) emits so many events `cast` with the value, one
//! after the other to the rooms 0, 1, … and again from 0 when it has been through as many as `rooms` says.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use sockeye::{
    Args, Data, DeflateConfig, EmitError, RecoveryConfig, Server, ServerConfig, Socket, cluster,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let usage =
        "usage: bench_server HOST:PORT [--listen URL]… [--deflate] [--recovery] [--cluster URL]";
    let mut args = std::env::args().skip(1);
    let mut urls = vec![format!("http://{}", args.next().ok_or(usage)?)];
    let (mut deflate, mut recovery, mut node) = (None, None, None);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--listen" => urls.push(args.next().ok_or(usage)?),
            "--deflate" => deflate = Some(DeflateConfig::default()),
            "--recovery" => recovery = Some(RecoveryConfig::default()),
            "--cluster" => node = Some(args.next().ok_or(usage)?),
            _ => return Err(usage.into()),
        }
    }
    let mut config = ServerConfig::default().engine(|engine| engine.per_message_deflate(deflate));
    if let Some(recovery) = recovery {
        config = config.recovery(recovery);
    }
    if let Some(url) = &node {
        config = config.cluster(cluster::from_url(url)?);
    }
    let io = Server::with_config(config)?;
    io.on("echo", |args: Args| args.first());
    io.on("cast", |socket: Socket, args: Args| {
        socket.namespace().emit("cast", args.first())
    });
    if let Some(cluster) = io.cluster() {
        node_events(&io);
        cluster.ready().await;
    }
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

fn node_events(io: &Server) {
    io.on(
        "join",
        async |io: Server, socket: Socket, Data(rooms): Data<Vec<String>>| {
            socket.join(rooms);
            if let Some(cluster) = io.cluster() {
                cluster.settled().await;
            }
            true
        },
    );
    io.on(
        "burst",
        |socket: Socket, Data((count, rooms, value)): Data<(usize, usize, String)>| {
            let namespace = socket.namespace();
            for number in 0..count {
                let room = (number % rooms.max(1)).to_string();
                namespace.to(room).emit("cast", &value)?;
            }
            Ok::<_, EmitError>(())
        },
    );
}
