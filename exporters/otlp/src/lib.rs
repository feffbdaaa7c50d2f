//! The `otlp` exporter: metrics and logs to any OTLP backend, over gRPC or HTTP.
//!
//! A batch passes three steps, each in a module of its own:
//!
//! 1. `admission`, in order and before the queue, of metrics: counts become sums and distributions exponential histograms, of the
//!    window alone or of everything since the start of the series.
//! 2. `encode`: points become `ExportMetricsServiceRequest` messages below the size that backends take, log records
//!    `ExportLogsServiceRequest`s; compressed, for gRPC in its frame. Pure.
//! 3. `grpc` or `http`: one request is sent once, and `response` says what the answer means for it.
//!
//! `settings` puts the options and the `OTEL_EXPORTER_OTLP_*` variables together. A signal has its own destination; the queue
//! and retries are shared.

mod admission;
mod config;
mod dropped;
mod encode;
mod endpoint;
mod exporter;
mod grpc;
mod headers;
mod http;
mod response;
mod settings;
mod variables;

pub use config::{CompressionParams, Keepalive, OtlpConfig, OtlpHttpConfig, Protocol, TemporalityPreference};
