//! `sending_queue.storage`: the extension that keeps an exporter's queues.

use super::super::diagnostic::{Diagnostic, Diagnostics};
use super::super::node::Node;
use super::super::path::NodePath;
use super::super::suggest;
use super::Planned;
use crate::component::{ExporterConfig, ExtensionConfig};

/// Adds an error for every exporter that names a storage which is none, or which does not run.
pub(super) fn check(
    root: &Node,
    exporters: &[Planned<dyn ExporterConfig>],
    extensions: &[Planned<dyn ExtensionConfig>],
    diagnostics: &mut Diagnostics,
) {
    let stores = |known: &&Planned<dyn ExtensionConfig>| known.config.storage().is_some();
    let storages: Vec<&str> = extensions.iter().filter(stores).map(|known| known.id.as_str()).collect();
    for Planned { id, config, .. } in exporters {
        let queue = config.delivery().sending_queue;
        let Some(wanted) = queue.extension().filter(|wanted| !storages.contains(wanted)) else { continue };
        let path = NodePath::of(["exporters", id, "sending_queue", "storage"]);
        let place = root.locate(&path);
        // What comes from outside is not to be printed, not even by what is near it.
        let is_own = place.as_ref().and_then(|(_, node)| node.as_ref()).is_none_or(|node| node.origin().is_none());
        let shown = if is_own { format!("`{wanted}`") } else { "this".to_owned() };
        let message = format!("{shown} is no storage that runs");
        let help = match suggest::nearest(wanted, storages.iter().copied()).filter(|_| is_own) {
            Some(near) => format!("did you mean `{near}`?"),
            None if storages.is_empty() => {
                "write `none`, or define a `file_storage` extension and add it to `service.extensions`".to_owned()
            }
            None => suggest::list("storages", &storages),
        };
        let error = Diagnostic::error(message).about(path).with_help(help);
        diagnostics.push(match place {
            Some((location, _)) => error.at(&location),
            None => error,
        });
    }
}
