//! From the slabs of all readers to the points of a window.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use hornpipe_model::{
    Context, Distribution, Log, LogSource, MetricPoint, MetricValue, Origin, Timestamp, Window, WireType,
};

use crate::aggregate::Handover;
use crate::config::Dialect;
use crate::contexts::Created;
use crate::event::ReceivedEvent;
use crate::hold::GaugeHold;
use crate::merge::merge_cell;
use crate::parse::Kind;
use crate::service_check::ReceivedCheck;
use crate::slab::{Cell, Slab};
use crate::timed::TimedPoint;

/// How long a series is known after its last value, so that it is not made anew each time; counters at least as long as
/// they are filled with zeros.
const KEPT_UNSEEN: Duration = Duration::from_secs(120);

/// How long a gauge of the Etsy dialect is known, since steps may follow its value. Etsy's own server knows it for ever.
const LEVELS_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// Merges what the readers hand over. Counts and samples add up, sets unite, of gauges the last to arrive counts.
#[derive(Debug)]
pub(crate) struct Merger {
    /// The number of the window at hand. There are enough of them for 136 years of one second each.
    window: u32,
    /// For how many windows an unseen counter is filled with zeros.
    filled_windows: u64,
    /// Gauges that go on with their last value, and for how many windows.
    hold: GaugeHold,
    held_windows: u64,
    interval: Duration,
    kept: Kept,
    series: Vec<Option<Series>>,
    free: Vec<u32>,
    hasher: DefaultHashBuilder,
    /// Series by type and context, as places in `series`.
    by_identity: HashTable<u32>,
    /// For each reader: its series by the reader's index.
    readers: Vec<Vec<Option<Place>>>,
    checks: Vec<ReceivedCheck>,
    timed: Vec<TimedPoint>,
    estimated_sets: u64,
    events: Vec<ReceivedEvent>,
}

/// For how many windows an unseen series is known.
#[derive(Clone, Copy, Debug)]
struct Kept {
    counters: u64,
    gauges: u64,
    others: u64,
}

impl Kept {
    fn windows(self, kind: Option<Kind>) -> u64 {
        match kind {
            Some(Kind::Counter) => self.counters,
            Some(Kind::Gauge) => self.gauges,
            _ => self.others,
        }
    }
}

#[derive(Debug)]
struct Series {
    kind: Kind,
    context: Arc<Context>,
    value: Cell,
    /// Of a gauge its value at the end of the window before.
    level: f64,
    /// A gauge that goes on with its last value.
    is_held: bool,
    last_seen: u32,
    /// It has had a value. Until then there is none to go on with: all that came may have had times of their own.
    has_value: bool,
    /// How many readers' indexes lead here.
    places: u32,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    series: u32,
    last_seen: u32,
}

/// The moment of a flush, on both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// The time of day.
    pub(crate) unix: Timestamp,
    /// Time that never steps back.
    pub(crate) monotonic: Duration,
}

impl Now {
    /// The time of day of an earlier moment on the monotonic clock.
    fn of(self, monotonic: Duration) -> Timestamp {
        let age = u64::try_from(self.monotonic.saturating_sub(monotonic).as_nanos()).unwrap_or(u64::MAX);
        Timestamp::from_nanos(self.unix.as_nanos().saturating_sub(age))
    }
}

impl Merger {
    /// Merges for `readers` readers; counters are filled with zeros for `counter_expiry` after their last value.
    pub(crate) fn new(readers: usize, interval: Duration, counter_expiry: Duration, dialect: Dialect) -> Self {
        let windows = |span: Duration| windows(span, interval);
        let others = windows(KEPT_UNSEEN).max(2);
        let levels = if dialect == Dialect::Etsy { windows(LEVELS_KEPT) } else { 0 };
        let filled_windows = windows(counter_expiry);
        Merger {
            window: 0,
            filled_windows,
            hold: GaugeHold::default(),
            held_windows: 0,
            interval,
            kept: Kept { counters: others.max(filled_windows), gauges: others.max(levels), others },
            series: Vec::new(),
            free: Vec::new(),
            hasher: DefaultHashBuilder::default(),
            by_identity: HashTable::new(),
            readers: (0..readers).map(|_| Vec::new()).collect(),
            checks: Vec::new(),
            timed: Vec::new(),
            estimated_sets: 0,
            events: Vec::new(),
        }
    }

    /// The same, with gauges that go on with their last value.
    pub(crate) fn holding(mut self, hold: GaugeHold) -> Self {
        self.held_windows = windows(hold.max_age(), self.interval);
        self.kept.gauges = self.kept.gauges.max(self.held_windows);
        self.hold = hold;
        self
    }

    /// Takes what a reader took in the window at hand and returns its slab, empty.
    pub(crate) fn merge(&mut self, reader: usize, handover: Handover) -> Slab {
        let Handover { mut slab, created, evicted } = handover;
        for created in created {
            self.add_place(reader, created);
        }
        let Some(places) = self.readers.get_mut(reader) else { return slab };
        slab.drain(|index, cell| {
            let Some(Some(place)) = places.get_mut(index as usize) else { return };
            let Some(Some(series)) = self.series.get_mut(place.series as usize) else { return };
            place.last_seen = self.window;
            series.last_seen = self.window;
            series.has_value = true;
            merge_cell(&mut series.value, cell);
        });
        self.checks.append(&mut slab.checks);
        self.timed.append(&mut slab.timed);
        self.events.append(&mut slab.events);
        for index in evicted {
            let place = places.get_mut(index as usize).and_then(Option::take);
            if let Some(Some(series)) = place.and_then(|place| self.series.get_mut(place.series as usize)) {
                series.places -= 1;
            }
        }
        slab
    }

    /// Ends the window at hand: its points, in the order in which their series were made.
    pub(crate) fn finish(&mut self, window: Window, now: Now) -> Vec<MetricPoint> {
        let mut points = Vec::with_capacity(self.by_identity.len() + self.checks.len() + self.timed.len());
        for (id, place) in (0..).zip(&mut self.series) {
            let Some(series) = place else { continue };
            let unseen = u64::from(self.window - series.last_seen);
            let kept = self.kept.windows(Some(series.kind));
            self.estimated_sets += u64::from(matches!(&series.value, Cell::Set(members) if members.is_estimated()));
            let gap = if series.kind == Kind::Gauge { self.held_windows } else { self.filled_windows };
            if let Some(value) = series.take_value(series.has_value && unseen <= gap) {
                let context = Arc::clone(&series.context);
                points.push(MetricPoint { context, window, origin: Origin::Statsd, value });
            }
            if series.places == 0
                && unseen > kept
                && let Some(series) = place.take()
            {
                let hash = self.hasher.hash_one((series.kind, &series.context));
                if let Ok(found) = self.by_identity.find_entry(hash, |&found| found == id) {
                    found.remove();
                }
                self.free.push(id);
            }
        }
        points.extend(self.checks.drain(..).map(|check| check_point(check, now)));
        points.extend(self.timed.drain(..).map(|timed| timed.into_point(self.interval)));
        points.shrink_to_fit();
        self.window += 1;
        points
    }

    /// Metrics with the most series, up to so many, each with how many it has.
    pub(crate) fn names_with_most_series(&self, at_most: usize) -> Vec<(String, usize)> {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for series in self.series.iter().flatten() {
            *counts.entry(series.context.name()).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        counts.sort_unstable_by(|(a, a_count), (b, b_count)| b_count.cmp(a_count).then_with(|| a.cmp(b)));
        counts.truncate(at_most);
        counts
    }

    /// How many sets had their members estimated since the last call.
    pub(crate) fn take_estimated_sets(&mut self) -> u64 {
        std::mem::take(&mut self.estimated_sets)
    }

    /// The events of the window at hand as records, in the order of their arrival at each reader.
    pub(crate) fn take_events(&mut self, now: Now) -> Vec<Log> {
        let record = |received: ReceivedEvent| {
            let source = Arc::new(LogSource { tags: received.tags, ..LogSource::default() });
            received.event.into_log(now.of(received.arrival), source)
        };
        self.events.drain(..).map(record).collect()
    }

    /// The indexes of a reader's series that it may evict.
    pub(crate) fn expired(&self, reader: usize) -> Vec<u32> {
        let places = self.readers.get(reader).map_or(&[][..], Vec::as_slice);
        let is_expired = |place: &Place| {
            let kind = self.series.get(place.series as usize).and_then(Option::as_ref).map(|series| series.kind);
            u64::from(self.window - place.last_seen) > self.kept.windows(kind)
        };
        (0..).zip(places).filter(|(_, place)| place.as_ref().is_some_and(is_expired)).map(|(index, _)| index).collect()
    }

    fn add_place(&mut self, reader: usize, created: Created) {
        let Created { index, kind, context } = created;
        let hash = self.hasher.hash_one((kind, &context));
        let is_same = |&id: &u32| self.at(id).is_some_and(|series| series.kind == kind && series.context == context);
        let id = match self.by_identity.find(hash, is_same) {
            Some(&id) => id,
            None => self.add_series(hash, kind, context),
        };
        if let Some(Some(series)) = self.series.get_mut(id as usize) {
            series.places += 1;
        }
        let Some(places) = self.readers.get_mut(reader) else { return };
        if places.len() <= index as usize {
            places.resize(index as usize + 1, None);
        }
        if let Some(place) = places.get_mut(index as usize) {
            *place = Some(Place { series: id, last_seen: self.window });
        }
    }

    fn at(&self, id: u32) -> Option<&Series> {
        self.series.get(id as usize)?.as_ref()
    }

    fn add_series(&mut self, hash: u64, kind: Kind, context: Arc<Context>) -> u32 {
        // The readers of a receiver never know more than fits, see `ContextLimit`.
        let next = u32::try_from(self.series.len()).unwrap_or(u32::MAX);
        let id = self.free.pop().unwrap_or(next);
        if id == next {
            self.series.push(None);
        }
        if let Some(place) = self.series.get_mut(id as usize) {
            let is_held = kind == Kind::Gauge && self.hold.holds(context.name());
            let (value, last_seen) = (Cell::Empty, self.window);
            let has_value = false;
            *place = Some(Series { kind, context, value, level: 0.0, is_held, last_seen, has_value, places: 0 });
        }
        let (series, hasher) = (&self.series, &self.hasher);
        let rehash = |&id: &u32| match series.get(id as usize) {
            Some(Some(series)) => hasher.hash_one((series.kind, &series.context)),
            _ => 0,
        };
        self.by_identity.insert_unique(hash, id, rehash);
        id
    }
}

impl Series {
    /// The window's value. Of a series that saw nothing, where it `goes_on`: of a counter zero, of a held gauge its last value.
    fn take_value(&mut self, goes_on: bool) -> Option<MetricValue> {
        match (self.kind, std::mem::take(&mut self.value)) {
            (Kind::Gauge, Cell::Empty) if goes_on && self.is_held => Some(MetricValue::Gauge(self.level)),
            (Kind::Counter, Cell::Empty) if goes_on => Some(MetricValue::Count { sum: 0.0, samples: 0 }),
            (_, Cell::Empty) => None,
            (_, Cell::Count { sum, samples }) => Some(MetricValue::Count { sum, samples }),
            (_, Cell::Gauge { value, .. }) => {
                self.level = value;
                Some(MetricValue::Gauge(value))
            }
            (_, Cell::Level(level)) => {
                self.level = level.value(self.level);
                Some(MetricValue::Gauge(self.level))
            }
            (_, Cell::Set(members)) => Some(MetricValue::Gauge(members.count())),
            (kind, cell) => {
                let samples = cell.into_samples()?;
                let wire_type = match kind {
                    Kind::Timing => WireType::Timing,
                    Kind::Histogram => WireType::Histogram,
                    _ => WireType::Distribution,
                };
                Some(MetricValue::Distribution(Distribution::new(wire_type, samples)))
            }
        }
    }
}

/// How many windows a span touches.
fn windows(span: Duration, interval: Duration) -> u64 {
    u64::try_from(span.as_nanos().div_ceil(interval.as_nanos().max(1))).unwrap_or(u64::MAX)
}

fn check_point(check: ReceivedCheck, now: Now) -> MetricPoint {
    let time = check.time.unwrap_or(now.of(check.arrival));
    MetricPoint {
        context: check.context,
        window: Window { start: time, end: time, interval: None },
        origin: Origin::Statsd,
        value: MetricValue::ServiceCheck(Box::new(check.result)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::Aggregator;
    use crate::contexts::ContextLimit;

    const INTERVAL: Duration = Duration::from_secs(60);

    /// Feeds a datagram to a reader and hands its window over.
    fn hand_over(merger: &mut Merger, reader: usize, aggregator: &mut Aggregator, datagram: &str) -> Slab {
        aggregator.datagram(datagram.as_bytes(), false, Duration::ZERO);
        let handover = aggregator.swap(Slab::default(), merger.expired(reader));
        merger.merge(reader, handover)
    }

    fn finish(merger: &mut Merger) -> Vec<MetricPoint> {
        let window = Window { start: Timestamp::from_secs(60), end: Timestamp::from_secs(120), interval: None };
        merger.finish(window, Now { unix: Timestamp::from_secs(120), monotonic: Duration::from_secs(7) })
    }

    fn aggregator() -> Aggregator {
        Aggregator::new(Arc::new(ContextLimit::new(100)), Dialect::Dogstatsd)
    }

    #[test]
    fn series_that_no_reader_knows_any_more_are_forgotten() {
        let mut merger = Merger::new(1, INTERVAL, INTERVAL, Dialect::Dogstatsd);
        let mut aggregator = aggregator();
        hand_over(&mut merger, 0, &mut aggregator, "a:1|c\nb:1|g\nc:1|ms\nd:1|s");
        for _ in 0..6 {
            finish(&mut merger);
            aggregator.evict_some();
            hand_over(&mut merger, 0, &mut aggregator, "");
        }
        assert!(merger.by_identity.is_empty() && merger.series.iter().all(Option::is_none));
        hand_over(&mut merger, 0, &mut aggregator, "e:1|c");
        assert_eq!((finish(&mut merger).len(), merger.series.len()), (1, 4), "places are used again");
    }

    #[test]
    fn samples_go_out_in_memory_of_the_right_size() {
        let mut merger = Merger::new(1, INTERVAL, INTERVAL, Dialect::Dogstatsd);
        let mut aggregator = aggregator();
        let values = |count: usize| ":1".repeat(count);
        hand_over(&mut merger, 0, &mut aggregator, &format!("few{}|ms\nmany{}|ms", values(5), values(1_025)));
        for (point, count) in finish(&mut merger).iter().zip([5, 1_025]) {
            let MetricValue::Distribution(distribution) = &point.value else { panic!("{point:?}") };
            let mut copy = distribution.samples.as_ref().clone();
            assert_eq!(copy.len(), count);
            copy.shrink_to_fit();
            assert_eq!(distribution.samples.bytes(), copy.bytes());
        }
    }

    #[test]
    fn service_checks_without_a_time_have_that_of_their_arrival() {
        let mut merger = Merger::new(1, INTERVAL, INTERVAL, Dialect::Dogstatsd);
        let mut aggregator = aggregator();
        hand_over(&mut merger, 0, &mut aggregator, "_sc|came|0\n_sc|said|0|d:50");
        let times: Vec<u64> = finish(&mut merger).iter().map(|point| point.window.start.as_secs()).collect();
        assert_eq!(times, [113, 50]);
    }
}
