//! Amounts of memory and disk.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};
use serde::{Serialize, Serializer};

const EXPECTED: &str = "a size such as `32MiB`, `500KB` or a number of bytes";

/// A number of bytes, written `32MiB`, `1GiB`, `1.5GiB` (powers of 1024), `500KB` (powers of 1000), `10B` or as a plain
/// whole number. Upper and lower case are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

/// A text that is no size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a size; write `32MiB`, `500KB` or a number of bytes")]
pub struct InvalidByteSize;

/// The units, greatest first.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("B", 1),
];

impl ByteSize {
    /// Bytes.
    pub const fn bytes(bytes: u64) -> ByteSize {
        ByteSize(bytes)
    }

    /// Units of 1024 bytes.
    pub const fn kib(count: u64) -> ByteSize {
        ByteSize(count.saturating_mul(1 << 10))
    }

    /// Units of 1024 × 1024 bytes.
    pub const fn mib(count: u64) -> ByteSize {
        ByteSize(count.saturating_mul(1 << 20))
    }

    /// Units of 1024 × 1024 × 1024 bytes.
    pub const fn gib(count: u64) -> ByteSize {
        ByteSize(count.saturating_mul(1 << 30))
    }

    /// The number of bytes.
    pub const fn as_bytes(self) -> u64 {
        self.0
    }

    /// The number of bytes as a length in memory.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for ByteSize {
    type Err = InvalidByteSize;

    fn from_str(text: &str) -> Result<ByteSize, InvalidByteSize> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let unit = unit.trim_start();
        let scale = match unit {
            "" => 1,
            unit => UNITS.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or(InvalidByteSize)?.1,
        };
        scaled(number, scale).map(ByteSize).ok_or(InvalidByteSize)
    }
}

/// A decimal number times a scale, where it is a whole number of bytes or, in a unit above bytes, rounded down to one.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let has_fraction = number.contains('.');
    if whole.is_empty() || (has_fraction && (fraction.is_empty() || scale == 1)) || fraction.len() > 12 {
        return None;
    }
    let digits: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let divisor = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let part = u64::try_from(digits * u128::from(scale) / divisor).ok()?;
    whole.parse::<u64>().ok()?.checked_mul(scale)?.checked_add(part)
}

impl fmt::Display for ByteSize {
    /// In the greatest unit that needs no fraction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, scale): &(&str, u64)| self.0 > 0 && self.0.is_multiple_of(*scale);
        match UNITS.into_iter().find(fits) {
            Some((unit, scale)) => write!(f, "{}{unit}", self.0 / scale),
            None => f.write_str("0B"),
        }
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
        deserializer.deserialize_any(ByteSizeVisitor)
    }
}

struct ByteSizeVisitor;

impl Visitor<'_> for ByteSizeVisitor {
    type Value = ByteSize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ByteSize, E> {
        text.parse().map_err(|InvalidByteSize| E::invalid_value(Unexpected::Str(text), &self))
    }

    fn visit_u64<E: Error>(self, bytes: u64) -> Result<ByteSize, E> {
        Ok(ByteSize(bytes))
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "description": EXPECTED,
            "pattern": r"^[0-9]+(\.[0-9]+)? ?([kKmMgGtT][iI]?)?[bB]?$",
            "minimum": 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_read_in_binary_and_decimal_units() {
        for (text, bytes) in [
            ("32MiB", 32 << 20),
            ("1GiB", 1 << 30),
            ("1.5GiB", 3 << 29),
            ("500KB", 500_000),
            ("16kib", 16 << 10),
            ("1 MB", 1_000_000),
            ("10B", 10),
            ("0", 0),
            ("1048576", 1 << 20),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5", "1.5B", "1.GiB", ".5GiB", "1XB", "1Mi", "1M", "99999999999TiB", "1.1.1GB"]
        {
            assert_eq!(text.parse::<ByteSize>(), Err(InvalidByteSize), "{text}");
        }
    }

    #[test]
    fn sizes_print_in_the_greatest_unit_without_a_fraction() {
        for (bytes, expected) in [
            (0, "0B"),
            (1, "1B"),
            (1024, "1KiB"),
            (1000, "1KB"),
            (1500, "1500B"),
            (32 << 20, "32MiB"),
            (3 << 29, "1536MiB"),
        ] {
            assert_eq!(ByteSize(bytes).to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(bytes: u64) {
            prop_assert_eq!(ByteSize(bytes).to_string().parse(), Ok(ByteSize(bytes)));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[0-9.]{0,30}[a-zA-Z ]{0,5}|.*") {
            let _ = text.parse::<ByteSize>();
        }
    }
}
