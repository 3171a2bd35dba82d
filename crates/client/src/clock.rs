//! Where the machines of [`life`](crate::life) get time and chance from.

use std::time::Instant;

/// The time, on the clock that the runtime's timers follow.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// A number that is uniform in `0.0..1.0`; the middle if the system has no random source.
pub(crate) fn random() -> f64 {
    let bits = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}

#[test]
fn random_numbers_are_in_range() {
    for _ in 0..50 {
        assert!((0.0..1.0).contains(&random()));
    }
}
