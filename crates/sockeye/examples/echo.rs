//! The smallest useful server: it sends back what it gets.
//!
//! ```text
//! cargo run --example echo                          # listens on http://localhost:3000
//! cargo run --example echo -- http://0.0.0.0:8080   # or wherever you say
//! ```
//!
//! Try it from Node, after `npm install socket.io-client`:
//!
//! ```text
//! node -e '
//! const socket = require("socket.io-client")("http://localhost:3000");
//! socket.on("echo", (...args) => console.log("event:", ...args));
//! socket.emit("echo", "hi", 42, Buffer.from("raw"));
//! socket.emit("ask", "are you there?", (answer) => { console.log("ack:", answer); socket.close(); });
//! '
//! ```
//!
//! Or without installing anything: open http://localhost:3000/socket.io/sockeye.js in a browser
//! and type into its console
//!
//! ```text
//! const { connect } = await import("/socket.io/sockeye.js");
//! await connect("/").emitWithAck("ask", "are you there?");
//! ```

use sockeye::{Args, Data, DisconnectReason, Server, Socket};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1);
    let url = url.as_deref().unwrap_or("http://localhost:3000");

    let io = Server::new();
    io.on_connect(|socket: Socket| println!("connected: {socket:?}"));

    // `Args` are the arguments as they came, whatever they are, attachments included.
    io.on("echo", |socket: Socket, args: Args| {
        socket.emit("echo", args)
    });

    // What a handler returns answers an event whose sender waits for an acknowledgement.
    io.on("ask", |Data(question): Data<String>| {
        format!("you asked: {question}")
    });

    io.on_disconnect(|socket: Socket, reason: DisconnectReason| {
        println!("disconnected ({reason}): {socket:?}");
    });

    let listener = io.listen(url).await?;
    println!("listening on {}", listener.url());
    tokio::signal::ctrl_c().await?;
    io.close().await;
    Ok(())
}
