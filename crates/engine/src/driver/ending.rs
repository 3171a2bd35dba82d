//! What is left to do for a session that is closed.

use std::task::{Context, Poll};
use std::time::Instant;

use sockeye_websocket::OpCode;

use super::stream::{Fate, Wire};
use super::{Carrier, Driver, Side};
use crate::connection::Connection;
use crate::handle::SessionHandle;
use crate::mailbox::Flushed;
use crate::unheard::Mistaken;

/// The way out of a closed session: write what waits and a close frame, say that no more will
/// come, and wait for the peer to do the same.
pub(super) struct Ending {
    deadline: Instant,
    step: Step,
}

enum Step {
    Write,
    Shutdown,
    AwaitEnd,
}

impl Ending {
    /// Seals the outbox behind the last words.
    pub(super) fn begin<S: Side, C: Connection>(driver: &Driver<S, C>, now: Instant) -> Self {
        let mut state = driver.handle.shared().lock();
        if let Carrier::Stream(wire) = &driver.carrier {
            match wire.fate {
                Fate::Open | Fate::PeerClosed(None) => {
                    state.push(|outbox| outbox.push_frame(OpCode::Close, &[]));
                }
                Fate::PeerClosed(Some(code)) | Fate::Violated(code) => {
                    state.push(|outbox| outbox.push_frame(OpCode::Close, &code.to_be_bytes()));
                }
                Fate::Mistaken(Mistaken::Refused) => {
                    let spoken = state.outbox.has_spoken();
                    if let Some(peer) = wire.unheard() {
                        let words = peer.last_words(spoken);
                        state.push(|outbox| outbox.push_frame_bytes(&words));
                    }
                }
                Fate::Ended | Fate::Mistaken(Mistaken::Readmitted) => {}
                Fate::Gone => state.outbox.clear(),
            }
        }
        state.outbox.seal();
        let linger = driver.side.limits().linger;
        let deadline = driver
            .session
            .tombstone_until()
            .or_else(|| now.checked_add(linger))
            .unwrap_or(now);
        Self {
            deadline,
            step: Step::Write,
        }
    }

    /// When the socket is dropped, whatever the peer does.
    pub(super) const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// There is no time left.
    pub(super) const fn expire(&mut self, now: Instant) {
        self.deadline = now;
    }

    /// Goes on as far as possible now; ready when the transport may be dropped.
    pub(super) fn poll(
        &mut self,
        carrier: &mut Carrier,
        handle: &SessionHandle,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        match carrier {
            Carrier::Gone => Poll::Ready(()),
            _ if self.deadline <= now => Poll::Ready(()),
            // A poll may still come for the news, until the deadline.
            Carrier::Polling(polling) if polling.tombstone => Poll::Pending,
            Carrier::Polling(_) => Poll::Ready(()),
            Carrier::Requests(requests) => requests.poll_farewell(handle, cx),
            Carrier::Stream(wire) if wire.fate.is_over() => Poll::Ready(()),
            Carrier::Stream(wire) => self.poll_stream(wire, handle, cx),
        }
    }

    fn poll_stream(
        &mut self,
        wire: &mut Wire,
        handle: &SessionHandle,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        if matches!(self.step, Step::Write) {
            match handle.shared().flush(wire, cx) {
                Flushed::All => self.step = Step::Shutdown,
                Flushed::Blocked => return Poll::Pending,
                Flushed::NotHere | Flushed::Failed => return Poll::Ready(()),
            }
        }
        if matches!(self.step, Step::Shutdown) {
            match wire.io.poll_shutdown(cx) {
                Poll::Ready(Ok(())) => self.step = Step::AwaitEnd,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        wire.io.poll_discard(cx)
    }
}
