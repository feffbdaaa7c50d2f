//! Metric points as `ExportMetricsServiceRequest` messages.
//!
//! Points of one name, unit and kind share a `Metric`; metrics share the batch's resource and scope, except those
//! whose tags or client named another service or host: their resource is the batch's with that replaced. Everything
//! stands in the order of its first appearance, so the same items always give the same bytes.

use hashbrown::HashMap;
use hornpipe_engine::Reason;
use hornpipe_model::{Context, MetricBatch, Temporality, catalogue};

use super::Part;
use super::chains::{Chain, Chains};
use super::envelope::{Envelope, HEADER_BYTES};
use super::owner::Owner;
use super::point::{Kind, put_point};
use super::wire::{Field, field_len, put_any_number, put_header, put_text, text_len};
use crate::dropped::Dropped;

/// Fields of `Metric`.
const NAME: Field = 1;
const DESCRIPTION: Field = 2;
const UNIT: Field = 3;
const GAUGE: Field = 5;
const SUM: Field = 7;
const EXPONENTIAL_HISTOGRAM: Field = 10;

/// Fields of `Gauge`, `Sum` and `ExponentialHistogram`.
const DATA_POINTS: Field = 1;
const AGGREGATION_TEMPORALITY: Field = 2;
const IS_MONOTONIC: Field = 3;

/// A generous bound of what a metric takes beside its texts and points: its own header, that of its data, three texts,
/// temporality and monotonicity.
const METRIC_BYTES: usize = 6 * HEADER_BYTES;

/// The messages for some items of a batch, each of at most `max_bytes` unless one item alone is larger, and the number
/// of items that are left out, by reason.
pub(super) fn encode(batch: &MetricBatch, items: &[u32], max_bytes: usize) -> (Vec<Part>, Vec<(Reason, u64)>) {
    let mut parts = Vec::new();
    let mut dropped = Dropped::default();
    let mut open = OpenPart::new(batch);
    for &item in items {
        let Some(point) = batch.points.get(item as usize) else { continue };
        let start = open.points.buffer.len();
        let kind = match put_point(&mut open.points.buffer, DATA_POINTS, point) {
            Ok(kind) => kind,
            Err(reason) => {
                dropped.add(reason);
                continue;
            }
        };
        let mut place = open.place(&point.context, kind, start);
        if !open.items.is_empty() && open.bytes + place.growth > max_bytes {
            let mut next = OpenPart::new(batch);
            open.points.move_to(&mut next.points, start);
            parts.push(std::mem::replace(&mut open, next).close());
            place = open.place(&point.context, kind, 0);
        }
        open.add(item, place);
    }
    if !open.items.is_empty() {
        parts.push(open.close());
    }
    (parts, dropped.into_counts())
}

/// What points of one metric have in common.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct MetricKey<'a> {
    /// The index of its group.
    group: usize,
    name: &'a str,
    unit: &'a str,
    kind: Kind,
}

/// Where a point goes, and by how much it makes the message larger, at most.
struct Place<'a> {
    /// Where the point begins in the buffer.
    start: usize,
    metric: Target<'a>,
    growth: usize,
}

/// The metric that takes a point.
enum Target<'a> {
    Known(usize),
    New(MetricKey<'a>, &'static str),
    /// Also the first of its resource.
    NewGroup(Envelope<'a>, Owner<'a>, MetricKey<'a>, &'static str),
}

/// A message that takes more points.
struct OpenPart<'a> {
    batch: &'a MetricBatch,
    points: Chains,
    metrics: Vec<Metric<'a>>,
    groups: Vec<Group<'a>>,
    by_key: HashMap<MetricKey<'a>, usize>,
    by_owner: HashMap<Owner<'a>, usize>,
    items: Vec<u32>,
    /// An upper bound of the encoded message's size.
    bytes: usize,
}

struct Metric<'a> {
    name: &'a str,
    description: &'static str,
    unit: &'a str,
    kind: Kind,
    points: Chain,
}

/// The metrics of one resource.
struct Group<'a> {
    envelope: Envelope<'a>,
    metrics: Vec<usize>,
}

impl<'a> OpenPart<'a> {
    fn new(batch: &'a MetricBatch) -> Self {
        OpenPart {
            batch,
            points: Chains::default(),
            metrics: Vec::new(),
            groups: Vec::new(),
            by_key: HashMap::new(),
            by_owner: HashMap::new(),
            items: Vec::new(),
            bytes: 0,
        }
    }

    /// The place of the point that the buffer has from `start` on.
    fn place(&self, context: &'a Context, kind: Kind, start: usize) -> Place<'a> {
        let owner = Owner::of_point(context.tags(), context.host());
        let group = self.by_owner.get(&owner).copied();
        let key =
            MetricKey { group: group.unwrap_or(self.groups.len()), name: context.name(), unit: context.unit(), kind };
        let point = self.points.buffer.len() - start;
        if let Some(&metric) = self.by_key.get(&key) {
            return Place { start, metric: Target::Known(metric), growth: point };
        }
        let description = catalogue::find(key.name).map_or("", |known| known.description);
        let growth = point + key.name.len() + key.unit.len() + description.len() + METRIC_BYTES;
        if group.is_some() {
            return Place { start, metric: Target::New(key, description), growth };
        }
        let envelope = Envelope::new(&self.batch.resource, &self.batch.scope, owner);
        let growth = growth + envelope.bytes();
        Place { start, metric: Target::NewGroup(envelope, owner, key, description), growth }
    }

    fn add(&mut self, item: u32, place: Place<'a>) {
        self.bytes += place.growth;
        self.items.push(item);
        let metric = match place.metric {
            Target::Known(metric) => metric,
            Target::New(key, description) => self.new_metric(key, description),
            Target::NewGroup(envelope, owner, key, description) => {
                self.by_owner.insert(owner, key.group);
                self.groups.push(Group { envelope, metrics: Vec::new() });
                self.new_metric(key, description)
            }
        };
        if let Some(metric) = self.metrics.get_mut(metric) {
            self.points.add(&mut metric.points, place.start);
        }
    }

    fn new_metric(&mut self, key: MetricKey<'a>, description: &'static str) -> usize {
        let metric = self.metrics.len();
        let MetricKey { group, name, unit, kind } = key;
        self.metrics.push(Metric { name, description, unit, kind, points: Chain::default() });
        self.by_key.insert(key, metric);
        if let Some(group) = self.groups.get_mut(group) {
            group.metrics.push(metric);
        }
        metric
    }

    fn close(self) -> Part {
        let sized: Vec<(usize, &Group<'_>)> =
            self.groups.iter().map(|group| (self.content_len(group), group)).collect();
        let len = sized.iter().map(|(content, group)| field_len(group.envelope.len(*content))).sum();
        let mut message = Vec::with_capacity(len);
        for (content, group) in sized {
            group.envelope.put(&mut message, content, |message| {
                self.metrics_of(group).for_each(|metric| metric.put(message, &self.points));
            });
        }
        debug_assert_eq!(message.len(), len, "a message of another size than computed");
        Part { buffer: message, start: 0, items: self.items }
    }

    fn content_len(&self, group: &Group<'_>) -> usize {
        self.metrics_of(group).map(|metric| field_len(metric.len())).sum()
    }

    fn metrics_of(&self, group: &Group<'_>) -> impl Iterator<Item = &Metric<'a>> {
        group.metrics.iter().filter_map(|&metric| self.metrics.get(metric))
    }
}

impl Metric<'_> {
    fn len(&self) -> usize {
        text_len(self.name) + text_len(self.description) + text_len(self.unit) + field_len(self.data_len())
    }

    fn data_len(&self) -> usize {
        let said_once = match self.kind {
            Kind::Gauge => 0,
            Kind::Sum { monotonic: false, .. } | Kind::ExponentialHistogram { .. } => 2,
            Kind::Sum { monotonic: true, .. } => 4,
        };
        self.points.bytes + said_once
    }

    fn put(&self, message: &mut Vec<u8>, points: &Chains) {
        put_header(message, Envelope::CONTENT, self.len());
        put_text(message, NAME, self.name);
        put_text(message, DESCRIPTION, self.description);
        put_text(message, UNIT, self.unit);
        let (field, temporality, monotonic) = match self.kind {
            Kind::Gauge => (GAUGE, None, false),
            Kind::Sum { monotonic, temporality } => (SUM, Some(temporality), monotonic),
            Kind::ExponentialHistogram { temporality } => (EXPONENTIAL_HISTOGRAM, Some(temporality), false),
        };
        put_header(message, field, self.data_len());
        points.messages(self.points).for_each(|point| message.extend_from_slice(point));
        if let Some(temporality) = temporality {
            put_any_number(message, AGGREGATION_TEMPORALITY, aggregation_temporality(temporality));
        }
        if monotonic {
            put_any_number(message, IS_MONOTONIC, 1);
        }
    }
}

/// The number of OTLP's `AggregationTemporality`.
fn aggregation_temporality(temporality: Temporality) -> u64 {
    match temporality {
        Temporality::Delta => 1,
        Temporality::Cumulative => 2,
    }
}
