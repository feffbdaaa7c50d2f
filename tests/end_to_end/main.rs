//! The real binary, real Gunicorn and fake backends that decode what they get.
//!
//! Every run here ends with `SIGTERM` and a check of the conservation law on the counters that the run logs at its end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod catalogue;
mod configuration;
mod datadog;
mod events;
mod filelog;
mod gunicorn;
mod independent;
mod isolation;
mod kill;
mod log_files;
mod migration;
mod outage;
mod process_check;
mod proxy;
mod readme;
mod reload;
mod replay;
mod restart;
mod startup;
mod statsd_input;
mod status;
mod storage;
mod support;
mod transports;
