//! The session's one timer, and the time as it is kept for long.

use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

/// A time in full tenths of a second since the first one, which is a quarter of what an [`Instant`]
/// takes, and enough for 13 years.
#[derive(Clone, Copy)]
pub(super) struct Moment(u32);

impl Moment {
    pub(super) fn of(now: Instant) -> Self {
        let since = now.saturating_duration_since(Self::begun());
        let tenths = since.as_secs() * 10 + u64::from(since.subsec_millis() / 100);
        Self(u32::try_from(tenths).unwrap_or(u32::MAX))
    }

    pub(super) fn instant(self) -> Instant {
        Self::begun() + Duration::from_millis(u64::from(self.0) * 100)
    }

    pub(super) fn until(self, now: Instant) -> Duration {
        now.saturating_duration_since(self.instant())
    }

    fn begun() -> Instant {
        static BEGUN: OnceLock<Instant> = OnceLock::new();
        // No clock that tests move is behind this one.
        *BEGUN.get_or_init(Instant::now)
    }
}

/// The session's one timer.
pub(super) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    armed: Armed,
}

/// What a timer waits for.
#[derive(Clone, Copy)]
enum Armed {
    /// Nobody has said yet; it counts as due.
    Unset,
    /// The sleep is set to this time, and polled for it.
    At(Instant),
    /// There is nothing to wait for.
    Never,
}

impl Timer {
    pub(super) const fn new() -> Self {
        Self {
            sleep: None,
            armed: Armed::Unset,
        }
    }

    /// How long ago the timer should have fired.
    pub(super) fn delay(&self, now: Instant) -> Duration {
        match self.armed {
            Armed::At(at) => now.saturating_duration_since(at),
            Armed::Unset | Armed::Never => Duration::ZERO,
        }
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        match self.armed {
            Armed::Unset => true,
            Armed::At(at) => at <= now,
            Armed::Never => false,
        }
    }

    /// Sees to it that the task is woken when `due` comes; ready if it has come already.
    ///
    /// A deadline that moves later is left alone: waking up once for nothing is cheaper than
    /// moving the timer with every packet.
    pub(super) fn arm(
        &mut self,
        due: Option<Instant>,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let Some(due) = due else {
            self.sleep = None;
            self.armed = Armed::Never;
            return Poll::Pending;
        };
        if matches!(self.armed, Armed::At(at) if now < at && at <= due) {
            return Poll::Pending;
        }
        let at = tokio::time::Instant::from_std(due);
        let sleep = match &mut self.sleep {
            Some(sleep) => {
                sleep.as_mut().reset(at);
                sleep
            }
            none => none.insert(Box::pin(tokio::time::sleep_until(at))),
        };
        self.armed = Armed::At(due);
        poll_unconstrained(sleep, cx)
    }

    /// Has this task woken when what is armed comes, and no other; ready if it has come already.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.sleep {
            Some(sleep) => poll_unconstrained(sleep, cx),
            None => Poll::Pending,
        }
    }
}

/// Polls a timer whatever the task's handlers have left of its budget. Where nothing is left, tokio would have the
/// task run again without having taken its waker for the timer, which is polled only when it is set.
fn poll_unconstrained(sleep: &mut Pin<Box<Sleep>>, cx: &mut Context<'_>) -> Poll<()> {
    Pin::new(&mut tokio::task::unconstrained(sleep.as_mut())).poll(cx)
}
