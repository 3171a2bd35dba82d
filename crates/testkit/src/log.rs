use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};

/// What handlers have seen, in order, for a test to wait for.
pub struct Log<T> {
    sender: mpsc::UnboundedSender<T>,
    receiver: Arc<Mutex<mpsc::UnboundedReceiver<T>>>,
    patience: Duration,
}

impl<T> Log<T> {
    /// An empty log.
    #[must_use]
    pub fn new() -> Self {
        Self::with_patience(Duration::from_secs(20))
    }

    /// An empty log for a runtime whose clock is paused.
    #[must_use]
    pub fn virtual_time() -> Self {
        Self::with_patience(Duration::from_secs(86_400))
    }

    fn with_patience(patience: Duration) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self {
            sender,
            receiver: Arc::new(Mutex::new(receiver)),
            patience,
        }
    }

    /// Takes note of something.
    pub fn push(&self, entry: T) {
        let _ = self.sender.send(entry);
    }

    /// Waits for the next entry.
    pub async fn next(&self) -> T {
        let mut receiver = self.receiver.lock().await;
        match tokio::time::timeout(self.patience, receiver.recv()).await {
            Ok(entry) => entry.expect("the log holds a sender itself"),
            Err(_) => panic!("no entry within {:?}", self.patience),
        }
    }

    /// Waits for this many entries.
    pub async fn take(&self, count: usize) -> Vec<T> {
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            entries.push(self.next().await);
        }
        entries
    }

    /// What was noted and not taken yet, without waiting.
    #[must_use]
    pub fn rest(&self) -> Vec<T> {
        let mut receiver = self.receiver.try_lock().expect("nobody waits");
        std::iter::from_fn(|| receiver.try_recv().ok()).collect()
    }
}

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            receiver: Arc::clone(&self.receiver),
            patience: self.patience,
        }
    }
}

impl<T> fmt::Debug for Log<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}
