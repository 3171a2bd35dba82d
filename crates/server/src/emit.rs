//! Events on their way to one socket.

use sockeye_events::{AckFuture, EmitError};
use sockeye_link::{EmitOptions, Emitter};
use sockeye_socket_proto::{FromArgs, ToArgs};

use crate::Socket;

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
