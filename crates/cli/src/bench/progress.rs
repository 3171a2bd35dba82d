//! The live line, on terminals only.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use super::load::Load;
use super::{grouped, human};

/// A line on standard error that changes.
pub(super) struct Progress(ProgressBar);

/// How often it does.
const PERIOD: Duration = Duration::from_millis(200);

impl Progress {
    pub(super) fn new() -> Self {
        // On anything but a terminal it draws nothing.
        Self(ProgressBar::with_draw_target(
            None,
            ProgressDrawTarget::stderr(),
        ))
    }

    /// One more of so many connections is open.
    pub(super) fn connected(&self, of: usize) {
        self.0.inc(1);
        let open = self.0.position();
        self.0.set_message(format!("{open} of {of} connections"));
    }

    /// Shows how it goes, until it is dropped.
    pub(super) async fn follow(&self, load: &Load, duration: Duration) {
        if self.0.is_hidden() {
            return std::future::pending().await;
        }
        let style = ProgressStyle::with_template("{bar:20} {msg}");
        let style = style.expect("the template is right").progress_chars("━╸·");
        self.0.set_style(style);
        self.0.set_length(millis(duration));
        let start = Instant::now();
        let mut last = (start, 0);
        loop {
            tokio::time::sleep(PERIOD).await;
            let (now, answered) = (Instant::now(), load.answered());
            let rate = per_second(answered - last.1, now - last.0);
            last = (now, answered);
            let latency = load.latency();
            let p99 = human(Duration::from_nanos(latency.value_at_quantile(0.99)));
            let errors = load.errors();
            let failed = errors.timeouts + errors.failed;
            let elapsed = start.elapsed();
            self.0.set_position(millis(elapsed));
            self.0.set_message(format!(
                "{:.1} s  {}/s  p99 {p99}  {} not answered",
                elapsed.as_secs_f64(),
                grouped(rate),
                grouped(failed),
            ));
        }
    }

    /// Takes the line away.
    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

/// How many that are in a second.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rounded for people; conversions from floating point saturate"
)]
pub(super) fn per_second(count: u64, time: Duration) -> u64 {
    if time.is_zero() {
        return 0;
    }
    (count as f64 / time.as_secs_f64()).round() as u64
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
