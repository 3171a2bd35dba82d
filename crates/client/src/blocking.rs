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

use futures_util::{Stream, StreamExt};
use sockeye_events::{AckError, EmitError, EventArgs, FromEvent, TypedEvent};
use sockeye_socket_proto::{FromArgs, ToArgs};
use tokio::runtime::{Builder, Handle};

use crate::{ClientBuilder, ConfigError, ConnectError, EventStream, TypedEventStream};

/// Where blocking sockets come from.
#[derive(Debug)]
pub struct Client(());

/// This side of one namespace, with methods that block where those of [`crate::Socket`] are
/// async. It dereferences to that, for all the others.
#[derive(Clone, Debug)]
pub struct Socket(crate::Socket);

/// One emit, with options, as [`crate::Emission`]; what waits for an answer blocks.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `emit` is called"]
pub struct Emission<'s>(crate::Emission<'s>);

/// The events of a stream, one after the other: the iterator blocks until the next one is there.
/// It ends with the stream.
///
/// ```no_run
/// # use sockeye_client as sockeye;
/// # fn run(socket: sockeye::blocking::Socket) -> Result<(), Box<dyn std::error::Error>> {
/// for event in socket.events::<(String, f64)>("price") {
///     let (name, price) = event.data()?;
///     println!("{name}: {price}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "events are only had by iterating"]
pub struct Events<S>(S);

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
        self.emission().emit_with_ack(name, args)
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
        self.timeout(timeout).emit_with_ack(name, args)
    }

    /// Emits a typed event and waits for its acknowledgement, until the socket is disconnected.
    ///
    /// # Errors
    ///
    /// As for [`emit_with_ack`](Self::emit_with_ack).
    pub fn emit_event_with_ack<E>(&self, event: E) -> Result<E::Ack, AckError>
    where
        E: TypedEvent<Ack: FromArgs>,
    {
        self.emission().emit_event_with_ack(event)
    }

    /// The next emit waits this long for its acknowledgement.
    pub fn timeout(&self, timeout: Duration) -> Emission<'_> {
        self.emission().timeout(timeout)
    }

    /// The next emit is dropped if it cannot go right now; see [`crate::Socket::volatile`].
    pub fn volatile(&self) -> Emission<'_> {
        self.emission().volatile()
    }

    /// The next emit may be compressed or not, where the transport compresses at all.
    pub fn compress(&self, compress: bool) -> Emission<'_> {
        self.emission().compress(compress)
    }

    /// Whether bytes in the next emit travel as attachments; see [`crate::Socket::binary`].
    pub fn binary(&self, binary: bool) -> Emission<'_> {
        self.emission().binary(binary)
    }

    /// The events of this name, one after the other, from now on; see [`crate::Socket::events`].
    pub fn events<T: FromArgs>(&self, name: &str) -> Events<EventStream<T>> {
        Events(self.0.events(name))
    }

    /// All events from the server, one after the other; see [`crate::Socket::all_events`].
    pub fn all_events(&self) -> Events<EventStream> {
        Events(self.0.all_events())
    }

    /// The typed events of one kind, one after the other; see [`crate::Socket::typed_events`].
    pub fn typed_events<E>(&self) -> Events<TypedEventStream<E>>
    where
        E: TypedEvent<Ack: 'static> + FromEvent<crate::Socket> + Send + 'static,
    {
        Events(self.0.typed_events())
    }

    const fn emission(&self) -> Emission<'_> {
        Emission(crate::Emission::new(&self.0))
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

impl Emission<'_> {
    /// See [`volatile`](sockeye_link::Emission::volatile) there.
    pub fn volatile(self) -> Self {
        Self(self.0.volatile())
    }

    /// See [`compress`](sockeye_link::Emission::compress) there.
    pub fn compress(self, compress: bool) -> Self {
        Self(self.0.compress(compress))
    }

    /// See [`binary`](sockeye_link::Emission::binary) there.
    pub fn binary(self, binary: bool) -> Self {
        Self(self.0.binary(binary))
    }

    /// See [`timeout`](sockeye_link::Emission::timeout) there.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self(self.0.timeout(timeout))
    }

    /// Emits an event, which never waits; see [`crate::Socket::emit`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn emit(&self, name: impl AsRef<str>, args: impl ToArgs) -> Result<(), EmitError> {
        self.0.emit(name, args)
    }

    /// Emits the event `message`.
    ///
    /// # Errors
    ///
    /// As for [`emit`](Self::emit).
    pub fn send(&self, args: impl ToArgs) -> Result<(), EmitError> {
        self.0.send(args)
    }

    /// Emits a typed event; give it away or lend it.
    ///
    /// # Errors
    ///
    /// As for [`emit`](Self::emit).
    pub fn emit_event<E: TypedEvent>(&self, event: E) -> Result<(), EmitError> {
        self.0.emit_event(event)
    }

    /// Emits an event and waits for the server's answer.
    ///
    /// # Errors
    ///
    /// [`AckError`] if there is none in time, or of another shape.
    pub fn emit_with_ack<T: FromArgs>(
        &self,
        name: impl AsRef<str>,
        args: impl ToArgs,
    ) -> Result<T, AckError> {
        // The time that it may take is kept by the runtime.
        let _inside = runtime().enter();
        block_on(self.0.emit_with_ack(name, args))
    }

    /// Emits a typed event and waits for its acknowledgement.
    ///
    /// # Errors
    ///
    /// As for [`emit_with_ack`](Self::emit_with_ack).
    pub fn emit_event_with_ack<E>(&self, event: E) -> Result<E::Ack, AckError>
    where
        E: TypedEvent<Ack: FromArgs>,
    {
        self.emit_with_ack(E::NAME, EventArgs(&event))
    }
}

impl<S: Stream + Unpin> Iterator for Events<S> {
    type Item = S::Item;

    fn next(&mut self) -> Option<S::Item> {
        block_on(self.0.next())
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
