//! Lines of an access log, each of which can be told from all others.

use std::io::Write as _;

/// Bytes of a line, without its end.
pub const LENGTH: usize = 134;

/// What stands before a line's number.
const MARK: &[u8] = b"?n=";
/// Digits of the number.
const DIGITS: usize = 10;

const AGENTS: [&str; 6] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Apple",
    "python-requests/2.32.3 (CPython 3.13.2; Linux 6.12.0-amd64)",
    "kube-probe/1.33 (readiness; namespace=webshop; container=api)",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit",
];

/// Lines made of a seed, the same each time.
#[derive(Clone, Copy, Debug)]
pub struct AccessLines {
    seed: u64,
}

impl AccessLines {
    /// The lines of a seed.
    pub fn new(seed: u64) -> Self {
        AccessLines { seed }
    }

    /// Appends the line of a number, without an end.
    pub fn write(&self, number: u64, into: &mut Vec<u8>) {
        let start = into.len();
        let mut random = fastrand::Rng::with_seed(self.seed ^ number);
        let seconds = number / 1_000;
        let (hours, minutes, seconds) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
        let (host, order, size) = (random.u8(10..100), random.u32(100_000..1_000_000), random.u32(1_000..10_000));
        let status = random.choice([200, 200, 200, 201, 204, 302, 404, 500]).unwrap_or(200);
        let agent = random.choice(AGENTS).unwrap_or_default();
        // Writing into memory does not fail.
        let _ = write!(
            into,
            "10.0.0.{host} - - [22/Nov/2026:{hours:02}:{minutes:02}:{seconds:02} +0000] \"GET /orders/{order}?n={number:0DIGITS$} HTTP/1.1\" {status} {size} \"-\" \"{agent}"
        );
        into.resize(start + LENGTH - 1, b'x');
        into.push(b'"');
    }

    /// The number of a line, where it is one of these, byte for byte. `spare` is room to work in.
    pub fn number(&self, line: &[u8], spare: &mut Vec<u8>) -> Option<u64> {
        let at = line.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
        let number = std::str::from_utf8(line.get(at..at + DIGITS)?).ok()?.parse().ok()?;
        spare.clear();
        self.write(number, spare);
        (spare.as_slice() == line).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_its_length_and_its_number() {
        let (lines, mut spare) = (AccessLines::new(7), Vec::new());
        for number in (0..10_000).chain([9_999_999_999]) {
            let mut line = Vec::new();
            lines.write(number, &mut line);
            assert_eq!((line.len(), lines.number(&line, &mut spare)), (LENGTH, Some(number)));
        }
    }

    #[test]
    fn a_line_that_is_not_as_it_was_written_has_no_number() {
        let (lines, mut spare, mut line) = (AccessLines::new(7), Vec::new(), Vec::new());
        lines.write(123, &mut line);
        assert_eq!(AccessLines::new(8).number(&line, &mut spare), None);
        for index in 0..LENGTH {
            let mut other = line.clone();
            other[index] ^= 1;
            assert_eq!(lines.number(&other, &mut spare), None, "byte {index}");
        }
        assert_eq!(lines.number(&line[1..], &mut spare), None);
        assert_eq!(lines.number(b"", &mut spare), None);
    }
}
