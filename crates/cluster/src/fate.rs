//! What becomes of a message.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::status::Status;

/// What becomes of a message that a bus has been given. If the bus drops it without a word, as happens to what is on its way
/// when a connection is lost, it is counted as lost then.
#[derive(Default)]
pub(crate) enum Fate {
    /// It waits.
    #[default]
    Waiting,
    /// The bus has it.
    Given {
        status: Arc<Status>,
        namespace: Arc<str>,
        /// The bus has said what became of it.
        is_told: AtomicBool,
    },
}

impl Fate {
    /// A bus is given it.
    pub(crate) fn given(status: &Arc<Status>, namespace: &Arc<str>) -> Self {
        Self::Given {
            status: Arc::clone(status),
            namespace: Arc::clone(namespace),
            is_told: AtomicBool::new(false),
        }
    }

    /// The bus says what became of it.
    pub(crate) fn tell(&self) {
        if let Self::Given { is_told, .. } = self {
            is_told.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for Fate {
    fn drop(&mut self) {
        if let Self::Given {
            status,
            namespace,
            is_told,
        } = self
            && !*is_told.get_mut()
        {
            status.lost(&status.failed, namespace);
        }
    }
}
