use std::any::Any;
use std::fmt;

use sockeye_socket_proto::{RawArgs, ToArgs};

use crate::slot::AckSlot;
use crate::{DisconnectReason, EmitError, EventError, StateMap};

/// What handlers need of a socket: the server's and the client's socket implement it.
pub trait EventSocket: Clone + Send + Sync + fmt::Debug + 'static {
    /// Sends the answer to the event that carried this ack id.
    ///
    /// # Errors
    ///
    /// As for `emit`.
    fn acknowledge<A: ToArgs + ?Sized>(&self, id: u64, args: &A) -> Result<(), EmitError>;

    /// The values for the [`State`](crate::State) extractor.
    fn state(&self) -> &StateMap;

    /// Takes note of an event that went wrong.
    fn report(&self, error: EventError);

    /// Whether the time of its handlers is measured, as that of a server's sockets is. Default: it is not.
    const IS_MEASURED: bool = false;
}

/// A socket that has a peer: it emits events as well, and the connection below it begins, changes and ends.
pub trait PeerSocket: EventSocket {}

/// One event on its way to a handler: what extractors draw from.
#[derive(Debug)]
pub struct Event<'a, S> {
    socket: &'a S,
    name: &'a str,
    args: RawArgs<'a>,
    ack: Option<AckSlot>,
    reason: Option<DisconnectReason>,
    detail: Option<&'a (dyn Any + Send + Sync)>,
}

impl<'a, S> Event<'a, S> {
    /// An event that came from the peer; `ack` is the id under which it waits for an answer.
    #[must_use]
    pub fn incoming(socket: &'a S, name: &'a str, args: RawArgs<'a>, ack: Option<u64>) -> Self {
        let ack = ack.map(AckSlot::new);
        Self {
            socket,
            name,
            args,
            ack,
            reason: None,
            detail: None,
        }
    }

    /// The same event once more, perhaps changed, after it had to wait for a decision. Only one
    /// answer is sent for all its forms if [`share_ack`](Self::share_ack) was called on the first.
    #[must_use]
    pub const fn again(
        socket: &'a S,
        name: &'a str,
        args: RawArgs<'a>,
        ack: Option<AckSlot>,
    ) -> Self {
        Self {
            socket,
            name,
            args,
            ack,
            reason: None,
            detail: None,
        }
    }

    /// An event of the library itself, such as `connect`.
    #[must_use]
    pub fn local(socket: &'a S, name: &'a str) -> Self {
        Self {
            socket,
            name,
            args: RawArgs::empty(),
            ack: None,
            reason: None,
            detail: None,
        }
    }

    /// `disconnecting` or `disconnect`.
    #[must_use]
    pub fn disconnect(socket: &'a S, name: &'a str, reason: DisconnectReason) -> Self {
        Self {
            reason: Some(reason),
            ..Self::local(socket, name)
        }
    }

    /// Adds what an extractor of one kind of socket may ask for, by its type.
    #[must_use]
    pub const fn with_detail(mut self, detail: &'a (dyn Any + Send + Sync)) -> Self {
        self.detail = Some(detail);
        self
    }

    /// Prepares for several handlers, of which only the first answer may be sent.
    /// [`all_called`](Self::all_called) has to follow, on this event or on it [`again`](Self::again).
    pub fn share_ack(&self) {
        if let Some(slot) = &self.ack {
            slot.share();
        }
    }

    /// The socket that the event is for.
    #[must_use]
    pub const fn socket(&self) -> &'a S {
        self.socket
    }

    /// The event's name.
    #[must_use]
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// The arguments, still raw.
    #[must_use]
    pub const fn args(&self) -> &RawArgs<'a> {
        &self.args
    }

    /// How many bytes it has brought: its name, its arguments and their attachments.
    #[must_use]
    pub fn size(&self) -> usize {
        let attachments: usize = self.args.attachments().iter().map(bytes::Bytes::len).sum();
        self.name.len() + self.args.as_json().len() + attachments
    }

    /// Whether the peer waits for an acknowledgement.
    #[must_use]
    pub const fn wants_ack(&self) -> bool {
        self.ack.is_some()
    }

    /// Why the socket was disconnected, in a handler of `disconnecting` or `disconnect`.
    #[must_use]
    pub const fn reason(&self) -> Option<DisconnectReason> {
        self.reason
    }

    /// What [`with_detail`](Self::with_detail) has added.
    #[must_use]
    pub const fn detail(&self) -> Option<&'a (dyn Any + Send + Sync)> {
        self.detail
    }

    /// The right to answer, if the peer waits for an answer.
    #[must_use]
    pub const fn ack_slot(&self) -> Option<&AckSlot> {
        self.ack.as_ref()
    }
}
