//! hornpipe: StatsD, Gunicorn and log files in; Datadog and OTLP out; one small static binary.
//!
//! This package composes: [`components`] lists what is built in, [`cli`] holds a file a command, [`allocator`] and [`open_files`]
//! set up what the system gives. All else lives in the crates of the workspace.

mod allocator;
mod cli;
mod components;
mod open_files;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Where it refuses, it works as it comes.
    allocator::configure();
    open_files::raise_limit();
    cli::run()
}
