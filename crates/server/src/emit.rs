use std::time::Duration;

use sockeye_events::{AckFuture, EmitError};
use sockeye_link::packet::Flags;
use sockeye_socket_proto::{FromArgs, ToArgs};

use crate::Socket;

/// One emit to one socket, with options: what [`Socket::timeout`], [`Socket::volatile`] and
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
        let flags = Flags::new();
        Self {
            socket,
            flags,
            timeout: None,
        }
    }

    /// Drops the event rather than queue it if the peer cannot take it right now.
    pub const fn volatile(mut self) -> Self {
        self.flags.send.volatile = true;
        self
    }

    /// Whether the event may be compressed, where the transport compresses at all. Default: yes.
    pub const fn compress(mut self, compress: bool) -> Self {
        self.flags.send.compress = compress;
        self
    }

    /// Marks the event as binary even if it has no attachments, as old peers may want it. Default:
    /// no. Bytes become attachments in any case.
    pub const fn binary(mut self, binary: bool) -> Self {
        self.flags.binary = binary;
        self
    }

    /// How long to wait for the acknowledgement. Default: until the socket disconnects.
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
            .send_event(name.as_ref(), &args, None, self.flags)
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
        let socket = self.socket;
        let id = socket.link().next_ack_id();
        let limit = socket.namespace().config().max_pending_acks;
        AckFuture::register(&socket.ack_owner(), id, limit, self.timeout, || {
            socket.send_event(name.as_ref(), &args, Some(id), self.flags)
        })
    }
}
