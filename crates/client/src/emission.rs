use std::time::Duration;

use sockeye_events::{AckFuture, EmitError};
use sockeye_link::packet::Flags;
use sockeye_socket_proto::{FromArgs, ToArgs};

use crate::Socket;

/// One emit, with options: what [`Socket::timeout`], [`Socket::volatile`] and
/// [`Socket::compress`] begin.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `emit` is called"]
pub struct Emission<'s> {
    socket: &'s Socket,
    flags: Flags,
    timeout: Option<Duration>,
}

impl<'s> Emission<'s> {
    pub(crate) const fn new(socket: &'s Socket) -> Self {
        Self {
            socket,
            flags: Flags::new(),
            timeout: None,
        }
    }

    /// Drops the event rather than keep or queue it if it cannot go right now.
    pub const fn volatile(mut self) -> Self {
        self.flags.send.volatile = true;
        self
    }

    /// Whether the event may be compressed, where the transport compresses at all. Default: yes.
    pub const fn compress(mut self, compress: bool) -> Self {
        self.flags.send.compress = compress;
        self
    }

    /// Marks the event as binary even if it has no attachments, as old servers may want it.
    /// Default: no. Bytes become attachments in any case.
    pub const fn binary(mut self, binary: bool) -> Self {
        self.flags.binary = binary;
        self
    }

    /// How long to wait for the acknowledgement, for each try if the socket has `retries`.
    /// Default: the socket's `ack_timeout`, or until it is disconnected.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Emits; see [`Socket::emit`].
    ///
    /// # Errors
    ///
    /// As for [`Socket::emit`].
    #[expect(clippy::needless_pass_by_value, reason = "arguments are given away")]
    pub fn emit(&self, name: impl AsRef<str>, args: impl ToArgs) -> Result<(), EmitError> {
        self.socket
            .emit_named(name.as_ref(), &args, None, self.timeout, self.flags)
    }

    /// Emits the event `message`.
    ///
    /// # Errors
    ///
    /// As for [`Socket::emit`].
    pub fn send(&self, args: impl ToArgs) -> Result<(), EmitError> {
        self.emit("message", args)
    }

    /// Emits and waits for the acknowledgement; see [`Socket::emit_with_ack`].
    #[expect(clippy::needless_pass_by_value, reason = "arguments are given away")]
    pub fn emit_with_ack<T: FromArgs>(
        &self,
        name: impl AsRef<str>,
        args: impl ToArgs,
    ) -> AckFuture<T> {
        self.socket
            .emit_named_with_ack(name.as_ref(), &args, self.timeout, self.flags)
    }
}
