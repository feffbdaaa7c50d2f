//! hornpipe: StatsD, Gunicorn and log files in; Datadog and OTLP out; one small static binary.
//!
//! This package composes: [`components`] lists what is built in, [`cli`] holds a file a command. All else lives in
//! the crates of the workspace.

mod cli;
mod components;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
