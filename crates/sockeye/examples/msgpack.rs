//! Packets as MessagePack, in which bytes lie among the other values: server and client in one program.
//!
//! ```text
//! cargo run --features msgpack --example msgpack
//! ```
//!
//! Given an address, the server stays for other programs until Ctrl-C, such as one in JavaScript:
//!
//! ```text
//! cargo run --features msgpack --example msgpack -- http://127.0.0.1:3000
//! npm install socket.io-client socket.io-msgpack-parser
//! node -e 'const socket = require("socket.io-client").io("http://127.0.0.1:3000", { parser: require("socket.io-msgpack-parser") });
//!     socket.emit("store", { name: "dot", at: new Date() }, Buffer.from([1, 2, 3]), console.log)'
//! ```

use std::error::Error;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sockeye::parser::MessagePack;
use sockeye::{Bytes, Client, Data, Server, ServerConfig};

/// What is told of a picture. A JavaScript `Date` is its text.
#[derive(Debug, Serialize, Deserialize)]
struct About {
    name: String,
    at: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let stays = std::env::args().nth(1);
    let io = Server::with_config(ServerConfig::default().parser(MessagePack))?;
    // Nothing here knows what packets look like.
    io.on("store", |Data((about, picture)): Data<(About, Bytes)>| {
        format!("{} of {}: {} bytes", about.name, about.at, picture.len())
    });
    let listener = io
        .listen(stays.as_deref().unwrap_or("http://127.0.0.1:0"))
        .await?;

    let socket = Client::builder(listener.url())
        .config(|config| config.parser(MessagePack))
        .connect()
        .await?;
    let about = About {
        name: "line".to_owned(),
        at: "2026-11-28T22:26:13.007Z".to_owned(),
    };
    let answer: String = socket
        .timeout(Duration::from_secs(5))
        .emit_with_ack("store", (about, Bytes::from_static(&[0, 255, 0, 255])))
        .await?;
    println!("{answer}");
    socket.client().close().await;

    if stays.is_some() {
        println!("listening on {}; Ctrl-C ends it", listener.url());
        tokio::signal::ctrl_c().await?;
    }
    io.close().await;
    Ok(())
}
