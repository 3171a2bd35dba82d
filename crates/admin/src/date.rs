//! Moments as JavaScript writes them.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use humantime::format_rfc3339_millis;
use serde::{Serialize, Serializer};

/// A moment, which is told as the JSON of a `Date`: `2026-02-03T04:05:06.789Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Date(SystemTime);

impl Date {
    /// Not before 1970, wherever the clock stands: there is no text for that.
    pub(crate) fn now() -> Self {
        Self(SystemTime::now().max(UNIX_EPOCH))
    }

    /// The beginning of its second, in milliseconds since 1970.
    pub(crate) fn second(self) -> u64 {
        let since = self.0.duration_since(UNIX_EPOCH);
        since.unwrap_or_default().as_secs() * 1000
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        format_rfc3339_millis(self.0).fmt(f)
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn date(millis: u64) -> Date {
        Date(UNIX_EPOCH + Duration::from_millis(millis))
    }

    #[test]
    fn dates_are_those_of_javascript() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_200_000, "2024-03-01T00:00:00.000Z"),
            (1_798_761_599_001, "2026-12-31T23:59:59.001Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(date(millis).to_string(), text);
        }
        assert_eq!(date(12_345).second(), 12_000);
    }
}
