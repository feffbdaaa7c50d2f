//! Values to which the client gave a time (`|T`, protocol 1.3). They are not aggregated: each line becomes a point of that
//! time.

use std::sync::Arc;
use std::time::Duration;

use hornpipe_engine::Reason;
use hornpipe_model::{Context, MetricPoint, MetricValue, Origin, Timestamp, Window};

use crate::parse::{Kind, Sample};
use crate::reason;
use crate::slab::saturating_sum;

/// How many such lines one reader keeps in one window. What their series take is bounded with all series.
pub(crate) const LIMIT: usize = 100_000;

/// A point that waits for the end of the window in which it came.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TimedPoint {
    context: Arc<Context>,
    window: Window,
    value: MetricValue,
}

/// Whether values of a type may have a time.
///
/// # Errors
/// [`reason::TIMESTAMP_ON_TYPE`] where the type is neither `c` nor `g`, which the Agent drops as well.
pub(crate) fn check(kind: Kind) -> Result<(), Reason> {
    if matches!(kind, Kind::Counter | Kind::Gauge) { Ok(()) } else { Err(reason::TIMESTAMP_ON_TYPE) }
}

impl TimedPoint {
    /// The point of a line. As in the Agent the sample rate does not matter: the client has aggregated already. Of several
    /// values counters are added up, and the last gauge counts, since backends keep one point of a series and time.
    pub(crate) fn new(context: Arc<Context>, sample: &Sample<'_>, values: &[f64]) -> Self {
        let value = match sample.kind {
            Kind::Counter => {
                let sum = values.iter().copied().fold(0.0, saturating_sum);
                MetricValue::Count { sum, samples: values.len() as u64 }
            }
            _ => MetricValue::Gauge(values.last().copied().unwrap_or_default()),
        };
        // The start is what Datadog stamps, rounded up to the second; in OTLP no amount starts when it ends.
        let start = Timestamp::from_nanos(sample.time.as_nanos().saturating_sub(1));
        TimedPoint { context, window: Window { start, end: sample.time, interval: None }, value }
    }

    /// The point, its amount divided by the nominal `interval` where a backend wants a rate.
    pub(crate) fn into_point(self, interval: Duration) -> MetricPoint {
        let TimedPoint { context, window, value } = self;
        MetricPoint { context, window: Window { interval: Some(interval), ..window }, origin: Origin::Statsd, value }
    }
}
