//! The right to answer one event.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

/// The right to answer one event, shared by its handlers: only the first answer is sent.
#[derive(Clone, Debug)]
pub struct AckSlot {
    pub(crate) id: u64,
    /// Made where more than one may answer: several handlers, or one and an [`Ack`](crate::Ack) of its. One handler
    /// alone answers once at most by returning.
    shared: OnceLock<Arc<Mutex<Agreement>>>,
}

/// What those agree on who may answer.
#[derive(Debug)]
struct Agreement {
    phase: Phase,
    /// How many may still answer: handlers that have not returned, each `Ack`, and who calls the handlers.
    busy: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nobody has said anything.
    Open,
    /// A handler has returned `Ok(())`. That is the answer if nobody gives a better one.
    Done,
    Answered,
}

impl AckSlot {
    pub(crate) const fn new(id: u64) -> Self {
        let shared = OnceLock::new();
        Self { id, shared }
    }

    /// Prepares for several who may answer. The caller counts as one of them until it says [`end`](Self::end), so that
    /// a handler that is done before the next one is called is not taken for the last.
    pub(crate) fn share(&self) {
        self.shared();
    }

    /// A handler is called, which says [`end`](Self::end) when it is done.
    pub(crate) fn begin(&self) {
        if let Some(shared) = self.shared.get() {
            shared.lock().busy += 1;
        }
    }

    /// The right to answer at any time, for what says [`end`](Self::end) when it is dropped. Whoever takes it, a handler
    /// that is being called, counts beside it.
    pub(crate) fn take_in_hand(&self) -> Self {
        self.shared().lock().busy += 1;
        self.clone()
    }

    /// Whether the caller is the first that answers.
    pub(crate) fn answer(&self) -> bool {
        self.shared.get().is_none_or(|shared| {
            std::mem::replace(&mut shared.lock().phase, Phase::Answered) != Phase::Answered
        })
    }

    /// A handler has returned `Ok(())`; true if that is the answer already, as there is no other handler.
    pub(crate) fn done(&self) -> bool {
        let Some(shared) = self.shared.get() else {
            return true;
        };
        let mut shared = shared.lock();
        if shared.phase == Phase::Open {
            shared.phase = Phase::Done;
        }
        false
    }

    /// One of those who might have answered will not any more; true if the event is to be answered without arguments
    /// now.
    pub(crate) fn end(&self) -> bool {
        let Some(shared) = self.shared.get() else {
            return false;
        };
        let mut shared = shared.lock();
        shared.busy -= 1;
        let is_answer = shared.busy == 0 && shared.phase == Phase::Done;
        if is_answer {
            shared.phase = Phase::Answered;
        }
        is_answer
    }

    fn shared(&self) -> &Mutex<Agreement> {
        self.shared.get_or_init(|| {
            Arc::new(Mutex::new(Agreement {
                phase: Phase::Open,
                busy: 1,
            }))
        })
    }
}
