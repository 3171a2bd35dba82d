//! A server and its clients in memory and in virtual time, for the tests of applications.
//!
//! There is no port, no sleep and no waiting: connections are pipes within the process, and where the clock of tokio is
//! paused, it goes on by itself as soon as nobody has anything left to do. A test in which a client is away for two minutes
//! takes a millisecond. All else is real: the server is the application's own, the clients are [`Client`s](crate::Client), and what
//! goes through the pipes is HTTP, WebSocket frames and packets.
//!
//! ```
//! use sockeye::{Data, Server, Socket, json, testing};
//!
//! fn app() -> Server {
//!     let io = Server::new();
//!     let chat = io.of("/chat");
//!     chat.on("say", |socket: Socket, Data(text): Data<String>| {
//!         socket.broadcast().emit("said", text)
//!     });
//!     io
//! }
//!
//! testing::run(async {
//!     let app = testing::Server::new(app());
//!     let alice = app.connect("/chat").auth(json!({ "name": "alice" })).await?;
//!     let bob = app.connect("/chat").await?;
//!
//!     alice.emit("say", "hello")?;
//!     assert_eq!(bob.next::<String>("said").await, "hello");
//!     alice.hears_nothing().await;
//!     Ok::<_, Box<dyn std::error::Error>>(())
//! })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [The guide](crate::guide::testing) has more: lost networks, scripts that speak the protocol byte by byte, servers that a
//! client is to be tested with.
//!
//! What is awaited here and does not come ends in a panic that says what came instead, after [`PATIENCE`]: a test has
//! nothing better to do about it.

mod client;
mod connect;
mod http;
mod network;
mod peer;
mod pipe;
mod scripted;
mod server;
mod time;
mod websocket;

pub use client::Client;
pub use connect::Connect;
pub use network::Network;
pub use peer::{Open, Peer, Said};
pub use pipe::Pipe;
pub use scripted::ScriptedServer;
pub use server::Server;
pub use time::{PATIENCE, pass, run, settle};
