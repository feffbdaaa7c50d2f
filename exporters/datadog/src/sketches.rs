//! `/api/beta/sketches`: a `SketchPayload` (DataDog/agent-payload, `proto/metrics/agent_payload.proto`).

use hornpipe_engine::component::Reason;
use hornpipe_model::distribution::AgentSketch;
use hornpipe_model::{MetricPoint, Samples, Signal};

use crate::labels::{host_of, point_tags};
use crate::payload::Layout;
use crate::protobuf::Writer;
use crate::series::EMPTY;
use crate::time::PointTime;

/// After the sketches stands `metadata`, which must be there and may be empty. The limits are the Agent's
/// (`serializer_max_payload_size`, `serializer_max_uncompressed_payload_size`).
pub(crate) static LAYOUT: Layout = Layout {
    route: "/api/beta/sketches",
    signal: Signal::Metrics,
    before: b"",
    between: b"",
    after: &[2 << 3 | 2, 0],
    max_bytes: 4_194_304,
    max_sent_bytes: 2_621_440,
    max_points: usize::MAX,
};

/// `SketchPayload.sketches`.
const SKETCHES: u32 = 1;

/// Writes one `Sketch` with one `Dogsketch` and tells that it is one point.
///
/// # Errors
/// There are no samples; the Agent sends no empty sketches.
pub(crate) fn write(point: &MetricPoint, samples: &Samples, host: &str, buffer: &mut Vec<u8>) -> Result<usize, Reason> {
    if samples.is_empty() {
        return Err(EMPTY);
    }
    let sketch = AgentSketch::from(samples);
    Writer::new(buffer).long_message(SKETCHES, |message| {
        message.string(1, point.context.name());
        message.string(2, host_of(&point.context, host));
        point_tags(point.context.tags()).for_each(|tag| message.repeated_string(4, tag));
        message.message(7, |dogsketch| {
            dogsketch.int64(1, PointTime::of(&point.window).timestamp);
            dogsketch.int64(2, sketch.count);
            dogsketch.double(3, sketch.min);
            dogsketch.double(4, sketch.max);
            dogsketch.double(5, sketch.avg);
            dogsketch.double(6, sketch.sum);
            dogsketch.packed_sint32(7, &sketch.keys);
            dogsketch.packed_uint32(8, &sketch.counts);
        });
    });
    Ok(1)
}
