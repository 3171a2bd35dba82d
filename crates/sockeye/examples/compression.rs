//! Compression: what goes over the wire for some events.
//!
//! ```text
//! cargo run --example compression
//! ```
//!
//! A server and a client of it in one process, with a relay between them that counts the bytes. Both compress messages of
//! 1024 bytes and more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use sockeye::{
    Client, Data, DeflateConfig, EmitError, Server, ServerConfig, Socket, TransportKind, Value,
    json,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Off by default at the server, on at the client. Without a number, the level is 1.
    let deflate = DeflateConfig::default().level(3);
    let config = ServerConfig::default().engine(|engine| engine.per_message_deflate(Some(deflate)));
    let io = Server::with_config(config)?;
    io.on("list", |socket: Socket, Data(compress): Data<bool>| {
        let list: Vec<_> = (0..100)
            .map(|number| json!({ "id": number, "name": format!("entry {number}"), "done": false }))
            .collect();
        // Each event has the choice; one that may be compressed is, if it is long enough.
        socket.compress(compress).emit("list", list)?;
        Ok::<_, EmitError>(())
    });
    let listener = io.listen("http://127.0.0.1:0").await?;
    let address = listener.local_addr().ok_or("no network address")?;

    let came = Arc::new(AtomicUsize::new(0));
    let relay = relay(address, Arc::clone(&came)).await?;

    // Long-polling would be compressed, too; here it would only add its requests to the count.
    let socket = Client::builder(format!("http://{relay}"))
        .config(|config| {
            config.connector(|connector| connector.transports([TransportKind::WebSocket]))
        })
        .connect()
        .await?;
    let mut lists = socket.events::<Value>("list");
    for compress in [true, false] {
        let before = came.load(Ordering::Relaxed);
        socket.emit("list", compress)?;
        lists.next().await.ok_or("the connection ended")?;
        let bytes = came.load(Ordering::Relaxed) - before;
        println!("compress({compress}): {bytes} bytes");
    }
    io.close().await;
    Ok(())
}

/// Passes one connection on, and counts what comes back. Gives the address to connect to.
async fn relay(
    server: std::net::SocketAddr,
    came: Arc<AtomicUsize>,
) -> std::io::Result<std::net::SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let (client, _) = listener.accept().await?;
        let server = TcpStream::connect(server).await?;
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let there = pass(from_client, to_server, Arc::default());
        let back = pass(from_server, to_client, came);
        tokio::try_join!(there, back)
    });
    Ok(address)
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    count: Arc<AtomicUsize>,
) -> std::io::Result<()> {
    let mut buf = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buf).await? {
            0 => return to.shutdown().await,
            read => {
                count.fetch_add(read, Ordering::Relaxed);
                to.write_all(&buf[..read]).await?;
            }
        }
    }
}
