//! One line of a datagram: a sample, as DogStatsD writes it.
//!
//! ```text
//! name:value[:value…]|type[|@rate][|#tag,tag…][|Tseconds][|anything else]
//! ```
//!
//! The rules are the Datadog Agent's: fields come in any order, the last of a kind wins, unknown ones are ignored, and
//! one value that is no number spoils the line. Nothing is copied; a [`Sample`] borrows from the datagram.

use hornpipe_engine::Reason;
use hornpipe_model::Timestamp;
use memchr::memchr;

use crate::number::parse_float;
use crate::reason;

/// In the year 5138. What is later was meant as milliseconds, of 1973 and after. The Agent takes it, and the intake drops it; a
/// cumulative stream, whose time never steps back, would stay there with all that follows.
const LATEST: u64 = 100_000_000_000;

/// What a line asks to be done with its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// `c`: add up.
    Counter,
    /// `g`: keep the last.
    Gauge,
    /// `h`: keep all.
    Histogram,
    /// `ms`: keep all; they are milliseconds.
    Timing,
    /// `s`: count the different ones.
    Set,
    /// `d`: keep all.
    Distribution,
}

/// A valid line. Its values stand in the list that was given to [`sample`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample<'a> {
    /// The metric's name, any bytes but `:`, `|` and the end of a line.
    pub(crate) name: &'a [u8],
    /// The type.
    pub(crate) kind: Kind,
    /// The tag section as written, without its `#`.
    pub(crate) tags: &'a [u8],
    /// The sample rate: above 0, at most 1.
    pub(crate) rate: f64,
    /// The value as written, which is what a set counts.
    pub(crate) member: &'a [u8],
    /// When the client took it, where it said so; then the value is not aggregated.
    pub(crate) time: Timestamp,
    /// How many values were left out because they are not finite.
    pub(crate) not_finite: u64,
    /// A gauge's value with a sign is a step from the value before: Etsy's.
    pub(crate) has_steps: bool,
}

impl Sample<'_> {
    /// A sample of a type that says nothing else.
    pub(crate) fn new(kind: Kind) -> Self {
        let (time, has_steps) = (Timestamp::UNKNOWN, false);
        Sample { name: &[], kind, tags: &[], rate: 1.0, member: &[], not_finite: 0, has_steps, time }
    }
}

/// What a line is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineKind {
    /// Anything that is nothing else.
    Sample,
    /// `_sc…`
    ServiceCheck,
    /// `_e{…`
    Event,
}

/// Tells what a line is.
#[inline]
pub(crate) fn line_kind(line: &[u8]) -> LineKind {
    match line {
        [b'_', b'e', b'{', ..] => LineKind::Event,
        [b'_', b's', b'c', ..] => LineKind::ServiceCheck,
        _ => LineKind::Sample,
    }
}

/// Parses a line without its end. `values` is emptied and receives the finite values; a set has none.
///
/// # Errors
/// The reason for which the line is to be dropped.
#[inline]
pub(crate) fn sample<'a>(line: &'a [u8], values: &mut Vec<f64>) -> Result<Sample<'a>, Reason> {
    let (head, rest) = split_once(line, b'|').ok_or(reason::MISSING_TYPE)?;
    let (name, member) = split_once(head, b':').ok_or(reason::MISSING_VALUE)?;
    if name.is_empty() {
        return Err(reason::MISSING_NAME);
    }
    if member.is_empty() {
        return Err(reason::MISSING_VALUE);
    }
    let (kind, fields) = split_once(rest, b'|').unwrap_or((rest, &[]));
    let kind = parse_kind(kind)?;
    let mut sample = Sample { name, member, ..Sample::new(kind) };
    parse_fields(fields, &mut sample)?;
    sample.not_finite = self::values(kind, member, values)?;
    Ok(sample)
}

/// Parses what stands between name and type: one or several values with `:` between them, of which empty ones count as not
/// there. `values` is emptied and receives the finite ones; a set has none. Returns how many were left out as not finite.
///
/// # Errors
/// The reason for which the line is to be dropped.
pub(crate) fn values(kind: Kind, member: &[u8], values: &mut Vec<f64>) -> Result<u64, Reason> {
    values.clear();
    match kind {
        Kind::Set if member.is_empty() => Err(reason::MISSING_VALUE),
        Kind::Set => Ok(0),
        _ => parse_values(member, values),
    }
}

/// Splits at the first `separator`, which belongs to neither side.
#[inline]
pub(crate) fn split_once(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let (before, from_separator) = text.split_at_checked(memchr(separator, text)?)?;
    Some((before, from_separator.get(1..)?))
}

/// The type by its name on the wire.
#[inline]
pub(crate) fn parse_kind(text: &[u8]) -> Result<Kind, Reason> {
    match text {
        b"c" => Ok(Kind::Counter),
        b"g" => Ok(Kind::Gauge),
        b"ms" => Ok(Kind::Timing),
        b"h" => Ok(Kind::Histogram),
        b"d" => Ok(Kind::Distribution),
        b"s" => Ok(Kind::Set),
        b"" => Err(reason::MISSING_TYPE),
        _ => Err(reason::UNKNOWN_TYPE),
    }
}

#[inline]
fn parse_fields<'a>(mut fields: &'a [u8], sample: &mut Sample<'a>) -> Result<(), Reason> {
    while !fields.is_empty() {
        let (field, rest) = split_once(fields, b'|').unwrap_or((fields, &[]));
        fields = rest;
        match field {
            [b'#', tags @ ..] => sample.tags = tags,
            [b'@', rate @ ..] => sample.rate = parse_rate(rate)?,
            [b'T', seconds @ ..] => sample.time = parse_timestamp(seconds).ok_or(reason::INVALID_TIMESTAMP)?,
            _ => {}
        }
    }
    Ok(())
}

/// A rate that says nothing sensible counts as 1: one that is not above 0 and at most 1, or so small that a sample would
/// stand for infinitely many.
fn parse_rate(text: &[u8]) -> Result<f64, Reason> {
    let rate = parse_float(text).ok_or(reason::INVALID_SAMPLE_RATE)?;
    let sensible = rate > 0.0 && rate <= 1.0 && rate.recip().is_finite();
    Ok(if sensible { rate } else { 1.0 })
}

/// A time that a client gave: whole seconds since the epoch, from 1 up to [`LATEST`].
#[cold]
pub(crate) fn parse_timestamp(text: &[u8]) -> Option<Timestamp> {
    let seconds = std::str::from_utf8(text).ok()?.parse::<i64>().ok()?;
    let seconds = u64::try_from(seconds).ok().filter(|seconds| (1..LATEST).contains(seconds))?;
    Some(Timestamp::from_secs(seconds))
}

#[inline]
fn parse_values(mut text: &[u8], values: &mut Vec<f64>) -> Result<u64, Reason> {
    let mut not_finite = 0;
    while !text.is_empty() {
        let (value, rest) = split_once(text, b':').unwrap_or((text, &[]));
        text = rest;
        if value.is_empty() {
            continue;
        }
        let value = parse_float(value).ok_or(reason::INVALID_VALUE)?;
        if value.is_finite() { values.push(value) } else { not_finite += 1 }
    }
    match (values.is_empty(), not_finite) {
        (true, 0) => Err(reason::MISSING_VALUE),
        (true, _) => Err(reason::NOT_FINITE),
        (false, _) => Ok(not_finite),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(line: &str) -> Result<(Sample<'_>, Vec<f64>), Reason> {
        let mut values = vec![99.0];
        sample(line.as_bytes(), &mut values).map(|sample| (sample, values))
    }

    fn base<'a>(name: &'a str, kind: Kind, member: &'a str) -> Sample<'a> {
        Sample {
            name: name.as_bytes(),
            kind,
            tags: b"",
            rate: 1.0,
            member: member.as_bytes(),
            time: Timestamp::UNKNOWN,
            not_finite: 0,
            has_steps: false,
        }
    }

    #[test]
    fn every_type_is_read() {
        for (text, kind) in [
            ("c", Kind::Counter),
            ("g", Kind::Gauge),
            ("ms", Kind::Timing),
            ("h", Kind::Histogram),
            ("d", Kind::Distribution),
        ] {
            assert_eq!(parse(&format!("daemon:666|{text}")), Ok((base("daemon", kind, "666"), vec![666.0])));
        }
        assert_eq!(parse("daemon:abc:def|s"), Ok((base("daemon", Kind::Set, "abc:def"), vec![])));
    }

    #[test]
    fn fields_come_in_any_order_and_the_last_of_a_kind_wins() {
        let expected = Sample { tags: b"a:b,c", rate: 0.5, ..base("x", Kind::Counter, "1") };
        for line in [
            "x:1|c|@0.5|#a:b,c",
            "x:1|c|#a:b,c|@0.5",
            "x:1|c|@0.1|#z|#a:b,c|@0.5",
            "x:1|c|#a:b,c|@0.5|c:ci-1234|e:it-false,cn-web|card:low",
            "x:1|c|#a:b,c||@0.5|",
        ] {
            assert_eq!(parse(line), Ok((expected, vec![1.0])), "{line}");
        }
        let expected = Sample { time: Timestamp::from_secs(1_700_000_000), ..expected };
        for line in
            ["x:1|c|T1700000000|#a:b,c|@0.5", "x:1|c|@0.5|T1700000000|#a:b,c", "x:1|c|#a:b,c|@0.5|T1|T+1700000000"]
        {
            assert_eq!(parse(line), Ok((expected, vec![1.0])), "{line}");
        }
    }

    #[test]
    fn lines_that_must_pass() {
        for line in
            ["daemon:666|g|m:test", "daemon:666|g|#", "daemon:666|g|@1.0", "name with space:1|c", "ü:1|c", "_e:1|c"]
        {
            assert!(parse(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn lines_that_must_fail_say_why() {
        for (line, reason) in [
            ("daemon:666", reason::MISSING_TYPE),
            ("daemon:666|", reason::MISSING_TYPE),
            ("", reason::MISSING_TYPE),
            ("daemon:|g", reason::MISSING_VALUE),
            ("daemon::|g", reason::MISSING_VALUE),
            ("abc666|g", reason::MISSING_VALUE),
            ("a|b:1|c", reason::MISSING_VALUE),
            (":666|g", reason::MISSING_NAME),
            ("daemon:abc|g", reason::INVALID_VALUE),
            ("daemon:1:abc:2|ms", reason::INVALID_VALUE),
            ("daemon:True|g", reason::INVALID_VALUE),
            ("daemon:666|unknown", reason::UNKNOWN_TYPE),
            ("daemon:666|C", reason::UNKNOWN_TYPE),
            ("daemon:666|m", reason::UNKNOWN_TYPE),
            ("daemon:666|g|@abc", reason::INVALID_SAMPLE_RATE),
            ("daemon:666|g|@", reason::INVALID_SAMPLE_RATE),
            ("daemon:666|g|T", reason::INVALID_TIMESTAMP),
            ("daemon:666|g|T0", reason::INVALID_TIMESTAMP),
            ("daemon:666|g|T-5", reason::INVALID_TIMESTAMP),
            ("daemon:666|g|T12.5", reason::INVALID_TIMESTAMP),
            ("daemon:666|g|T1700000000000", reason::INVALID_TIMESTAMP),
            ("daemon:666|g|T9223372036854775808", reason::INVALID_TIMESTAMP),
            ("daemon:nan|g", reason::NOT_FINITE),
            ("daemon:-inf:inf|h", reason::NOT_FINITE),
            ("daemon:1e400|c", reason::NOT_FINITE),
        ] {
            assert_eq!(parse(line), Err(reason), "{line}");
        }
    }

    #[test]
    fn packed_values_skip_what_is_empty_or_not_finite() {
        let (sample, values) = parse("x:1:2:3|ms").unwrap();
        assert_eq!((sample.not_finite, values), (0, vec![1.0, 2.0, 3.0]));
        assert_eq!(parse("x:21::22|h").unwrap().1, [21.0, 22.0]);
        assert_eq!(parse("x:666:|c").unwrap().1, [666.0]);
        let (sample, values) = parse("x:1:nan:3:inf|d").unwrap();
        assert_eq!((sample.not_finite, values), (2, vec![1.0, 3.0]));
    }

    #[test]
    fn a_rate_that_makes_no_sense_counts_as_one() {
        for rate in ["0", "-0.5", "1.5", "nan", "inf", "1e-320"] {
            assert_eq!(parse(&format!("x:1|c|@{rate}")).unwrap().0.rate, 1.0, "{rate}");
        }
        assert_eq!(parse("x:1|c|@1e-300").unwrap().0.rate, 1e-300);
    }

    #[test]
    fn a_line_is_told_by_its_first_bytes() {
        for (line, kind) in [
            ("_e{1,1}:a|b", LineKind::Event),
            ("_sc|app|0", LineKind::ServiceCheck),
            ("_scale:1|c", LineKind::ServiceCheck),
            ("_e:1|c", LineKind::Sample),
            ("_s", LineKind::Sample),
            ("", LineKind::Sample),
        ] {
            assert_eq!(line_kind(line.as_bytes()), kind, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic_and_what_it_takes_is_finite(
            line in proptest::collection::vec(prop_oneof![any::<u8>(), proptest::sample::select(&b":|@#T.-cgmshd,019"[..])], 0..60),
        ) {
            let mut values = Vec::new();
            if let Ok(sample) = sample(&line, &mut values) {
                prop_assert!(!sample.name.is_empty());
                prop_assert!(sample.rate > 0.0 && sample.rate <= 1.0);
                prop_assert!(values.iter().all(|value| value.is_finite()));
                prop_assert_eq!(values.is_empty(), sample.kind == Kind::Set);
            }
        }
    }
}
