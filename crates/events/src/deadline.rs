use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// A time to wait for, counted from now, whose timer is only made when it is waited for: that
/// needs a runtime, while emitting does not.
#[derive(Debug)]
pub struct Deadline {
    /// `None` if it is too far away to be told.
    at: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    /// The time after this duration.
    #[must_use]
    pub fn after(duration: Duration) -> Self {
        Self {
            at: Instant::now().checked_add(duration),
            sleep: None,
        }
    }

    /// Ready when the time has come.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else {
            return Poll::Pending;
        };
        self.sleep
            .get_or_insert_with(|| Box::pin(sleep_until(at)))
            .as_mut()
            .poll(cx)
    }
}
