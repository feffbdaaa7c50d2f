//! Why a line was dropped: the values of the `reason` label.

use hornpipe_engine::Reason;
pub use hornpipe_engine::reason::NOT_FINITE;

/// The line has no `|` with a type behind it.
pub const MISSING_TYPE: Reason = "missing_type";
/// Nothing stands before the first `:`.
pub const MISSING_NAME: Reason = "missing_name";
/// There is no `:`, or no value behind it.
pub const MISSING_VALUE: Reason = "missing_value";
/// A value is not a number.
pub const INVALID_VALUE: Reason = "invalid_value";
/// The type is none of `c`, `g`, `ms`, `h`, `s`, `d`.
pub const UNKNOWN_TYPE: Reason = "unknown_type";
/// What follows `@` is not a number.
pub const INVALID_SAMPLE_RATE: Reason = "invalid_sample_rate";
/// What follows `T` is not a whole number of seconds of at least 1.
pub const INVALID_TIMESTAMP: Reason = "invalid_timestamp";
/// A time on a value that is neither a counter nor a gauge.
pub const TIMESTAMP_ON_TYPE: Reason = "timestamp_on_type";
/// More lines with a time in one window than are kept.
pub const TIMESTAMP_LIMIT: Reason = "timestamp_limit";
/// A DogStatsD event whose lengths do not fit, or without a title.
pub const INVALID_EVENT: Reason = "invalid_event";
/// More events in one window than are kept.
pub const EVENT_LIMIT: Reason = "event_limit";
/// A service check without a name or with another status than 0 to 3.
pub const INVALID_SERVICE_CHECK: Reason = "invalid_service_check";
/// More service checks in one window than are kept.
pub const SERVICE_CHECK_LIMIT: Reason = "service_check_limit";
/// A new series while `max_contexts` are known.
pub const CONTEXT_LIMIT: Reason = "context_limit";
/// The settings do not want a metric of that name.
pub const FILTERED: Reason = "filtered";
/// The end of a datagram longer than `max_datagram_bytes`: its last line is not whole.
pub const TRUNCATED: Reason = "truncated";
/// A line or frame of a stream that is longer than `max_datagram_bytes`.
pub const TOO_LONG: Reason = "too_long";
/// A connection ended within a line or frame.
pub const UNFINISHED: Reason = "unfinished";
/// No logs pipeline takes the events.
pub const NO_LOGS_PIPELINE: Reason = "no_logs_pipeline";
/// No metrics pipeline takes the data.
pub const NO_METRICS_PIPELINE: Reason = "no_metrics_pipeline";
