//! The ids of entries, which are their places in a stream.

use std::fmt;

/// Milliseconds, and a number that tells entries of the same one apart. They grow from entry to entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EntryId {
    millis: u64,
    number: u64,
}

impl EntryId {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let (millis, number) = text.split_once('-')?;
        // Else a plus sign would be a part of it.
        (is_number(millis) && is_number(number)).then_some(())?;
        Some(Self {
            millis: millis.parse().ok()?,
            number: number.parse().ok()?,
        })
    }

    /// The next one that there can be: ranges that leave out their first entry need Redis 6.2.
    pub(super) const fn next(self) -> Self {
        let Self { millis, number } = self;
        match number.checked_add(1) {
            Some(number) => Self { millis, number },
            None => Self {
                millis: millis.saturating_add(1),
                number: 0,
            },
        }
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.millis, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_in_the_order_of_the_stream() {
        let ids = ["0-0", "0-1", "5-0", "5-9", "5-10", "10-0"];
        let ids = ids.map(|id| EntryId::parse(id).unwrap());
        assert!(ids.is_sorted());
        assert_eq!(ids[3].next(), ids[4]);
        let last = format!("7-{}", u64::MAX);
        assert_eq!(EntryId::parse(&last).unwrap().next().to_string(), "8-0");
    }

    #[test]
    fn what_is_no_id_is_none() {
        for text in [
            "",
            "-",
            "1",
            "1-",
            "-1",
            "+1-0",
            "1-0-0",
            "1-x",
            "99999999999999999999-0",
        ] {
            assert_eq!(EntryId::parse(text), None, "{text}");
        }
    }
}
