//! What tests of every crate share.
//!
//! * [`FakeClock`]: time that moves when told to; [`settings`]: those of a component, from what a user would write;
//! * [`CollectingSink`]: the end of a pipeline, for a receiver alone; [`build_context`] for any component alone;
//! * [`FakeDatadog`] and [`FakeOtlp`]: backends on real sockets that decode what comes with code of their own, check it
//!   as the real ones do, and misbehave on request ([`Behaviour`]); [`datadog_messages`] for a single body; [`RefusingPort`]: one that is not up yet;
//!   [`TlsFront`]: one behind TLS;
//! * [`check_receiver_contract`], [`check_processor_contract`] and [`check_exporter_contract`]: what every component
//!   promises;
//! * [`final_counters`] and [`assert_conserved`]: the counters that a run logs at its end, and the law over them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod backend;
mod bench;
mod clock;
mod contract;
mod datadog;
mod items;
mod otlp;
mod settings;
mod sink;

pub use backend::{
    Authority, Backend, Behaviour, Identity, PATIENCE, RecordedRequest, RefusingPort, TlsFront, eventually,
};
pub use bench::{assert_accounted, assert_conserved, build_context, final_counters, resource};
pub use clock::FakeClock;
pub use contract::{
    ExporterBench, ProcessorBench, ReceiverBench, check_exporter_contract, check_processor_contract,
    check_receiver_contract,
};
pub use datadog::messages as datadog_messages;
pub use datadog::{CheckRun, EventEntry, FakeDatadog, LogEntry, SeriesKey, SeriesPoint, SeriesType, SketchPoint};
pub use items::{assert_each_once, item_name, item_number, numbered_logs, numbered_metrics, numbers_in};
pub use otlp::{Attributes, FakeOtlp, HistogramTotal, OtlpLog, OtlpPoint, OtlpValue, StreamKey};
pub use settings::settings;
pub use sink::{Collected, CollectingSink};
