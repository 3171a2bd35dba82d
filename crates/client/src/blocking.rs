//! The client for programs without async.
//!
//! A thin front over one runtime with one thread in the background, which all blocking clients of
//! the process share: handlers run there, and one that blocks blocks all of them.
//!
//! # Panics
//!
//! Methods that block panic when they are called from async code, which includes handlers: those
//! have the [`Socket`](crate::Socket) that they take as a parameter.
//!
//! ```no_run
//! # use sockeye_client as sockeye;
//! use sockeye::{Data, blocking};
//!
//! # fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let socket = blocking::Client::connect("http://localhost:3000")?;
//! socket.on("chat", |Data(text): Data<String>| println!("{text}"));
//! socket.emit("chat", ("lobby", "hello"))?;
//! let sum: i64 = socket.emit_with_ack("sum", vec![1, 2, 3])?;
//! socket.close();
//! # Ok(())
//! # }
//! ```

use std::future::Future;
use std::ops::Deref;
use std::sync::OnceLock;
use std::time::Duration;

use sockeye_events::{AckError, EmitError};
use sockeye_socket_proto::{FromArgs, ToArgs};
use tokio::runtime::{Builder, Handle};

use crate::{ClientBuilder, ConfigError, ConnectError};

/// Where blocking sockets come from.
#[derive(Debug)]
pub struct Client(());

/// This side of one namespace, with methods that block where those of [`crate::Socket`] are
/// async. It dereferences to that, for all the others.
#[derive(Clone, Debug)]
pub struct Socket(crate::Socket);

impl Client {
    /// Connects to a server, and waits until the socket of the URL's namespace is connected.
    ///
    /// # Errors
    ///
    /// As for [`crate::Client::connect`].
    pub fn connect(url: impl ToString) -> Result<Socket, ConnectError> {
        Self::connect_with(crate::Client::builder(url))
    }

    /// Connects with the settings and handlers of a builder.
    ///
    /// # Errors
    ///
    /// As for [`ClientBuilder::connect`].
    pub fn connect_with(builder: ClientBuilder) -> Result<Socket, ConnectError> {
        block_on(builder.connect()).map(Socket)
    }

    /// Connects in the background; see [`crate::Client::connect_lazy`].
    ///
    /// # Errors
    ///
    /// As for [`ClientBuilder::connect_lazy`].
    pub fn connect_lazy(builder: ClientBuilder) -> Result<Socket, ConfigError> {
        let _inside = runtime().enter();
        builder.connect_lazy().map(Socket)
    }
}

impl Socket {
    /// Connects again after a `disconnect`; see [`crate::Socket::connect`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn connect(&self) -> Result<(), ConnectError> {
        block_on(self.0.connect())
    }

    /// Emits an event and waits for the server's answer, until the socket is disconnected.
    ///
    /// # Errors
    ///
    /// [`AckError`] if there is none, or of another shape.
    pub fn emit_with_ack<T: FromArgs>(
        &self,
        name: impl AsRef<str>,
        args: impl ToArgs,
    ) -> Result<T, AckError> {
        block_on(self.0.emit_with_ack(name, args))
    }

    /// Emits an event and waits for the server's answer for this long at most.
    ///
    /// # Errors
    ///
    /// As for [`emit_with_ack`](Self::emit_with_ack), and [`AckError::Timeout`].
    pub fn emit_with_ack_within<T: FromArgs>(
        &self,
        timeout: Duration,
        name: impl AsRef<str>,
        args: impl ToArgs,
    ) -> Result<T, AckError> {
        let _inside = runtime().enter();
        let answer = self.0.timeout(timeout).emit_with_ack(name, args);
        block_on(answer)
    }

    /// Waits for room in the outbox; see [`crate::Socket::ready`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn ready(&self) -> Result<(), EmitError> {
        block_on(self.0.ready())
    }

    /// Disconnects all sockets of the client, and waits until what was emitted before is sent.
    pub fn close(&self) {
        let client = self.0.client();
        block_on(client.close());
    }

    /// Waits until no socket of the client is connected, or wants to be.
    pub fn wait_closed(&self) {
        let client = self.0.client();
        block_on(client.closed());
    }
}

/// For sockets of other namespaces: `socket.client().socket("/admin").into()`.
impl From<crate::Socket> for Socket {
    fn from(socket: crate::Socket) -> Self {
        Self(socket)
    }
}

impl Deref for Socket {
    type Target = crate::Socket;

    fn deref(&self) -> &crate::Socket {
        &self.0
    }
}

/// One thread for all blocking clients, for as long as the process runs.
fn runtime() -> &'static Handle {
    static RUNTIME: OnceLock<Handle> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("the system gives the process a descriptor to wait on");
        let handle = runtime.handle().clone();
        std::thread::Builder::new()
            .name("sockeye".to_owned())
            .spawn(move || runtime.block_on(std::future::pending::<()>()))
            .expect("the system gives the process one more thread");
        handle
    })
}

fn block_on<F: Future>(future: F) -> F::Output {
    runtime().block_on(future)
}
