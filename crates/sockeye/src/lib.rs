//! Socket.IO on every wire: events, acknowledgements, rooms and namespaces.
//!
//! ```no_run
//! use sockeye::{Data, Server, Socket};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let io = Server::new();
//! io.on("chat", async |socket: Socket, Data((room, text)): Data<(String, String)>| {
//!     socket.to(room).emit("chat", text)
//! });
//! io.on("sum", async |Data(xs): Data<Vec<i64>>| xs.iter().sum::<i64>());
//! let listener = io.listen("http://localhost:3000").await?;
//! # drop(listener);
//! # Ok(())
//! # }
//! ```

pub use bytes::Bytes;
pub use serde_json::{Value, json};
pub use sockeye_server::*;
