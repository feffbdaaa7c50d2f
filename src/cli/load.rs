//! Reading the configuration for a command.

use std::io::Write;
use std::path::PathBuf;

use hornpipe_engine::config::{Diagnostics, Plan, ProcessEnvironment, load, read_file};

use crate::components::registry;

/// The plan of the files, and everything that is wrong with them; no plan where that is an error.
pub fn read_plan(files: &[PathBuf]) -> (Option<Plan>, Diagnostics) {
    let mut unreadable = Diagnostics::new();
    let mut sources = Vec::with_capacity(files.len());
    for (order, file) in files.iter().enumerate() {
        match read_file(file, order) {
            Ok(source) => sources.push(source),
            Err(error) => unreadable.push(error),
        }
    }
    if unreadable.has_errors() {
        return (None, unreadable);
    }
    load(&sources, &ProcessEnvironment, &registry())
}

/// The plan of the files, or nothing where something is wrong. Says on standard error what is.
pub fn load_plan(files: &[PathBuf]) -> Option<Plan> {
    let (plan, found) = read_plan(files);
    if found.iter().next().is_some() {
        say(&found.to_string());
    }
    plan
}

/// Prints a line for the operator on standard error.
pub fn say(text: &str) {
    // Nobody can be told that standard error is gone.
    let _ = writeln!(std::io::stderr().lock(), "{}", text.trim_end());
}
