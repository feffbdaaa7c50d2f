//! `hornpipe components`.

use std::io::Write;
use std::process::ExitCode;

use crate::components::registry;

/// Prints what is built in, a line a component.
pub fn components() -> ExitCode {
    let mut out = std::io::stdout().lock();
    for component in registry().list() {
        let signals: Vec<&str> = component.signals.iter().map(|signal| signal.as_str()).collect();
        let aliases = match component.aliases {
            [] => String::new(),
            aliases => format!(" (also {})", aliases.join(", ")),
        };
        // A reader that closed the pipe early knows enough.
        let _ = writeln!(
            out,
            "{:<10} {:<12} {:<14} {}{aliases}",
            component.kind.as_str(),
            component.name,
            signals.join(", "),
            component.summary
        );
    }
    ExitCode::SUCCESS
}
