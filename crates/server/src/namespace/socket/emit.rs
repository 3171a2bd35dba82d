//! Events on their way to one socket.

use std::time::Duration;

use sockeye_engine::SendOptions;
use sockeye_events::{AckFuture, EmitError};
use sockeye_link::packet::{self, Buffers, Flags, encode_for, with_buffers};
use sockeye_link::{EmitOptions, Emitter, Encoded};
use sockeye_meter as meter;
use sockeye_socket_proto::{Args, FromArgs, ToArgs};

use super::Socket;
use crate::{Emission, trace};

impl Socket {
    /// Emits an event to this socket. A tuple becomes several arguments, `()` none, anything
    /// else one; `Bytes` anywhere inside travel as binary attachments.
    ///
    /// This never waits: the event is encoded and queued, and written as soon as the transport
    /// takes it.
    ///
    /// # Errors
    ///
    /// Nothing was sent if the socket is gone, its outbox is full, the name is reserved, or an
    /// argument cannot be encoded.
    pub fn emit(&self, name: impl AsRef<str>, args: impl ToArgs) -> Result<(), EmitError> {
        self.emission().emit(name, args)
    }

    /// Emits the event `message`.
    ///
    /// # Errors
    ///
    /// As for [`emit`](Self::emit).
    pub fn send(&self, args: impl ToArgs) -> Result<(), EmitError> {
        self.emit("message", args)
    }

    /// Emits an event at once, and gives a future of the peer's answer: its first argument, or
    /// several as a tuple.
    ///
    /// It waits until the socket disconnects; use [`timeout`](Self::timeout) to wait less.
    pub fn emit_with_ack<T: FromArgs>(
        &self,
        name: impl AsRef<str>,
        args: impl ToArgs,
    ) -> AckFuture<T> {
        self.emission().emit_with_ack(name, args)
    }

    /// The next emit waits this long for its acknowledgement.
    pub const fn timeout(&self, timeout: Duration) -> Emission<'_> {
        self.emission().timeout(timeout)
    }

    /// The next emit is dropped rather than queued if the peer cannot take it right now, which is
    /// no error: it is on long-polling between two polls, or has not read what was sent before. On
    /// TCP and Unix-domain streams as much may wait as the
    /// [high-water mark](crate::SessionLimits::high_water_mark()) says, 16 KiB.
    pub const fn volatile(&self) -> Emission<'_> {
        self.emission().volatile()
    }

    /// The next emit may be compressed or not, where the transport compresses at all.
    pub const fn compress(&self, compress: bool) -> Emission<'_> {
        self.emission().compress(compress)
    }

    /// Whether bytes in the next emit travel as binary attachments, as they do by default, or stay
    /// inside of its JSON; see [`Emission::binary`].
    pub const fn binary(&self, binary: bool) -> Emission<'_> {
        self.emission().binary(binary)
    }

    const fn emission(&self) -> Emission<'_> {
        Emission::new(self)
    }

    pub(crate) fn send_event<A: ToArgs + ?Sized>(
        &self,
        name: &str,
        args: &A,
        ack_id: Option<u64>,
        flags: Flags,
    ) -> Result<(), EmitError> {
        self.check_name(name)?;
        if ack_id.is_none() && !flags.send.volatile && self.recovery().is_some() {
            let args = Args::new(args).map_err(|error| error.of_event(name))?;
            return match self.emit_logged(name, &args, flags) {
                Some(result) => result,
                None => self.send_now(name, &args, None, flags),
            };
        }
        self.send_now(name, args, ack_id, flags)
    }

    fn send_now<A: ToArgs + ?Sized>(
        &self,
        name: &str,
        args: &A,
        ack_id: Option<u64>,
        flags: Flags,
    ) -> Result<(), EmitError> {
        if !self.connected() {
            return Err(EmitError::Disconnected);
        }
        if self.has_outgoing() {
            let args = Args::new(args).map_err(|error| error.of_event(name))?;
            self.notify_outgoing(name, &args);
        }
        trace::emitted(self, name, ack_id.is_some());
        with_buffers(|buffers| {
            let (session, namespace) = (&self.0.link.session, self.0.namespace.name());
            let limits = self.limits().inline(!flags.binary);
            let start = encode_for(session, buffers, namespace, name, args, ack_id, limits)?;
            self.send_event_packet(buffers, start, (name, ack_id), flags.send)
        })
    }

    fn check_name(&self, name: &str) -> Result<(), EmitError> {
        let session = &self.0.link.session;
        packet::check_name(session.dialect(), || packet::is_on_stream(session), name)
    }

    /// Sends the packet of an event, which stands in the buffers from `start` on, if the socket is still connected.
    ///
    /// It is not generic: what knows the kind of the arguments is compiled anew for each of them, in the crate that emits,
    /// with all that is in it.
    fn send_event_packet(
        &self,
        buffers: &mut Buffers,
        start: usize,
        event: (&str, Option<u64>),
        options: SendOptions,
    ) -> Result<(), EmitError> {
        packet::send_event_if(self.peer(), buffers, start, event, options, || {
            self.connected()
        })?;
        meter::events_sent(1);
        Ok(())
    }

    /// Sends the packet of an answer, which stands in the buffers from `start` on, if the socket is still connected.
    pub(super) fn send_ack_packet(
        &self,
        buffers: &mut Buffers,
        start: usize,
    ) -> Result<(), EmitError> {
        let options = Flags::new().send;
        packet::send_if(self.peer(), buffers, start, options, || self.connected())
    }

    /// Sends an event that was encoded for many.
    pub(crate) fn send_encoded(
        &self,
        event: &Encoded,
        options: SendOptions,
    ) -> Result<(), EmitError> {
        let peer = self.peer();
        let messages = event.messages(peer);
        peer.session
            .send_if(messages, options, || self.connected())
            .map_err(packet::emit_error)?;
        meter::events_sent(1);
        Ok(())
    }
}

impl Emitter for Socket {
    fn emit_with<A: ToArgs + ?Sized>(
        &self,
        name: &str,
        args: &A,
        options: EmitOptions,
    ) -> Result<(), EmitError> {
        self.send_event(name, args, None, options.flags)
    }

    fn ask_with<A: ToArgs + ?Sized, T: FromArgs>(
        &self,
        name: &str,
        args: &A,
        options: EmitOptions,
    ) -> AckFuture<T> {
        let id = self.link().next_ack_id();
        let limit = self.namespace().config().max_pending_acks;
        AckFuture::register(&self.ack_owner(), id, limit, options.timeout, || {
            self.send_event(name, args, Some(id), options.flags)
        })
    }
}
