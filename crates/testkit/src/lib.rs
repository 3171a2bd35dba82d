//! What the tests of the engine and of the server have in common: a client that speaks
//! Engine.IO 3 and 4 over polling and WebSocket and otherwise does nothing by itself, and
//! servers for it to talk to.
//!
//! A server is reached through a [`Net`]: over TCP, or in memory, where a test may let the clock
//! of a paused runtime run. Nothing here sleeps. Whatever waits has the network's patience, which
//! only bounds how long a failing test takes.
#![expect(
    clippy::missing_panics_doc,
    reason = "what a test does not expect ends it"
)]

mod client;
pub mod cluster;
mod engine;
#[cfg(unix)]
pub mod engines;
mod errors;
mod http;
mod io;
mod log;
mod net;
mod server;
mod stream;
mod websocket;

pub use client::{Case, Client};
pub use engine::{App, EngineRig, Seen, Session};
pub use errors::all_shown;
pub use http::{Http, Request, Response};
pub use io::{BoxStream, Stream};
pub use log::Log;
pub use net::Net;
pub use server::{Peer, ServerRig};
pub use stream::{SocketDir, StreamPeer};
pub use websocket::{Frame, WebSocket};
