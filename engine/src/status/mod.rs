//! How the running process is doing: the one report behind `hornpipe status`, the health endpoints and `hornpipe health`.
//!
//! The [`StatusBoard`] knows where everything stands: the process's own facts, what a reload said, and, through
//! [`Telemetry`](crate::telemetry::Telemetry), every component's counters and state. A [`StatusReport`] is what it says
//! at one moment. Whoever has more to tell adds a line to it; there is no second report.

mod board;
mod component;
mod render;
mod report;

#[cfg(test)]
mod tests;

pub use board::{Phase, ProcessFacts, StatusBoard, StatusReader};
pub use report::{
    CheckInstance, CheckReport, ComponentStatus, ErrorStatus, Health, HostStatus, LeftQueueStatus, QueueStatus,
    Readiness, ReloadStatus, SignalStatus, StateDirectoryStatus, StatusReport, WaitingStatus,
};
