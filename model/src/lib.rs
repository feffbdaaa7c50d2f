//! hornpipe's data model: metrics, logs, tags and distributions.
//!
//! Plain values and pure functions. Nothing here does I/O, waits or reads a clock; every other crate builds on it.
//!
//! A [`Data`] is what travels: a [`MetricBatch`] or a [`LogBatch`], immutable and shared. The items of a batch
//! share one [`Resource`] and one [`Scope`]. A [`MetricPoint`] points at a [`Context`] (name, tags, unit), which is
//! made once per series and lives across windows, so that processors and exporters can cache by it.

pub mod catalogue;
mod context;
mod data;
pub mod distribution;
mod event;
mod heap;
mod log;
mod metric;
mod resource;
mod tags;
mod text;
mod time;

pub use context::Context;
pub use data::{Data, Signal};
pub use distribution::{Distribution, Samples, WireType};
pub use event::{AlertType, Event, EventPriority};
pub use log::{Body, Log, LogBatch, LogSource, Severity, Trace};
pub use metric::{CheckStatus, MetricBatch, MetricPoint, MetricValue, Origin, ServiceCheck, Temporality, Window};
pub use resource::{Resource, Scope, Value};
pub use tags::Tags;
pub use text::Text;
pub use time::Timestamp;
