//! The `statsd` receiver: metrics and service checks from StatsD and DogStatsD clients, added up in windows.
//!
//! # The life of a line
//!
//! 1. A thread for each address (`listener`) reads datagrams, many with one system call where the system can, or the
//!    connections of a stream socket (`listen`, `reader`).
//!    Where tags of the origin are wanted, they are written into the lines (`origin`).
//! 2. A line is cut around its value (`cut`), and its series, type and rate are found by the bytes before and behind that, as
//!    they were written (`spelling`, `aliases`). Only a spelling seen for the first time is taken apart (`parse`) and
//!    read as name, tags and host (`contexts`), to which the rules for names are applied (`naming`).
//! 3. Its values go into the reader's slab, at the index of its series (`aggregate`, `slab`).
//! 4. At the window's end (`window`) each reader hands over its slab and goes on with an empty one; a task merges the slabs,
//!    makes a point for each series and sends them (`flush`, `receiver`). The emptied slabs go back.
//!
//! Every line that cannot be used is counted once, with a reason (`reason`), and shown in the log at a limited rate.

mod aggregate;
mod aliases;
mod budget;
mod collector;
mod config;
mod contexts;
mod cut;
mod etsy;
mod event;
mod flush;
mod forward;
mod growth;
mod guide;
mod hold;
mod kernel_drops;
mod level;
mod listen;
mod listener;
mod members;
mod merge;
mod naming;
mod number;
mod origin;
mod overflow;
mod own_counters;
mod parse;
mod reader;
mod reason;
mod receiver;
mod rejects;
mod service_check;
mod slab;
mod sources;
mod spelling;
mod start;
mod tags;
mod timed;
mod window;

#[cfg(test)]
mod tests;

pub use collector::{
    CounterType, ExplicitBuckets, HistogramOptions, ObserverType, StatsdType, SummaryOptions, TimerHistogramMapping,
};
pub use config::{Dialect, StatsdConfig};
pub use hold::GaugeHoldConfig;
pub use listen::Framing;
pub use listener::{ListenerConfig, Transport};
pub use naming::{MapperMatchType, MapperProfile, Mapping, TagAction, TagFilterConfig};
pub use origin::Cardinality;
pub use receiver::StatsdReceiver;
