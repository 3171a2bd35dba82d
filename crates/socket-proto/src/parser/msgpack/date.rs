//! Points in time as JSON has them.

use std::io::Write;

/// The furthest that a date in JavaScript can be from 1970, in seconds.
const MAX_SECONDS: u64 = 8_640_000_000_000;

const DAY: i64 = 24 * 60 * 60;

/// Writes a point in time as `Date.prototype.toJSON` does, such as `"2026-11-28T22:26:13.000Z"`; one that JavaScript does
/// not know is `null` there. Fractions of a millisecond, which it does not know either, are written where there are some.
pub(super) fn write_date(out: &mut Vec<u8>, seconds: i64, nanos: u32) {
    if seconds.unsigned_abs() > MAX_SECONDS || nanos >= 1_000_000_000 {
        out.extend_from_slice(b"null");
        return;
    }
    let (year, month, day) = civil(seconds.div_euclid(DAY));
    let time = seconds.rem_euclid(DAY);
    let (hours, minutes, seconds) = (time / 3600, time / 60 % 60, time % 60);
    let mut put = |text: std::fmt::Arguments<'_>| {
        out.write_fmt(text).expect("a Vec takes everything");
    };
    match year {
        0..=9999 => put(format_args!("\"{year:04}")),
        _ => put(format_args!("\"{year:+07}")),
    }
    put(format_args!(
        "-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}."
    ));
    match nanos % 1_000_000 {
        0 => put(format_args!("{:03}Z\"", nanos / 1_000_000)),
        _ => put(format_args!("{nanos:09}Z\"")),
    }
}

/// Year, month and day of a day since 1970-01-01, in the Gregorian calendar.
///
/// A year that begins in March has its odd day last, so that months before it do not depend on it.
fn civil(days: i64) -> (i64, i64, i64) {
    const DAYS_OF_400_YEARS: i64 = 146_097;
    // Since the first of March of the year 0.
    let days = days + 719_468;
    let era = days.div_euclid(DAYS_OF_400_YEARS);
    let day = days.rem_euclid(DAYS_OF_400_YEARS);
    // Every fourth year has a day more, every hundredth has not, the last one has.
    let year = (day - day / 1460 + day / 36_524 - day / (DAYS_OF_400_YEARS - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // From March on, five months have 153 days, in the same order each time.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = 400 * era + year;
    match month {
        0..=9 => (year, month + 3, day),
        _ => (year + 1, month - 9, day),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(seconds: i64, nanos: u32) -> String {
        let mut out = Vec::new();
        write_date(&mut out, seconds, nanos);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dates_are_those_of_javascript() {
        for (seconds, millis, text) in [
            (0, 0, r#""1970-01-01T00:00:00.000Z""#),
            (-1, 999, r#""1969-12-31T23:59:59.999Z""#),
            (951_782_399, 0, r#""2000-02-28T23:59:59.000Z""#),
            (951_782_400, 0, r#""2000-02-29T00:00:00.000Z""#),
            (1_795_904_773, 7, r#""2026-11-28T22:26:13.007Z""#),
            (4_107_542_400, 0, r#""2100-03-01T00:00:00.000Z""#),
            (-62_167_219_200, 0, r#""0000-01-01T00:00:00.000Z""#),
            (-62_167_219_201, 0, r#""-000001-12-31T23:59:59.000Z""#),
            (253_402_300_800, 0, r#""+010000-01-01T00:00:00.000Z""#),
            (8_640_000_000_000, 0, r#""+275760-09-13T00:00:00.000Z""#),
            (-8_640_000_000_000, 0, r#""-271821-04-20T00:00:00.000Z""#),
            (8_640_000_000_001, 0, "null"),
            (i64::MIN, 0, "null"),
            (0, 1000, "null"),
        ] {
            assert_eq!(date(seconds, millis * 1_000_000), text);
        }
        assert_eq!(date(0, 1), r#""1970-01-01T00:00:00.000000001Z""#);
    }

    #[test]
    fn every_day_of_400_years_follows_the_one_before() {
        let mut last = civil(-1);
        for day in 0..=146_097 {
            let (year, month, of_month) = civil(day);
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match last.1 {
                2 if leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            let next = match last {
                (year, 12, 31) => (year + 1, 1, 1),
                (year, month, day) if day == length => (year, month + 1, 1),
                (year, month, day) => (year, month, day + 1),
            };
            assert_eq!((year, month, of_month), next);
            last = next;
        }
        assert_eq!(last, (2370, 1, 1));
    }
}
