//! Spans of time in the Collector's (Go's) syntax.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};
use serde::{Serialize, Serializer};

const EXPECTED: &str = "a duration with a unit, such as `10s`, `1m30s` or `500ms`";

/// A span of time of at most 292 years, written `10s`, `1m30s`, `500ms` or `1.5h`; units are `ns`, `us`, `ms`, `s`, `m`
/// and `h`. Only zero needs no unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(time::Duration);

/// A text that is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a duration; write a number with a unit, such as `10s`, `1m30s` or `500ms`")]
pub struct InvalidDuration;

/// The units, in nanoseconds.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// The greatest span of Go, and so of the Collector.
const MAX_NANOS: u64 = i64::MAX.unsigned_abs();

impl Duration {
    /// No time at all.
    pub const ZERO: Duration = Duration(time::Duration::ZERO);

    /// Whole seconds.
    pub const fn from_secs(seconds: u64) -> Duration {
        Duration(time::Duration::from_secs(seconds))
    }

    /// Whole milliseconds.
    pub const fn from_millis(milliseconds: u64) -> Duration {
        Duration(time::Duration::from_millis(milliseconds))
    }

    /// The span as the standard library has it.
    pub const fn get(self) -> time::Duration {
        self.0
    }

    /// True for no time at all, which many options take as "no limit".
    pub const fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

impl From<time::Duration> for Duration {
    fn from(span: time::Duration) -> Duration {
        Duration(span)
    }
}

impl From<Duration> for time::Duration {
    fn from(span: Duration) -> time::Duration {
        span.0
    }
}

impl FromStr for Duration {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Duration, InvalidDuration> {
        let mut rest = text.strip_prefix('+').unwrap_or(text);
        if rest == "0" {
            return Ok(Duration::ZERO);
        }
        if rest.is_empty() {
            return Err(InvalidDuration);
        }
        let mut nanos = 0_u64;
        while !rest.is_empty() {
            let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(InvalidDuration)?;
            let (number, from_unit) = rest.split_at(number_end);
            let unit_end = from_unit.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(from_unit.len());
            let (unit, after) = from_unit.split_at(unit_end);
            let (_, scale) = UNITS.into_iter().find(|(name, _)| *name == unit).ok_or(InvalidDuration)?;
            nanos = nanos.checked_add(scaled(number, scale)?).filter(|sum| *sum <= MAX_NANOS).ok_or(InvalidDuration)?;
            rest = after;
        }
        Ok(Duration(time::Duration::from_nanos(nanos)))
    }
}

/// A decimal number times a scale; what is smaller than a nanosecond is dropped, as in Go.
fn scaled(number: &str, scale: u64) -> Result<u64, InvalidDuration> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !is_number(fraction) {
        return Err(InvalidDuration);
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| InvalidDuration)? };
    let mut nanos = whole.checked_mul(scale).ok_or(InvalidDuration)?;
    let mut place = scale;
    let mut rest = 0_u128;
    let mut divisor = 1_u128;
    for digit in fraction.bytes().take(18) {
        rest = rest * 10 + u128::from(digit - b'0');
        divisor *= 10;
        place /= 10;
    }
    if place > 0 || rest > 0 {
        let part = rest * u128::from(scale) / divisor;
        nanos = nanos.checked_add(u64::try_from(part).unwrap_or(0)).ok_or(InvalidDuration)?;
    }
    Ok(nanos)
}

impl fmt::Display for Duration {
    /// Hours, minutes and seconds without those that are zero, such as `1h30m` or `1.5s`; below a second in the
    /// greatest unit that needs no fraction, such as `500ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.0.as_secs(), self.0.subsec_nanos());
        if seconds == 0 {
            return match nanos {
                0 => f.write_str("0s"),
                n if n % 1_000_000 == 0 => write!(f, "{}ms", n / 1_000_000),
                n if n % 1_000 == 0 => write!(f, "{}us", n / 1_000),
                n => write!(f, "{n}ns"),
            };
        }
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        for (count, unit) in [(hours, "h"), (minutes, "m")] {
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        match (seconds, nanos) {
            (0, 0) => Ok(()),
            (_, 0) => write!(f, "{seconds}s"),
            _ => write!(f, "{seconds}.{}s", format!("{nanos:09}").trim_end_matches('0')),
        }
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        deserializer.deserialize_any(DurationVisitor)
    }
}

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
        text.parse().map_err(|InvalidDuration| E::invalid_value(Unexpected::Str(text), &self))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Duration, E> {
        if number == 0 {
            return Ok(Duration::ZERO);
        }
        let expected = format!("{EXPECTED}\nwrite `{number}s` for seconds, or `{number}ms` for milliseconds");
        Err(E::invalid_type(Unexpected::Unsigned(number), &expected.as_str()))
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "description": EXPECTED,
            "pattern": r"^\+?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$",
            "maximum": 0,
            "minimum": 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_read_as_in_go() {
        for (text, nanos) in [
            ("10s", 10_000_000_000),
            ("1m30s", 90_000_000_000),
            ("500ms", 500_000_000),
            ("1h", 3_600_000_000_000),
            ("1h0m0s", 3_600_000_000_000),
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("0", 0),
            ("0s", 0),
            ("+3us", 3_000),
            ("3µs", 3_000),
            ("1.0000000001s", 1_000_000_000),
            ("0.000000000999999999999999999h", 3_599),
        ] {
            assert_eq!(text.parse(), Ok(Duration(time::Duration::from_nanos(nanos))), "{text}");
        }
        for text in [
            "",
            "10",
            "s",
            "-1s",
            "1d",
            "1 s",
            "1s ",
            ".s",
            "1..s",
            "1.2.3s",
            "9999999h",
            "18446744073709551616ns",
            "x",
        ] {
            assert_eq!(text.parse::<Duration>(), Err(InvalidDuration), "{text}");
        }
    }

    #[test]
    fn durations_print_as_one_would_write_them() {
        for (text, expected) in [
            ("90s", "1m30s"),
            ("1h0m0s", "1h"),
            ("1500ms", "1.5s"),
            ("0.25s", "250ms"),
            ("1500us", "1500us"),
            ("0", "0s"),
        ] {
            assert_eq!(text.parse::<Duration>().unwrap().to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(nanos in 0..=MAX_NANOS) {
            let span = Duration(time::Duration::from_nanos(nanos));
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[0-9.a-zµ+ -]{0,40}|.*") {
            let _ = text.parse::<Duration>();
        }
    }
}
