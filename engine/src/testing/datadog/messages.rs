//! The protobuf messages of the Datadog intake, from its public field tables. Written apart from the exporter's, so
//! that a mistake in one of them shows.

use prost::Message;

/// Body of `/api/v2/series`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct MetricPayload {
    #[prost(message, repeated, tag = "1")]
    pub(super) series: Vec<MetricSeries>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MetricSeries {
    #[prost(message, repeated, tag = "1")]
    pub(super) resources: Vec<Resource>,
    #[prost(string, tag = "2")]
    pub(super) metric: String,
    #[prost(string, repeated, tag = "3")]
    pub(super) tags: Vec<String>,
    #[prost(message, repeated, tag = "4")]
    pub(super) points: Vec<MetricPoint>,
    /// 0 unspecified, 1 count, 2 rate, 3 gauge.
    #[prost(int32, tag = "5")]
    pub(super) kind: i32,
    #[prost(string, tag = "6")]
    pub(super) unit: String,
    #[prost(string, tag = "7")]
    pub(super) source_type_name: String,
    /// Seconds.
    #[prost(int64, tag = "8")]
    pub(super) interval: i64,
    #[prost(message, optional, tag = "9")]
    pub(super) metadata: Option<Metadata>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Resource {
    #[prost(string, tag = "1")]
    pub(super) kind: String,
    #[prost(string, tag = "2")]
    pub(super) name: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct MetricPoint {
    #[prost(double, tag = "1")]
    pub(super) value: f64,
    /// Seconds since the epoch.
    #[prost(int64, tag = "2")]
    pub(super) timestamp: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Metadata {
    #[prost(message, optional, tag = "1")]
    pub(super) origin: Option<Origin>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Origin {
    #[prost(uint32, tag = "4")]
    pub(super) product: u32,
    #[prost(uint32, tag = "5")]
    pub(super) category: u32,
    #[prost(uint32, tag = "6")]
    pub(super) service: u32,
}

/// Body of `/api/beta/sketches`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SketchPayload {
    #[prost(message, repeated, tag = "1")]
    pub(super) sketches: Vec<Sketch>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Sketch {
    #[prost(string, tag = "1")]
    pub(super) metric: String,
    #[prost(string, tag = "2")]
    pub(super) host: String,
    #[prost(string, repeated, tag = "4")]
    pub(super) tags: Vec<String>,
    #[prost(message, repeated, tag = "7")]
    pub(super) dogsketches: Vec<Dogsketch>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Dogsketch {
    /// Seconds since the epoch.
    #[prost(int64, tag = "1")]
    pub(super) ts: i64,
    #[prost(int64, tag = "2")]
    pub(super) cnt: i64,
    #[prost(double, tag = "3")]
    pub(super) min: f64,
    #[prost(double, tag = "4")]
    pub(super) max: f64,
    #[prost(double, tag = "5")]
    pub(super) avg: f64,
    #[prost(double, tag = "6")]
    pub(super) sum: f64,
    #[prost(sint32, repeated, tag = "7")]
    pub(super) k: Vec<i32>,
    #[prost(uint32, repeated, tag = "8")]
    pub(super) n: Vec<u32>,
}
