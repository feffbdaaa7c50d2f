//! Settings of a queue that do not go with the signals that it gets.

use hornpipe_model::Signal;

use super::super::diagnostic::{Diagnostic, Diagnostics};
use super::super::node::Node;
use super::super::path::NodePath;
use super::{PipelinePlan, Planned};
use crate::component::ExporterConfig;
use crate::delivery::DeliveryConfig;

/// Adds a warning for every setting that does less, or more, than whoever wrote it may think.
pub(super) fn warn(
    root: &Node,
    pipelines: &[PipelinePlan],
    exporters: &[Planned<dyn ExporterConfig>],
    diagnostics: &mut Diagnostics,
) {
    for Planned { id, config, .. } in exporters {
        let delivery = config.delivery();
        let gets = |signal| pipelines.iter().any(|known| known.signal == signal && known.exporters.contains(id));
        for signal in Signal::ALL.iter().copied().filter(|signal| gets(*signal)) {
            for ([section, option], message, help) in of_signal(&delivery, signal) {
                let path = NodePath::of(["exporters", id, section, option]);
                let warning = Diagnostic::warning(message).about(path.clone()).with_help(help);
                diagnostics.push(match root.locate(&path) {
                    Some((location, _)) => warning.at(&location),
                    None => warning,
                });
            }
        }
    }
}

/// The options that do not go with a signal, why, and what to do.
fn of_signal(delivery: &DeliveryConfig, signal: Signal) -> Vec<([&'static str; 2], String, &'static str)> {
    let queue = &delivery.sending_queue;
    let mut found = Vec::new();
    if !delivery.retry_on_failure.max_elapsed_time.is_zero() && queue.is_durable(signal) {
        let message = format!("{signal} are queued on disk, from which this deletes nothing: it holds in memory only");
        let help = "bound them with `sending_queue.max_age` and `sending_queue.max_bytes`";
        found.push((["retry_on_failure", "max_elapsed_time"], message, help));
    }
    if signal == Signal::Metrics && queue.consumers(signal) > 1 {
        let message =
            "several requests of metrics at a time arrive out of order, and backends may refuse or misread points";
        let help = "leave it out, or set it at an exporter for logs alone";
        found.push((["sending_queue", "num_consumers"], message.to_owned(), help));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Duration;
    use crate::delivery::{QueueConfig, RetryConfig};

    #[test]
    fn a_limit_of_time_is_warned_about_where_the_queue_is_on_disk() {
        let options = |storage: Option<&str>, limit, signal| {
            let sending_queue = QueueConfig { storage: storage.map(str::to_owned), ..QueueConfig::default() };
            let max_elapsed_time = Duration::from_secs(limit);
            let retry_on_failure = RetryConfig { max_elapsed_time, ..RetryConfig::default() };
            let delivery = DeliveryConfig { sending_queue, retry_on_failure, timeout: Duration::ZERO };
            of_signal(&delivery, signal).into_iter().map(|(path, ..)| path).collect::<Vec<_>>()
        };
        let warned = [["retry_on_failure", "max_elapsed_time"]];
        assert_eq!(options(None, 60, Signal::Logs), warned);
        assert_eq!(options(Some("file_storage"), 60, Signal::Metrics), warned);
        let none = [[""; 2]; 0];
        assert_eq!(options(None, 0, Signal::Logs), none);
        assert_eq!(options(None, 60, Signal::Metrics), none);
        assert_eq!(options(Some("none"), 60, Signal::Logs), none);
    }
}
