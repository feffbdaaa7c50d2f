//! Which percentiles may be asked for.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Parts of one that a percentile counts: hundredths of a percent.
const PARTS: f64 = 10_000.0;

/// A percentile, written as a fraction from `0` to `1` with at most four decimals.
///
/// The Datadog Agent rounds to whole percents, so that its `0.999` becomes the series `.100percentile`, the maximum.
/// Here a finer one is what it says: `0.999` is `.99.9percentile`. Whole percents have the Agent's names and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percentile {
    hundredths_of_percent: u16,
}

/// Why a percentile was refused.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum InvalidPercentile {
    /// The text is not a number.
    #[error("percentile {0:?} is not a number: write a fraction such as 0.95")]
    NotANumber(String),
    /// The number is not a fraction of one.
    #[error("percentile {0} is not between 0 and 1: write a fraction such as 0.95")]
    OutOfRange(f64),
    /// The number has too many decimals.
    #[error("percentile {0} has more than four decimals: the finest step is 0.0001")]
    TooFine(f64),
}

impl Percentile {
    /// The 95th, the Datadog Agent's default.
    pub const P95: Percentile = Percentile { hundredths_of_percent: 9_500 };

    /// The percentile in percent, from 0 to 100.
    pub fn percent(self) -> f64 {
        f64::from(self.hundredths_of_percent) / 100.0
    }

    /// The percentile as a fraction, from 0 to 1.
    pub fn fraction(self) -> f64 {
        f64::from(self.hundredths_of_percent) / PARTS
    }

    /// The last part of the name of its series, such as `95percentile` (Datadog Agent).
    pub fn suffix(self) -> String {
        format!("{}percentile", self.percent())
    }
}

/// The fraction, such as `0.95`; what is shown parses again.
impl fmt::Display for Percentile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fraction().fmt(formatter)
    }
}

impl TryFrom<f64> for Percentile {
    type Error = InvalidPercentile;

    fn try_from(fraction: f64) -> Result<Self, Self::Error> {
        if !(0.0..=1.0).contains(&fraction) {
            return Err(InvalidPercentile::OutOfRange(fraction));
        }
        let parts = (fraction * PARTS).round();
        if parts / PARTS != fraction {
            return Err(InvalidPercentile::TooFine(fraction));
        }
        Ok(Percentile { hundredths_of_percent: parts as u16 })
    }
}

impl FromStr for Percentile {
    type Err = InvalidPercentile;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fraction: f64 = text.parse().map_err(|_| InvalidPercentile::NotANumber(text.to_owned()))?;
        fraction.try_into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_percents_have_the_agents_names() {
        let names = [
            ("0", "0percentile"),
            ("0.01", "1percentile"),
            ("0.29", "29percentile"),
            ("0.5", "50percentile"),
            (".95", "95percentile"),
            ("0.950", "95percentile"),
            ("0.99", "99percentile"),
            ("1", "100percentile"),
            ("1.0", "100percentile"),
        ];
        for (text, suffix) in names {
            assert_eq!(text.parse().map(Percentile::suffix), Ok(suffix.to_owned()), "{text}");
        }
    }

    #[test]
    fn finer_ones_are_named_by_what_they_are() {
        let names = [("0.999", "99.9percentile"), ("0.9999", "99.99percentile"), ("0.955", "95.5percentile")];
        for (text, suffix) in names {
            assert_eq!(text.parse().map(Percentile::suffix), Ok(suffix.to_owned()), "{text}");
        }
    }

    #[test]
    fn every_percentile_survives_being_written_and_parsed() {
        for hundredths_of_percent in 0..=10_000 {
            let percentile = Percentile { hundredths_of_percent };
            assert_eq!(percentile.to_string().parse(), Ok(percentile));
            assert_eq!(Percentile::try_from(percentile.fraction()), Ok(percentile));
        }
    }

    #[test]
    fn what_is_refused_says_why() {
        let refusals = [
            ("p95", "percentile \"p95\" is not a number: write a fraction such as 0.95"),
            ("", "percentile \"\" is not a number: write a fraction such as 0.95"),
            ("95", "percentile 95 is not between 0 and 1: write a fraction such as 0.95"),
            ("-0.1", "percentile -0.1 is not between 0 and 1: write a fraction such as 0.95"),
            ("nan", "percentile NaN is not between 0 and 1: write a fraction such as 0.95"),
            ("0.99999", "percentile 0.99999 has more than four decimals: the finest step is 0.0001"),
        ];
        for (text, message) in refusals {
            assert_eq!(text.parse::<Percentile>().map_err(|error| error.to_string()), Err(message.to_owned()));
        }
    }
}
