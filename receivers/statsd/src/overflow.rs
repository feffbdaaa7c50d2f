//! Says which metrics are responsible when there are more series than may be.

use std::fmt::Write as _;
use std::time::Duration;

use hornpipe_engine::RateLimit;
use hornpipe_engine::component::BuildContext;
use hornpipe_engine::telemetry::Status;
use hornpipe_model::Signal;

use crate::contexts::ContextLimit;
use crate::flush::Merger;
use crate::reason;

/// How often it is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(60);
/// How many metrics are named.
const NAMED: usize = 5;
/// How much of a metric's name is shown, in characters.
const SHOWN_CHARACTERS: usize = 80;

/// Watches the lines that are dropped because their series would be too many.
#[derive(Debug)]
pub(crate) struct Overflow {
    /// Such lines, as seen last.
    dropped: u64,
    is_over: bool,
    log: RateLimit,
}

impl Overflow {
    /// Nothing dropped yet.
    pub(crate) fn new() -> Self {
        Overflow { dropped: 0, is_over: false, log: RateLimit::new(LOG_INTERVAL) }
    }

    /// Looks at a window that has ended. While lines are dropped, the status names the metrics with the most series.
    pub(crate) fn look(&mut self, merger: &Merger, limit: &ContextLimit, context: &BuildContext) {
        let BuildContext { id, telemetry, clock, .. } = context;
        let all = telemetry.signal(Signal::Metrics).dropped_for(reason::CONTEXT_LIMIT);
        let dropped = all - std::mem::replace(&mut self.dropped, all);
        if dropped > 0 {
            let text = describe(dropped, &bound(limit), &merger.names_with_most_series(NAMED));
            if self.log.allow(clock).is_some() {
                tracing::warn!(receiver = id, "{text}");
            }
            telemetry.set_status(Status::Warning(text));
        } else if self.is_over {
            telemetry.set_status(Status::Ok);
        }
        self.is_over = dropped > 0;
    }
}

/// What is used up.
fn bound(limit: &ContextLimit) -> String {
    let (known, most) = (limit.known(), limit.limit());
    if known >= most {
        return format!("max_contexts ({most}) are known");
    }
    let room = limit.byte_limit() >> 20;
    format!(
        "the names and tags of {known} take the {room}MiB that they may with max_contexts {most}, since some are very long"
    )
}

fn describe(dropped: u64, bound: &str, names: &[(String, usize)]) -> String {
    let mut text = format!("{dropped} lines of new series dropped: {bound}; most belong to ");
    for (place, (name, count)) in names.iter().enumerate() {
        let name: String = name.escape_debug().take(SHOWN_CHARACTERS).collect();
        // Writing to a text cannot fail.
        let _ = write!(text, "{}{name} ({count})", if place > 0 { ", " } else { "" });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_the_metrics_whatever_their_names_hold() {
        let names = [("app.\x1b[31m".to_owned(), 180_000), ("ü".repeat(500), 3)];
        let text = describe(12, "max_contexts (200000) are known", &names);
        let shown = "ü".repeat(SHOWN_CHARACTERS);
        let expected = "12 lines of new series dropped: max_contexts (200000) are known; most belong to ";
        assert_eq!(text, format!("{expected}app.\\u{{1b}}[31m (180000), {shown} (3)"));
    }
}
