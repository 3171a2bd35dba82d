//! Acknowledgements on their way out.

use std::sync::atomic::Ordering;

use sockeye_engine::SessionHandle;
use sockeye_events::EmitError;
use sockeye_link::packet::{AckForm, Flags, encode_ack_for, send, with_buffers};
use sockeye_socket_proto::ToArgs;

use super::state::{ClientSocket, is_in};

impl ClientSocket {
    /// Answers an event that came over this session.
    pub(super) fn acknowledge<A: ToArgs + ?Sized>(
        &self,
        session: &SessionHandle,
        id: u64,
        args: &A,
    ) -> Result<(), EmitError> {
        with_buffers(|buffers| {
            let namespace = self.namespace();
            let form = match self.counted_acks.load(Ordering::Relaxed) {
                true => AckForm::Counted,
                false => AckForm::Plain,
            };
            let limits = self.limits();
            let start = encode_ack_for(session, buffers, namespace, id, args, form, limits)?;
            // Locked, so that nothing can be sent behind the packet that leaves the namespace.
            let state = self.lock();
            if !is_in(&state, session) {
                return Err(EmitError::Disconnected);
            }
            send(self.peer(session), buffers, start, Flags::new().send)
        })
    }
}
