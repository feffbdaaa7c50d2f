//! Names of severities.

use hornpipe_model::Severity;

/// The severity that a source calls by this name: names of Python's `logging`, of syslog, and what others use. `None` where
/// it is no such name.
pub(crate) fn severity(name: &str) -> Option<Severity> {
    const NAMES: [(&str, Severity); 24] = [
        ("INFO", Severity::INFO),
        ("WARNING", Severity::WARN),
        ("ERROR", Severity::ERROR),
        ("DEBUG", Severity::DEBUG),
        ("CRITICAL", Severity::FATAL),
        ("WARN", Severity::WARN),
        ("TRACE", Severity(1)),
        ("VERBOSE", Severity::DEBUG),
        ("INFORMATION", Severity::INFO),
        ("NOTICE", Severity(10)),
        ("ERR", Severity::ERROR),
        ("EXCEPTION", Severity::ERROR),
        ("CRIT", Severity::FATAL),
        ("FATAL", Severity::FATAL),
        ("SEVERE", Severity::ERROR),
        ("ALERT", Severity(19)),
        ("EMERG", Severity::FATAL),
        ("EMERGENCY", Severity::FATAL),
        ("PANIC", Severity::FATAL),
        ("D", Severity::DEBUG),
        ("W", Severity::WARN),
        ("E", Severity::ERROR),
        ("I", Severity::INFO),
        ("F", Severity::FATAL),
    ];
    NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, severity)| *severity)
}
