use std::time::Duration;

use sockeye_events::{AckFuture, EmitError, EventArgs, TypedEvent};
use sockeye_socket_proto::{FromArgs, ToArgs};

use crate::packet::Flags;

/// One emit to one socket, with options: what the socket's `timeout`, `volatile`, `compress` and
/// `binary` begin.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `emit` is called"]
pub struct Emission<'s, S> {
    socket: &'s S,
    options: EmitOptions,
}

/// How one event is emitted, and how long its acknowledgement is waited for.
#[derive(Clone, Copy, Debug)]
pub struct EmitOptions {
    /// What concerns the packet.
    pub flags: Flags,
    /// `None` for what the socket has as its default.
    pub timeout: Option<Duration>,
}

/// What an [`Emission`] needs of a socket.
pub trait Emitter {
    /// Emits an event.
    ///
    /// # Errors
    ///
    /// Nothing was sent.
    fn emit_with<A: ToArgs + ?Sized>(
        &self,
        name: &str,
        args: &A,
        options: EmitOptions,
    ) -> Result<(), EmitError>;

    /// Emits an event whose acknowledgement is waited for.
    fn ask_with<A: ToArgs + ?Sized, T: FromArgs>(
        &self,
        name: &str,
        args: &A,
        options: EmitOptions,
    ) -> AckFuture<T>;
}

impl<'s, S: Emitter> Emission<'s, S> {
    /// An emit without any option.
    pub const fn new(socket: &'s S) -> Self {
        let options = EmitOptions {
            flags: Flags::new(),
            timeout: None,
        };
        Self { socket, options }
    }

    /// Drops the event rather than queue it, or keep it for the next connection, if the peer cannot
    /// take it right now.
    pub const fn volatile(mut self) -> Self {
        self.options.flags.send.volatile = true;
        self
    }

    /// Whether the event may be compressed, where the transport compresses at all. Default: yes.
    pub const fn compress(mut self, compress: bool) -> Self {
        self.options.flags.send.compress = compress;
        self
    }

    /// Whether bytes travel as binary attachments. Default: yes. Otherwise they stay inside of the
    /// event's JSON, in the form that Node gives to a Buffer: `{"type":"Buffer","data":[1,2]}`. They
    /// grow to up to four times their size then, but there may be more of them than a peer takes
    /// attachments.
    pub const fn binary(mut self, binary: bool) -> Self {
        self.options.flags.binary = binary;
        self
    }

    /// How long to wait for the acknowledgement; for each try, if a client's socket has `retries`.
    /// Default: the `ack_timeout` of a client's socket, or until the socket is disconnected.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// Emits; see the socket's `emit`.
    ///
    /// # Errors
    ///
    /// As there.
    #[expect(clippy::needless_pass_by_value, reason = "arguments are given away")]
    pub fn emit(&self, name: impl AsRef<str>, args: impl ToArgs) -> Result<(), EmitError> {
        self.socket.emit_with(name.as_ref(), &args, self.options)
    }

    /// Emits the event `message`.
    ///
    /// # Errors
    ///
    /// As for [`emit`](Self::emit).
    pub fn send(&self, args: impl ToArgs) -> Result<(), EmitError> {
        self.emit("message", args)
    }

    /// Emits and waits for the acknowledgement; see the socket's `emit_with_ack`.
    #[expect(clippy::needless_pass_by_value, reason = "arguments are given away")]
    pub fn emit_with_ack<T: FromArgs>(
        &self,
        name: impl AsRef<str>,
        args: impl ToArgs,
    ) -> AckFuture<T> {
        self.socket.ask_with(name.as_ref(), &args, self.options)
    }

    /// Emits a typed event; give it away or lend it.
    ///
    /// # Errors
    ///
    /// As for [`emit`](Self::emit).
    pub fn emit_event<E: TypedEvent>(&self, event: E) -> Result<(), EmitError> {
        self.emit(E::NAME, EventArgs(&event))
    }

    /// Emits a typed event and waits for its acknowledgement, which it must have.
    pub fn emit_event_with_ack<E>(&self, event: E) -> AckFuture<E::Ack>
    where
        E: TypedEvent<Ack: FromArgs>,
    {
        self.emit_with_ack(E::NAME, EventArgs(&event))
    }
}
