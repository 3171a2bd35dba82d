//! A sum over a Unix-domain socket: server and client in one program, as in the documents of
//! net-socket.io, first with packets and then with lines of JSON.
//!
//! ```text
//! cargo run --example sum
//! ```
//!
//! Given a path, the server stays for other programs until Ctrl-C:
//!
//! ```text
//! cargo run --example sum -- ./app.sock
//! printf '{"eventName":"sum","args":[1,2]}\r\n' | nc -U ./app.sock
//! ```

use std::error::Error;
use std::time::Duration;

use sockeye::client::StreamDialect;
use sockeye::{Client, Data, Server, Socket};
use tokio::sync::mpsc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let stays = std::env::args().nth(1);
    let path = match &stays {
        Some(path) => path.clone(),
        None => {
            let file = format!("sockeye-sum-{}.sock", std::process::id());
            std::env::temp_dir().join(file).display().to_string()
        }
    };
    let url = format!("unix:{path}");

    let io = Server::new();
    // By an event of its own, which peers can do that know no acknowledgements…
    io.on("sum", |socket: Socket, Data((a, b)): Data<(f64, f64)>| {
        socket.emit("result", a + b)
    });
    // …and by the result of the handler.
    io.on("sum-with-ack", |Data((a, b)): Data<(f64, f64)>| a + b);
    io.listen(&url).await?;

    for dialect in [StreamDialect::Native, StreamDialect::Lines] {
        ask(&url, dialect).await?;
    }

    if stays.is_some() {
        println!("listening on {url}; Ctrl-C ends it");
        tokio::signal::ctrl_c().await?;
    }
    io.close().await;
    Ok(())
}

/// Adds some numbers by asking the server.
async fn ask(url: &str, dialect: StreamDialect) -> Result<(), Box<dyn Error>> {
    let (sender, mut results) = mpsc::unbounded_channel();
    let socket = Client::builder(url)
        .config(|config| config.connector(|connector| connector.stream_dialect(dialect)))
        .on("result", move |Data(sum): Data<f64>| sender.send(sum))
        .connect()
        .await?;
    println!("{dialect:?}:");

    socket.emit("sum", (1, 2))?;
    let sum = tokio::time::timeout(Duration::from_secs(5), results.recv()).await?;
    println!("  1 + 2 = {}", sum.ok_or("the socket is gone")?);

    let sum: f64 = socket
        .timeout(Duration::from_secs(5))
        .emit_with_ack("sum-with-ack", (0.5, 40))
        .await?;
    println!("  0.5 + 40 = {sum}");

    socket.client().close().await;
    Ok(())
}
