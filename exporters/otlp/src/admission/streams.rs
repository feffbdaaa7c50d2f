//! The running sums and histograms, bounded in number.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use hornpipe_engine::telemetry::Counter;
use hornpipe_model::distribution::ExponentialHistogram;
use hornpipe_model::{Context, Resource, Scope, Timestamp, Window};

use super::running_sum::RunningSum;

/// At the bound, one stream in so many gives way at once, so that the search for the oldest is paid rarely.
const EVICTED_SHARE: usize = 16;

/// Who produced a stream: resource and scope, compared by content. Made once a batch.
#[derive(Debug)]
pub(super) struct Source {
    resource: Arc<Resource>,
    scope: Arc<Scope>,
    hash: u64,
}

impl Source {
    pub(super) fn new(resource: &Arc<Resource>, scope: &Arc<Scope>) -> Self {
        let mut hasher = DefaultHasher::new();
        scope.name.hash(&mut hasher);
        for (key, value) in &resource.attributes {
            (key, value.as_str()).hash(&mut hasher);
        }
        Source { resource: Arc::clone(resource), scope: Arc::clone(scope), hash: hasher.finish() }
    }
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
            && (Arc::ptr_eq(&self.resource, &other.resource) || self.resource == other.resource)
            && (Arc::ptr_eq(&self.scope, &other.scope) || self.scope == other.scope)
    }
}

impl Eq for Source {}

impl Hash for Source {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// What a stream holds. In OTLP the type and the monotonic flag are part of a stream's identity (metrics data model).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum StreamKind {
    Sum { monotonic: bool },
    Histogram,
}

/// Which stream it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct StreamKey {
    pub(super) source: Arc<Source>,
    pub(super) context: Arc<Context>,
    pub(super) kind: StreamKind,
}

/// Everything that came since `start`: a sum, or a histogram.
#[derive(Debug)]
pub(super) struct Stream {
    start: Timestamp,
    end: Timestamp,
    last_use: u64,
    sum: RunningSum,
    histogram: Arc<ExponentialHistogram>,
}

impl Stream {
    fn new(window: Window, empty: Arc<ExponentialHistogram>) -> Self {
        // A start that equals the time of the point means "unknown start" in OTLP, and backends then leave the first
        // value out.
        let latest_start = Timestamp::from_nanos(window.end.as_nanos().saturating_sub(1));
        let start = window.start.min(latest_start);
        Stream { start, end: window.end, last_use: 0, sum: RunningSum::default(), histogram: empty }
    }

    /// The window of the stream's next point. Time never steps back, also where two sources feed one stream.
    pub(super) fn advance(&mut self, window: Window) -> Window {
        self.end = self.end.max(window.end);
        Window { start: self.start, end: self.end, interval: window.interval }
    }

    /// Adds to the sum and gives its new value.
    pub(super) fn add(&mut self, amount: f64) -> f64 {
        self.sum.add(amount);
        self.sum.value()
    }

    /// Adds to the histogram and gives the new one. It is copied only while an earlier one still waits in the queue.
    pub(super) fn merge(&mut self, window: &ExponentialHistogram, max_size: usize) -> Arc<ExponentialHistogram> {
        Arc::make_mut(&mut self.histogram).merge(window, max_size);
        Arc::clone(&self.histogram)
    }
}

/// The streams, at most `limit`; beyond it those that were not used for longest give way.
#[derive(Debug)]
pub(super) struct Streams {
    streams: HashMap<StreamKey, Stream>,
    limit: usize,
    uses: u64,
    /// What a new stream's histogram is, shared as long as it is empty.
    empty: Arc<ExponentialHistogram>,
    tracked: Arc<Counter>,
    evicted: Arc<Counter>,
}

impl Streams {
    /// `tracked` shows how many streams there are, `evicted` counts those that gave way.
    pub(super) fn new(limit: usize, tracked: Arc<Counter>, evicted: Arc<Counter>) -> Self {
        Streams { streams: HashMap::new(), limit: limit.max(1), uses: 0, empty: Arc::default(), tracked, evicted }
    }

    /// The stream of a key, a new one where it is unknown: that one starts with the window.
    pub(super) fn stream(&mut self, key: StreamKey, window: Window) -> &mut Stream {
        if self.streams.len() >= self.limit && !self.streams.contains_key(&key) {
            self.evict();
        }
        self.uses += 1;
        let stream = self.streams.entry(key).or_insert_with(|| Stream::new(window, Arc::clone(&self.empty)));
        stream.last_use = self.uses;
        stream
    }

    /// Shows the number of streams.
    pub(super) fn report(&self) {
        self.tracked.set(self.streams.len() as u64);
    }

    /// Lets the streams go that were not used for longest.
    fn evict(&mut self) {
        let before = self.streams.len();
        let leaving = (self.limit / EVICTED_SHARE).max(1);
        let mut uses: Vec<u64> = self.streams.values().map(|stream| stream.last_use).collect();
        let (_, newest_leaving, _) = uses.select_nth_unstable(leaving - 1);
        let newest_leaving = *newest_leaving;
        self.streams.retain(|_, stream| stream.last_use > newest_leaving);
        self.evicted.add((before - self.streams.len()) as u64);
    }
}

#[cfg(test)]
mod tests {
    use hornpipe_model::Tags;

    use super::*;

    fn source(host: &str) -> Arc<Source> {
        let mut resource = Resource::default();
        resource.set(Resource::HOST_NAME, host);
        Arc::new(Source::new(&Arc::new(resource), &Arc::default()))
    }

    fn key(host: &str, name: &str, kind: StreamKind) -> StreamKey {
        StreamKey { source: source(host), context: Arc::new(Context::new(name, Tags::default())), kind }
    }

    fn sum(name: &str) -> StreamKey {
        key("web1", name, StreamKind::Sum { monotonic: true })
    }

    fn window(start: u64, end: u64) -> Window {
        Window { start: Timestamp::from_secs(start), end: Timestamp::from_secs(end), interval: None }
    }

    fn streams(limit: usize) -> Streams {
        Streams::new(limit, Arc::default(), Arc::default())
    }

    #[test]
    fn streams_are_told_apart_by_content_not_by_address() {
        let mut streams = streams(10);
        assert_eq!(streams.stream(sum("a"), window(0, 10)).add(2.0), 2.0);
        assert_eq!(streams.stream(sum("a"), window(10, 20)).add(3.0), 5.0);
        for other in [
            sum("b"),
            key("web2", "a", StreamKind::Sum { monotonic: true }),
            key("web1", "a", StreamKind::Sum { monotonic: false }),
            key("web1", "a", StreamKind::Histogram),
        ] {
            assert_eq!(streams.stream(other, window(10, 20)).add(1.0), 1.0);
        }
    }

    #[test]
    fn at_the_bound_the_longest_unused_stream_gives_way() {
        let mut streams = streams(2);
        for name in ["a", "b", "a", "c"] {
            streams.stream(sum(name), window(0, 10)).add(1.0);
        }
        streams.report();
        assert_eq!((streams.tracked.get(), streams.evicted.get()), (2, 1));
        assert_eq!(streams.stream(sum("a"), window(10, 20)).add(1.0), 3.0, "used twice before");

        let comes_back = streams.stream(sum("b"), window(50, 60));
        assert_eq!(comes_back.add(1.0), 1.0);
        assert_eq!(comes_back.advance(window(50, 60)), window(50, 60), "a new start");
    }

    #[test]
    fn many_streams_beyond_the_bound_leave_in_groups() {
        let mut streams = streams(160);
        for index in 0..161 {
            streams.stream(sum(&format!("name{index}")), window(0, 10));
        }
        assert_eq!((streams.streams.len(), streams.evicted.get()), (151, 10));
        assert!(streams.streams.contains_key(&sum("name10")) && !streams.streams.contains_key(&sum("name9")));
    }

    #[test]
    fn a_stream_keeps_its_start_and_never_steps_back() {
        let mut streams = streams(10);
        let stream = streams.stream(sum("a"), window(10, 20));
        assert_eq!(stream.advance(window(10, 20)), window(10, 20));
        assert_eq!(stream.advance(window(20, 30)), window(10, 30));
        assert_eq!(stream.advance(window(15, 25)), window(10, 30));
    }

    #[test]
    fn a_stream_starts_before_its_first_point() {
        let mut streams = streams(10);
        let point = streams.stream(sum("a"), window(20, 20)).advance(window(20, 20));
        assert!(point.start < point.end);
    }
}
