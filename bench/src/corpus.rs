//! Series and their lines, as real clients write them.

use std::fmt::{self, Write as _};

use clap::ValueEnum;
use fastrand::Rng;

/// What the lines look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Corpus {
    /// What Gunicorn sends: 40 to 110 bytes, no to four tags.
    Gunicorn,
    /// What a tag-happy application sends: about 400 bytes, 20 tags.
    Heavy,
}

/// The type of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `c`
    Counter,
    /// `g`
    Gauge,
    /// `ms`
    Timer,
}

/// A name with its type and tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// Its type.
    pub kind: Kind,
    name: String,
    /// What follows the value: type, sample rate, tags.
    tail: String,
}

impl Corpus {
    /// The series number `index` of this corpus. A third of them are timers, every twelfth is a gauge, the rest count.
    /// With `tags` off they are left out, for servers that refuse them; names alone tell the series apart.
    pub fn series(self, index: usize, tags: bool) -> Series {
        let kind = match index % 12 {
            0 | 3 | 6 | 9 => Kind::Timer,
            1 => Kind::Gauge,
            _ => Kind::Counter,
        };
        let (name, tag_section) = match self {
            Corpus::Gunicorn => (gunicorn_name(index, kind), gunicorn_tags(index)),
            Corpus::Heavy => (format!("platform.checkout.payment.latency_{index:06}"), heavy_tags(index)),
        };
        let mut tail = match kind {
            // Gunicorn writes the rate on every counter.
            Kind::Counter => "|c|@1.0".to_owned(),
            Kind::Gauge => "|g".to_owned(),
            Kind::Timer => "|ms".to_owned(),
        };
        if tags && !tag_section.is_empty() {
            tail.push_str("|#");
            tail.push_str(&tag_section);
        }
        Series { kind, name, tail }
    }
}

impl Series {
    /// A value that this series could have. All are multiples of a quarter, so that floats add them up exactly.
    pub fn value(&self, random: &mut Rng) -> f64 {
        match self.kind {
            Kind::Counter => 1.0,
            Kind::Gauge => f64::from(random.u32(0..64)),
            Kind::Timer => f64::from(random.u32(4..4_000)) / 4.0,
        }
    }

    /// Appends the line that says `value`, without an end.
    pub fn write_line(&self, value: f64, into: &mut String) {
        // Writing to a string does not fail.
        let _ = write!(into, "{}:{value}{}", self.name, self.tail);
    }
}

impl fmt::Display for Series {
    /// Its line without the value.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.name, self.tail)
    }
}

fn gunicorn_name(index: usize, kind: Kind) -> String {
    let metric = match (kind, index % 2) {
        (Kind::Timer, _) => "request.duration",
        (Kind::Gauge, _) => "workers",
        (Kind::Counter, 0) => "requests",
        (Kind::Counter, _) => "request.status.200",
    };
    format!("webshop-{index:06}.production.gunicorn.{metric}")
}

fn gunicorn_tags(index: usize) -> String {
    let worker = format!("worker:{}", index % 16);
    let all = ["env:prod", "region:eu-1", &worker, "version:1.4"];
    all.iter().take(index % 5).copied().collect::<Vec<_>>().join(",")
}

fn heavy_tags(index: usize) -> String {
    (0..20).map(|tag| format!("label_{tag:02}:v{:07}", index * 31 + tag)).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(corpus: Corpus) -> Vec<String> {
        let mut random = Rng::with_seed(7);
        let line = |index| {
            let series = corpus.series(index, true);
            let mut line = String::new();
            series.write_line(series.value(&mut random), &mut line);
            line
        };
        (0..5_000).map(line).collect()
    }

    fn tags(line: &str) -> usize {
        line.split_once("|#").map_or(0, |(_, tags)| tags.split(',').count())
    }

    #[test]
    fn lines_have_the_length_and_the_tags_that_their_corpus_promises() {
        for line in lines(Corpus::Gunicorn) {
            assert!((40..=110).contains(&line.len()) && tags(&line) <= 4, "{} {line}", line.len());
        }
        for line in lines(Corpus::Heavy) {
            assert!((380..=440).contains(&line.len()) && tags(&line) == 20, "{} {line}", line.len());
        }
    }

    #[test]
    fn no_two_series_are_the_same_with_or_without_tags() {
        for corpus in [Corpus::Gunicorn, Corpus::Heavy] {
            for tags in [true, false] {
                let mut names: Vec<String> = (0..5_000).map(|index| corpus.series(index, tags).name).collect();
                names.sort();
                names.dedup();
                assert_eq!(names.len(), 5_000);
            }
        }
    }

    #[test]
    fn a_third_of_the_series_are_timers() {
        let timers = (0..1_200).filter(|&index| Corpus::Gunicorn.series(index, true).kind == Kind::Timer).count();
        assert_eq!(timers, 400);
    }
}
