//! Datagrams made beforehand, and what they add up to.

use std::ops::Range;

use clap::ValueEnum;
use fastrand::Rng;

use crate::corpus::{Corpus, Series};

/// How many lines a load has at least, before it repeats itself.
const LEAST_LINES: usize = 16_384;

/// How many lines go into a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Packing {
    /// One.
    Single,
    /// As many as fit into 1,432 bytes, as clients do on UDP.
    #[value(name = "1432")]
    Network,
    /// As many as fit into 8 KiB, as clients do on Unix sockets.
    #[value(name = "8192")]
    Local,
}

impl Packing {
    fn limit(self) -> usize {
        match self {
            Packing::Single => 0,
            Packing::Network => 1_432,
            Packing::Local => 8_192,
        }
    }
}

/// What a load is made of.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// What lines look like.
    pub corpus: Corpus,
    /// How they are packed.
    pub packing: Packing,
    /// How many series there are.
    pub contexts: usize,
    /// Whether tags are written.
    pub tags: bool,
    /// The same seed gives the same load.
    pub seed: u64,
}

/// Datagrams, to be sent over and over. Each pass over the series is in an order of its own.
#[derive(Debug)]
pub struct Load {
    series: Vec<Series>,
    lines: Vec<Line>,
    bytes: Vec<u8>,
    datagrams: Vec<Datagram>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Line {
    series: usize,
    value: f64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Datagram {
    bytes: Range<usize>,
    lines: Range<usize>,
}

/// What was sent of one series.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sum {
    /// How many lines.
    pub lines: u64,
    /// Their values, added up exactly.
    pub total: f64,
}

impl Load {
    /// Makes a load. Everything about it follows from the recipe.
    pub fn new(recipe: &Recipe) -> Self {
        let mut random = Rng::with_seed(recipe.seed);
        let contexts = recipe.contexts.max(1);
        let series: Vec<Series> = (0..contexts).map(|index| recipe.corpus.series(index, recipe.tags)).collect();
        let mut order: Vec<usize> = (0..contexts).collect();
        let mut load = Load { series, lines: Vec::new(), bytes: Vec::new(), datagrams: Vec::new() };
        let mut text = String::new();
        for _ in 0..LEAST_LINES.div_ceil(contexts) {
            random.shuffle(&mut order);
            for &series in &order {
                let value = load.series[series].value(&mut random);
                text.clear();
                load.series[series].write_line(value, &mut text);
                load.add(Line { series, value }, text.as_bytes(), recipe.packing.limit());
            }
        }
        load
    }

    fn add(&mut self, line: Line, text: &[u8], limit: usize) {
        let number = self.lines.len();
        self.lines.push(line);
        if let Some(last) = self.datagrams.last_mut()
            && last.bytes.len() + 1 + text.len() <= limit
        {
            self.bytes.push(b'\n');
            self.bytes.extend_from_slice(text);
            (last.bytes.end, last.lines.end) = (self.bytes.len(), number + 1);
            return;
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(text);
        self.datagrams.push(Datagram { bytes: start..self.bytes.len(), lines: number..number + 1 });
    }

    /// How many datagrams there are before it starts over.
    pub fn datagrams(&self) -> usize {
        self.datagrams.len()
    }

    /// How many lines they have.
    pub fn lines(&self) -> usize {
        self.lines.len()
    }

    /// A datagram's bytes and its number of lines. Numbers go on past the end, at the beginning again.
    pub fn datagram(&self, number: u64) -> (&[u8], usize) {
        let datagram = &self.datagrams[(number % self.datagrams.len() as u64) as usize];
        (&self.bytes[datagram.bytes.clone()], datagram.lines.len())
    }

    /// What the first `datagrams` that are sent add up to, series by series.
    pub fn sums(&self, datagrams: u64) -> Vec<Sum> {
        let rounds = datagrams / self.datagrams.len() as u64;
        let rest = (datagrams % self.datagrams.len() as u64) as usize;
        let started = self.datagrams.get(rest).map_or(0, |datagram| datagram.lines.start);
        let mut sums = vec![Sum::default(); self.series.len()];
        for (number, line) in self.lines.iter().enumerate() {
            let times = rounds + u64::from(number < started);
            sums[line.series].lines += times;
            sums[line.series].total += times as f64 * line.value;
        }
        sums
    }

    /// The series, in the order of [`sums`](Self::sums).
    pub fn series(&self) -> &[Series] {
        &self.series
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const RECIPE: Recipe =
        Recipe { corpus: Corpus::Gunicorn, packing: Packing::Network, contexts: 1_000, tags: true, seed: 1 };

    #[test]
    fn the_same_recipe_gives_the_same_bytes_and_another_seed_others() {
        let bytes = |seed| Load::new(&Recipe { seed, ..RECIPE }).bytes;
        assert_eq!(bytes(1), bytes(1));
        assert_ne!(bytes(1), bytes(2));
    }

    #[test]
    fn datagrams_are_as_full_as_their_packing_allows() {
        for packing in [Packing::Network, Packing::Local] {
            let load = Load::new(&Recipe { packing, ..RECIPE });
            let lengths: Vec<usize> = load.datagrams.iter().map(|datagram| datagram.bytes.len()).collect();
            let (_, full) = lengths.split_last().unwrap();
            assert!(full.iter().all(|&length| length <= packing.limit() && length + 111 > packing.limit()));
        }
        let single = Load::new(&Recipe { packing: Packing::Single, ..RECIPE });
        assert_eq!(single.datagrams(), single.lines());
    }

    /// Adds up what the datagrams say, by everything in a line but its value.
    fn add_up(load: &Load, datagrams: u64) -> HashMap<String, Sum> {
        let mut sums: HashMap<String, Sum> = HashMap::new();
        for number in 0..datagrams {
            let (bytes, _) = load.datagram(number);
            for line in std::str::from_utf8(bytes).unwrap().split('\n') {
                let (name, rest) = line.split_once(':').unwrap();
                let (value, tail) = rest.split_once('|').unwrap();
                let sum = sums.entry(format!("{name}|{tail}")).or_default();
                sum.lines += 1;
                sum.total += value.parse::<f64>().unwrap();
            }
        }
        sums
    }

    #[test]
    fn the_sums_are_those_of_the_bytes() {
        let load = Load::new(&RECIPE);
        let round = load.datagrams() as u64;
        for datagrams in [0, 1, 7, round - 1, round, round + 3, 3 * round + 11] {
            let mut expected = add_up(&load, datagrams);
            for (series, sum) in load.series().iter().zip(load.sums(datagrams)) {
                let received = expected.remove(&series.to_string()).unwrap_or_default();
                assert_eq!(received, sum, "{series} after {datagrams}");
            }
            assert!(expected.is_empty());
        }
    }
}
