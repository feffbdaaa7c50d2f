//! `/api/v1/check_run`: a JSON array of service checks.

use hornpipe_engine::component::{Reason, reason};
use hornpipe_model::{MetricPoint, ServiceCheck, Signal};
use serde::Serialize;

use crate::labels::{host_of, point_tags};
use crate::payload::Layout;

/// The limits are the Agent's (`serializer_max_payload_size`, `serializer_max_uncompressed_payload_size`).
pub(crate) static LAYOUT: Layout = Layout {
    route: "/api/v1/check_run",
    signal: Signal::Metrics,
    before: b"[",
    between: b",",
    after: b"]",
    max_bytes: 4_194_304,
    max_sent_bytes: 2_621_440,
    max_points: usize::MAX,
};

/// One service check. The public schema wants every field but message and timestamp, so that no host is `""` and no tags
/// are `[]`.
#[derive(Serialize)]
struct CheckRun<'a> {
    check: &'a str,
    host_name: &'a str,
    timestamp: u64,
    status: u8,
    message: &'a str,
    tags: Vec<&'a str>,
}

/// Writes one service check and tells that it is one point.
///
/// # Errors
/// JSON has no form for it, which cannot be for texts and numbers.
pub(crate) fn write(
    point: &MetricPoint,
    check: &ServiceCheck,
    host: &str,
    buffer: &mut Vec<u8>,
) -> Result<usize, Reason> {
    let run = CheckRun {
        check: point.context.name(),
        host_name: host_of(&point.context, host),
        timestamp: point.window.end.as_secs(),
        status: check.status as u8,
        message: &check.message,
        tags: point_tags(point.context.tags()).collect(),
    };
    serde_json::to_writer(buffer, &run).map_err(|_| reason::UNSUPPORTED)?;
    Ok(1)
}
