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
//! printf '{"eventName":"sum","args":[[1,2,3]]}\r\n' | nc -U ./app.sock
//! {"eventName":"result","args":[6]}
//! ```
//!
//! With `"id":0` in its line, the program would get `{"ack":0,"args":[6]}` instead.

use std::error::Error;
use std::time::Duration;

use sockeye::{Ack, Client, Data, Dialect, Server, Socket};
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
    io.on(
        "sum",
        |socket: Socket, Data(numbers): Data<Vec<i64>>, ack: Ack<i64>| {
            let sum: i64 = numbers.iter().sum();
            match ack.is_wanted() {
                true => ack.send(sum),
                // By an event of its own, as peers can do that know no acknowledgements.
                false => socket.emit("result", sum),
            }
        },
    );
    io.listen(&url).await?;

    let demonstration = async {
        for dialect in [Dialect::Packets, Dialect::Lines] {
            ask(&url, dialect).await?;
        }
        if stays.is_some() {
            println!("listening on {url}; Ctrl-C ends it");
            std::future::pending::<()>().await;
        }
        Ok(())
    };
    let result = tokio::select! {
        result = demonstration => result,
        interrupt = tokio::signal::ctrl_c() => interrupt.map_err(Into::into),
    };
    // The file of the socket goes with the server.
    io.close().await;
    result
}

/// Adds some numbers by asking the server.
async fn ask(url: &str, dialect: Dialect) -> Result<(), Box<dyn Error>> {
    let (sender, mut results) = mpsc::unbounded_channel();
    let socket = Client::builder(url)
        .config(|config| config.connector(|connector| connector.dialect(dialect)))
        .on("result", move |Data(sum): Data<i64>| sender.send(sum))
        .connect()
        .await?;
    println!("{dialect:?}:");

    // One argument, which is a list; `(1, 2, 3)` would be three.
    socket.emit("sum", vec![1, 2, 3])?;
    let sum = tokio::time::timeout(Duration::from_secs(5), results.recv()).await?;
    println!("  1 + 2 + 3 = {}", sum.ok_or("the socket is gone")?);

    let sum: i64 = socket
        .timeout(Duration::from_secs(5))
        .emit_with_ack("sum", vec![-5, 40])
        .await?;
    println!("  -5 + 40 = {sum}");

    socket.client().close().await;
    Ok(())
}
