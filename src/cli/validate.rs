//! `hornpipe validate`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use super::load::load_plan;

/// Checks the configuration: opens nothing, reports every problem at once, fails if one of them is an error.
pub fn validate(files: &[PathBuf]) -> ExitCode {
    let Some(plan) = load_plan(files) else { return ExitCode::FAILURE };
    let mut out = std::io::stdout().lock();
    for pipeline in &plan.pipelines {
        let _ = writeln!(out, "{}: {pipeline}", pipeline.id);
    }
    let _ = writeln!(out, "the configuration is valid");
    ExitCode::SUCCESS
}
