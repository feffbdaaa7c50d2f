//! What the fake Datadog keeps of what it took.

use std::collections::{BTreeMap, BTreeSet};

use super::logs::{EventEntry, LogEntry};

/// How Datadog types a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SeriesType {
    /// An amount in the interval.
    Count,
    /// An amount a second.
    Rate,
    /// A value at a time.
    Gauge,
}

/// The identity of a series.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeriesKey {
    /// The metric's name.
    pub metric: String,
    /// The tags, sorted.
    pub tags: Vec<String>,
    /// The name of the resource of type `host`, empty without one.
    pub host: String,
}

/// A point of a series with what its payload said about the series.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesPoint {
    /// The series.
    pub key: SeriesKey,
    /// Seconds since the epoch.
    pub timestamp: i64,
    /// The value.
    pub value: f64,
    /// Count, rate or gauge.
    pub kind: SeriesType,
    /// Datadog's name of the unit, empty where none was sent.
    pub unit: String,
    /// Seconds; 0 where none was sent.
    pub interval: i64,
    /// Name of the source type, empty where none was sent.
    pub source_type_name: String,
    /// Resources other than the host, as type and name.
    pub resources: Vec<(String, String)>,
    /// Product, category and service of the origin, where one was sent.
    pub origin: Option<(u32, u32, u32)>,
}

/// A sketch of a distribution.
#[derive(Clone, Debug, PartialEq)]
pub struct SketchPoint {
    /// The distribution.
    pub key: SeriesKey,
    /// Seconds since the epoch.
    pub timestamp: i64,
    /// Number of samples.
    pub count: i64,
    /// Smallest sample.
    pub min: f64,
    /// Largest sample.
    pub max: f64,
    /// Mean.
    pub avg: f64,
    /// Sum of the samples.
    pub sum: f64,
    /// Keys of the bins.
    pub keys: Vec<i32>,
    /// Counts of the bins.
    pub counts: Vec<u32>,
}

/// A service check's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckRun {
    /// The check's name.
    pub check: String,
    /// The host.
    pub host: String,
    /// Seconds since the epoch.
    pub timestamp: i64,
    /// 0 ok, 1 warning, 2 critical, 3 unknown.
    pub status: i64,
    /// The message.
    pub message: String,
    /// The tags, sorted.
    pub tags: Vec<String>,
}

/// What was taken. Of points of one series (name, tags, host) with one timestamp the last one stays, as in the real
/// intake; sketches are kept alike.
#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) points: BTreeMap<(SeriesKey, i64), SeriesPoint>,
    pub(super) sketches: BTreeMap<(SeriesKey, i64), SketchPoint>,
    pub(super) checks: Vec<CheckRun>,
    pub(super) logs: Vec<LogEntry>,
    pub(super) events: Vec<EventEntry>,
    pub(super) overwritten: Vec<SeriesPoint>,
    pub(super) ignored: Vec<String>,
    pub(super) refusals: Vec<String>,
}

impl Store {
    pub(super) fn add_point(&mut self, point: SeriesPoint) {
        let place = (point.key.clone(), point.timestamp);
        let value = point.value;
        if let Some(earlier) = self.points.insert(place, point).filter(|earlier| earlier.value != value) {
            self.overwritten.push(earlier);
        }
    }

    pub(super) fn add_sketch(&mut self, sketch: SketchPoint) {
        self.sketches.insert((sketch.key.clone(), sketch.timestamp), sketch);
    }

    pub(super) fn points_of(&self, metric: &str, tags: &[&str]) -> impl Iterator<Item = &SeriesPoint> {
        self.points.values().filter(move |point| point.key.metric == metric && point.key.has_tags(tags))
    }

    pub(super) fn metrics(&self) -> BTreeSet<String> {
        self.points.keys().chain(self.sketches.keys()).map(|(key, _)| key.metric.clone()).collect()
    }
}

impl SeriesKey {
    /// Whether the series has all of these tags.
    pub fn has_tags(&self, tags: &[&str]) -> bool {
        tags.iter().all(|tag| self.tags.iter().any(|found| found == tag))
    }
}

impl SeriesPoint {
    /// The amount that the point stands for: a rate times its interval (what `.as_count()` shows), or the value itself.
    pub fn as_count(&self) -> f64 {
        match self.kind {
            SeriesType::Rate => self.value * self.interval as f64,
            SeriesType::Count | SeriesType::Gauge => self.value,
        }
    }
}
