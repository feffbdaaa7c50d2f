//! The Datadog exporter: metrics, service checks, logs and events to Datadog's intake, as the Datadog Agent sends them.
//!
//! A batch of metrics becomes requests on three routes. Counters, gauges and the series of histograms go to `/api/v2/series`
//! (protobuf), distributions to `/api/beta/sketches` (protobuf), service checks to `/api/v1/check_run` (JSON). Log records
//! go to `/api/v2/logs`, except DogStatsD events, which go to `/api/v1/events` one by one (both JSON). What the
//! intake answers is judged in [`SendOutcome`](hornpipe_engine::component::SendOutcome)s; retries are the engine's.
//!
//! Names, types, units, intervals and timestamps are the Agent's, so that Datadog's own dashboards work on them.

mod check_run;
mod config;
mod encode;
mod events;
mod exporter;
mod json;
mod key;
mod labels;
mod log_entry;
mod logs;
mod payload;
mod protobuf;
mod response;
mod series;
mod sketches;
mod split;
mod time;
mod validation;

pub use config::{ApiConfig, DatadogConfig, LogsConfig, MetricsConfig};
pub use exporter::DatadogExporter;

#[cfg(test)]
mod tests;
