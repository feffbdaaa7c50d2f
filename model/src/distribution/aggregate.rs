//! Which aggregates of a distribution may be asked for.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// One number that sums up a distribution, named as in the Datadog Agent's `histogram_aggregates`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aggregate {
    /// The largest value.
    Max,
    /// The smallest value.
    Min,
    /// The lower median.
    Median,
    /// The weighted mean.
    Avg,
    /// The sum of value times weight.
    Sum,
    /// The sum of the weights.
    Count,
}

/// A name that is no aggregate's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unknown aggregate {0:?}: expected one of max, min, median, avg, sum, count")]
pub struct UnknownAggregate(pub String);

impl Aggregate {
    /// All aggregates.
    pub const ALL: [Aggregate; 6] =
        [Aggregate::Max, Aggregate::Min, Aggregate::Median, Aggregate::Avg, Aggregate::Sum, Aggregate::Count];

    /// The name, which is also the last part of the name of its series.
    pub fn as_str(self) -> &'static str {
        match self {
            Aggregate::Max => "max",
            Aggregate::Min => "min",
            Aggregate::Median => "median",
            Aggregate::Avg => "avg",
            Aggregate::Sum => "sum",
            Aggregate::Count => "count",
        }
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Aggregate {
    type Err = UnknownAggregate;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|aggregate| aggregate.as_str() == text)
            .ok_or_else(|| UnknownAggregate(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_aggregate_parses_from_its_name() {
        for aggregate in Aggregate::ALL {
            assert_eq!(aggregate.as_str().parse(), Ok(aggregate));
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = "mean".parse::<Aggregate>().unwrap_err().to_string();
        assert!(error.starts_with("unknown aggregate \"mean\": "));
        for aggregate in Aggregate::ALL {
            assert!(error.contains(aggregate.as_str()), "{aggregate} is not named in: {error}");
        }
    }
}
