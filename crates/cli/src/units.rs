//! Sizes and durations as people write them: `1MB`, `64KiB`, `25s`, `300ms`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

/// A number of bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) usize);

/// A length of time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

/// Why a text is no size or duration.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum UnitError {
    #[error("there is no whole number in front")]
    Number,
    #[error("the unit must be one of {0}")]
    Unit(&'static str),
    #[error("that is more than can be counted")]
    TooMuch,
}

/// The largest first, so that values are written in the largest unit that fits them.
const SIZES: [(&str, usize); 5] = [
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1000),
    ("B", 1),
];

const SPANS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl FromStr for Size {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = split::<usize>(text)?;
        let factor = match unit {
            "" => 1,
            _ => {
                SIZES
                    .iter()
                    .find(|(name, _)| name.eq_ignore_ascii_case(unit))
                    .ok_or(UnitError::Unit("B, kB, MB, KiB, MiB"))?
                    .1
            }
        };
        number
            .checked_mul(factor)
            .map(Self)
            .ok_or(UnitError::TooMuch)
    }
}

impl FromStr for Span {
    type Err = UnitError;

    /// A unit is asked for: the JavaScript server counts these times in milliseconds, other
    /// programs in seconds.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = split::<u64>(text)?;
        let (_, factor) = SPANS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or(UnitError::Unit("ms, s, m, h"))?;
        let millis = number.checked_mul(*factor).ok_or(UnitError::TooMuch)?;
        Ok(Self(Duration::from_millis(millis)))
    }
}

/// The digits at the front, and what follows them.
fn split<T: FromStr>(text: &str) -> Result<(T, &str), UnitError> {
    let end = text
        .find(|char: char| !char.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    if digits.is_empty() {
        return Err(UnitError::Number);
    }
    let number = digits.parse().map_err(|_| UnitError::TooMuch)?;
    Ok((number, unit.trim()))
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, factor): &&(&str, usize)| self.0 > 0 && self.0.is_multiple_of(*factor);
        let (unit, factor) = SIZES.iter().find(fits).unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let fits =
            |(_, factor): &&(&str, u64)| millis > 0 && millis.is_multiple_of(u128::from(*factor));
        let (unit, factor) = SPANS.iter().find(fits).unwrap_or(&("s", 1000));
        write!(f, "{}{unit}", millis / u128::from(*factor))
    }
}

impl fmt::Debug for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_they_are_read() {
        for text in ["0B", "1B", "1500B", "64KiB", "1MB", "8MiB", "65kB"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
        for text in ["0s", "300ms", "25s", "2m", "1h", "90s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        assert_eq!("1000000".parse(), Ok(Size(1_000_000)));
        assert_eq!("64 kib".parse(), Ok(Size(65_536)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!("MB".parse::<Size>(), Err(UnitError::Number));
        assert_eq!("-1".parse::<Size>(), Err(UnitError::Number));
        assert!(matches!("1XB".parse::<Size>(), Err(UnitError::Unit(_))));
        assert_eq!(
            "99999999999999999999".parse::<Size>(),
            Err(UnitError::TooMuch)
        );
        assert!(matches!("25".parse::<Span>(), Err(UnitError::Unit(_))));
        assert_eq!(
            "9999999999999999999h".parse::<Span>(),
            Err(UnitError::TooMuch)
        );
    }
}
