//! Warns where one exporter can hold back another.

use super::super::diagnostic::{Diagnostic, Diagnostics};
use super::super::node::Node;
use super::super::path::NodePath;
use super::{PipelinePlan, Planned};
use crate::component::ExporterConfig;
use crate::delivery::OnFull;

/// Adds a warning for every exporter whose queue blocks and whose receivers feed other exporters too.
pub(super) fn warn(
    root: &Node,
    pipelines: &[PipelinePlan],
    exporters: &[Planned<dyn ExporterConfig>],
    diagnostics: &mut Diagnostics,
) {
    let blocking =
        exporters.iter().filter(|planned| planned.config.delivery().sending_queue.when_full() == OnFull::Block);
    for Planned { id, .. } in blocking {
        let siblings = siblings(id, pipelines);
        if siblings.is_empty() {
            continue;
        }
        let path = NodePath::of(["exporters", id, "sending_queue", "on_full"]);
        let message = format!("a full queue of `{id}` holds back {}, which share a receiver with it", list(&siblings));
        let warning = Diagnostic::warning(message)
            .about(path.clone())
            .with_help("use `drop_oldest`, or give it a receiver of its own");
        diagnostics.push(match root.locate(&path) {
            Some((location, _)) => warning.at(&location),
            None => warning,
        });
    }
}

/// The other exporters that share a receiver with `exporter`, in the order of the pipelines.
fn siblings<'a>(exporter: &str, pipelines: &'a [PipelinePlan]) -> Vec<&'a str> {
    let its_own = pipelines.iter().filter(|pipeline| pipeline.exporters.iter().any(|id| id == exporter));
    let receivers: Vec<&String> = its_own.flat_map(|pipeline| &pipeline.receivers).collect();
    let mut found = Vec::new();
    for pipeline in pipelines.iter().filter(|pipeline| pipeline.receivers.iter().any(|id| receivers.contains(&id))) {
        for id in &pipeline.exporters {
            if id != exporter && !found.contains(&id.as_str()) {
                found.push(id.as_str());
            }
        }
    }
    found
}

fn list(ids: &[&str]) -> String {
    ids.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ")
}
