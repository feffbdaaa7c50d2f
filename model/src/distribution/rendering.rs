//! Single series of a distribution, as the Datadog Agent derives them from a histogram.

use std::borrow::Cow;

use super::aggregate::Aggregate;
use super::percentile::Percentile;
use super::ranked::Ranked;
use super::samples::Samples;

/// Which single series are wanted of a distribution. The default is the Datadog Agent's: max, median, avg, count and
/// the 95th percentile.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rendering {
    /// The aggregates, one series each.
    pub aggregates: Vec<Aggregate>,
    /// The percentiles, one series each.
    pub percentiles: Vec<Percentile>,
}

/// The value of one series of a distribution.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    /// What the series' name has after the metric's and a dot: `max`, `95percentile`.
    pub suffix: Cow<'static, str>,
    /// The value; for [`Aggregate::Count`] the count of the window, not divided by its length.
    pub value: f64,
    /// Whether the value is a count, to be added over time (the Datadog Agent sends it as a rate), and not a gauge.
    pub is_count: bool,
}

impl Default for Rendering {
    fn default() -> Self {
        Rendering {
            aggregates: vec![Aggregate::Max, Aggregate::Median, Aggregate::Avg, Aggregate::Count],
            percentiles: vec![Percentile::P95],
        }
    }
}

impl Rendering {
    /// The wanted series of some samples: first the aggregates, then the percentiles, each in the order given. Of an
    /// empty set there are none (Datadog Agent).
    pub fn render(&self, samples: &Samples) -> impl Iterator<Item = Rendered> {
        let aggregates = self.aggregates.iter().copied().map(Statistic::Aggregate);
        let percentiles = self.percentiles.iter().copied().map(Statistic::Percentile);
        let ranked = self.needs_order().then(|| samples.ranked());
        aggregates
            .chain(percentiles)
            .filter(|_| !samples.is_empty())
            .map(move |statistic| statistic.of(samples, ranked.as_ref()))
    }

    /// Whether any of the series takes sorting the samples.
    fn needs_order(&self) -> bool {
        !self.percentiles.is_empty() || self.aggregates.contains(&Aggregate::Median)
    }
}

#[derive(Clone, Copy)]
enum Statistic {
    Aggregate(Aggregate),
    Percentile(Percentile),
}

impl Statistic {
    fn of(self, samples: &Samples, ranked: Option<&Ranked>) -> Rendered {
        match self {
            Statistic::Aggregate(aggregate) => Rendered {
                suffix: Cow::Borrowed(aggregate.as_str()),
                value: match aggregate {
                    Aggregate::Max => samples.max(),
                    Aggregate::Min => samples.min(),
                    Aggregate::Median => ranked.map_or(0.0, Ranked::median),
                    Aggregate::Avg => samples.avg(),
                    Aggregate::Sum => samples.sum(),
                    Aggregate::Count => samples.count(),
                },
                is_count: aggregate == Aggregate::Count,
            },
            Statistic::Percentile(percentile) => Rendered {
                suffix: Cow::Owned(percentile.suffix()),
                value: ranked.map_or(0.0, |ranked| ranked.percentile(percentile)),
                is_count: false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: impl IntoIterator<Item = f64>, weight: f64) -> Samples {
        let mut samples = Samples::new();
        for value in values {
            assert!(samples.push(value, weight));
        }
        samples
    }

    fn rendered(rendering: &Rendering, samples: &Samples) -> Vec<(String, f64)> {
        rendering.render(samples).map(|rendered| (rendered.suffix.into_owned(), rendered.value)).collect()
    }

    #[test]
    fn the_default_series_are_the_agents_with_the_agents_values() {
        let cases = [
            ("1..=20", samples((1..=20).map(f64::from), 1.0), [20.0, 10.0, 10.5, 20.0, 19.0]),
            ("1..=100", samples((1..=100).map(f64::from), 1.0), [100.0, 50.0, 50.5, 100.0, 95.0]),
            ("{10, 20}", samples([10.0, 20.0], 1.0), [20.0, 10.0, 15.0, 2.0, 20.0]),
            ("{10, 20} at 0.3", samples([10.0, 20.0], 1.0 / 0.3), [20.0, 10.0, 15.0, 2.0 / 0.3, 20.0]),
            ("{7}", samples([7.0], 1.0), [7.0, 7.0, 7.0, 1.0, 7.0]),
        ];
        for (name, samples, [max, median, avg, count, p95]) in cases {
            let expected = [("max", max), ("median", median), ("avg", avg), ("count", count), ("95percentile", p95)];
            let expected = expected.map(|(suffix, value)| (suffix.to_owned(), value));
            assert_eq!(rendered(&Rendering::default(), &samples), expected, "{name}");
        }
    }

    #[test]
    fn the_series_come_in_the_order_asked_for() {
        let percentiles = ["0.99", "0.5", "0.999"].map(|text| text.parse().unwrap()).to_vec();
        let rendering = Rendering { aggregates: vec![Aggregate::Sum, Aggregate::Min], percentiles };
        let expected = [
            ("sum", 500_500.0),
            ("min", 1.0),
            ("99percentile", 990.0),
            ("50percentile", 500.0),
            ("99.9percentile", 999.0),
        ];
        let expected = expected.map(|(suffix, value)| (suffix.to_owned(), value));
        assert_eq!(rendered(&rendering, &samples((1..=1000).map(f64::from), 1.0)), expected);
    }

    #[test]
    fn only_the_count_is_a_count() {
        let rendering = Rendering { aggregates: Aggregate::ALL.to_vec(), ..Rendering::default() };
        let samples = samples([1.0], 1.0);
        let counts: Vec<_> = rendering.render(&samples).filter(|rendered| rendered.is_count).collect();
        assert_eq!(counts, [Rendered { suffix: "count".into(), value: 1.0, is_count: true }]);
    }

    #[test]
    fn an_empty_set_renders_nothing() {
        assert_eq!(Rendering::default().render(&Samples::new()).count(), 0);
    }

    #[test]
    fn a_sketch_renders_the_same_series_with_exact_count_sum_and_extremes() {
        let rendering = Rendering { aggregates: Aggregate::ALL.to_vec(), ..Rendering::default() };
        let exact = samples((1..=4000).map(f64::from), 2.0);
        let mut sketch = exact.clone();
        sketch.compress();
        for (exact, sketched) in rendering.render(&exact).zip(rendering.render(&sketch)) {
            assert_eq!(exact.suffix, sketched.suffix);
            let allowed = if matches!(&*exact.suffix, "median" | "95percentile") { exact.value / 128.0 } else { 0.0 };
            assert!((exact.value - sketched.value).abs() <= allowed, "{exact:?} became {sketched:?}");
        }
    }
}
