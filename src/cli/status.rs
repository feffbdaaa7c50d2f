//! `hornpipe status`.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use hornpipe_engine::status::{Health, StatusReport};

use super::ask::ask;
use super::load::say;

/// No process answers, or not in a way that can be understood.
const NOT_RUNNING: u8 = 2;

/// What to print.
#[derive(Args)]
pub struct StatusArgs {
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

/// Prints the report of the running process. Ends with 0 where nothing is in error, 1 where something is, 2 where no
/// process answers.
pub fn status(args: &StatusArgs) -> ExitCode {
    let answer = match ask("status") {
        Ok(answer) => answer,
        Err(error) => return without_report(&error),
    };
    let report: StatusReport = match serde_json::from_str(&answer) {
        Ok(report) => report,
        Err(error) => {
            return without_report(&format!(
                "the running process is of another version, whose report differs: {error}"
            ));
        }
    };
    let text = if args.json { answer } else { report.to_string() };
    // A reader that closed the pipe early knows enough; the code tells the rest.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    match report.status {
        Health::Ok | Health::Warning => ExitCode::SUCCESS,
        Health::Error => ExitCode::from(1),
    }
}

fn without_report(error: &str) -> ExitCode {
    say(&format!("error: {error}"));
    ExitCode::from(NOT_RUNNING)
}
