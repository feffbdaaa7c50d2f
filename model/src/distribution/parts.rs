//! What a set of samples is made of, for whoever stores one and makes it again.

use std::borrow::Cow;

use super::compensated_sum::CompensatedSum;
use super::exact::Exact;
use super::samples::{SAMPLE_LIMIT, Samples, Store};
use super::sketch::{BIN_LIMIT, Sketch};
use super::summary::Summary;

/// Everything that a [`Samples`] holds. Made again from it, it is equal to the one before.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplesParts<'a> {
    /// How many samples came, whatever they weigh.
    pub samples: u64,
    /// The sum of the weights, and the rounding error that it carries.
    pub count: [f64; 2],
    /// The sum of value times weight, and the rounding error that it carries.
    pub sum: [f64; 2],
    /// The smallest value; infinite while there is none.
    pub min: f64,
    /// The largest value; negative infinity while there is none.
    pub max: f64,
    /// The samples, or what became of them.
    pub entries: SamplesEntries<'a>,
}

/// The samples of a set, or what became of them.
#[derive(Clone, Debug, PartialEq)]
pub enum SamplesEntries<'a> {
    /// Every sample, in the order of arrival.
    Exact {
        /// The values.
        values: Cow<'a, [f64]>,
        /// Their weights, perhaps fewer than values: the rest weighs 1.
        weights: Cow<'a, [f64]>,
    },
    /// Bins of the Agent's mapping, ascending.
    Sketch {
        /// The keys.
        keys: Cow<'a, [i32]>,
        /// A weight for each.
        weights: Cow<'a, [f64]>,
    },
}

impl Samples {
    /// What it is made of.
    pub fn parts(&self) -> SamplesParts<'_> {
        let Summary { samples, count, sum, min, max } = self.summary;
        let entries = match &self.store {
            Store::Exact(exact) => {
                let (values, weights) = exact.parts();
                SamplesEntries::Exact { values: values.into(), weights: weights.into() }
            }
            Store::Sketch(sketch) => {
                let (keys, weights) = sketch.parts();
                SamplesEntries::Sketch { keys: keys.into(), weights: weights.into() }
            }
        };
        SamplesParts { samples, count: count.parts(), sum: sum.parts(), min, max, entries }
    }

    /// Makes it again; nothing where the parts are not those of any set.
    pub fn from_parts(parts: SamplesParts<'_>) -> Option<Samples> {
        let SamplesParts { samples, count, sum, min, max, entries } = parts;
        let is_finite = |numbers: &[f64]| numbers.iter().all(|number| number.is_finite());
        let store = match entries {
            SamplesEntries::Exact { values, weights } => {
                let fits = values.len() <= SAMPLE_LIMIT && weights.len() <= values.len();
                (fits && is_finite(&values) && is_finite(&weights))
                    .then(|| Store::Exact(Exact::from_parts(values.into_owned(), weights.into_owned())))?
            }
            SamplesEntries::Sketch { keys, weights } => {
                let fits = keys.len() <= BIN_LIMIT && weights.len() == keys.len();
                (fits && keys.is_sorted_by(|a, b| a < b) && is_finite(&weights))
                    .then(|| Store::Sketch(Sketch::from_parts(keys.into_owned(), weights.into_owned())))?
            }
        };
        if !is_finite(&count) || !is_finite(&sum) || min.is_nan() || max.is_nan() {
            return None;
        }
        let [count, sum] = [count, sum].map(CompensatedSum::from_parts);
        Some(Samples { summary: Summary { samples, count, sum, min, max }, store })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_set_made_again_is_equal_and_goes_on_alike(
            entries in proptest::collection::vec((-1e9..1e9_f64, prop_oneof![Just(1.0), 1.0..20.0_f64]), 0..200),
            compress: bool,
        ) {
            let mut samples = Samples::new();
            entries.iter().for_each(|&(value, weight)| assert!(samples.push(value, weight)));
            if compress {
                samples.compress();
            }
            let mut again = Samples::from_parts(samples.parts()).unwrap();
            prop_assert_eq!(&again, &samples);
            for set in [&mut samples, &mut again] {
                set.push(0.1, 3.0);
            }
            prop_assert_eq!(again.parts(), samples.parts());
        }
    }

    #[test]
    fn parts_of_no_set_are_refused() {
        let sound = SamplesParts {
            samples: 1,
            count: [1.0, 0.0],
            sum: [1.0, 0.0],
            min: 1.0,
            max: 1.0,
            entries: SamplesEntries::Exact { values: vec![1.0].into(), weights: vec![].into() },
        };
        assert!(Samples::from_parts(sound.clone()).is_some());
        let exact = |values: Vec<f64>, weights: Vec<f64>| SamplesEntries::Exact {
            values: values.into(),
            weights: weights.into(),
        };
        let sketch =
            |keys: Vec<i32>, weights: Vec<f64>| SamplesEntries::Sketch { keys: keys.into(), weights: weights.into() };
        for entries in [
            exact(vec![f64::NAN], vec![]),
            exact(vec![1.0], vec![1.0, 2.0]),
            exact(vec![1.0; SAMPLE_LIMIT + 1], vec![]),
            sketch(vec![2, 1], vec![1.0, 1.0]),
            sketch(vec![1], vec![]),
        ] {
            assert_eq!(Samples::from_parts(SamplesParts { entries, ..sound.clone() }), None);
        }
        assert_eq!(Samples::from_parts(SamplesParts { sum: [f64::INFINITY, 0.0], ..sound }), None);
    }
}
