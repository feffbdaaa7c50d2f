//! Where receivers listen: of two at one address each would get some of what comes.

use super::super::diagnostic::{Diagnostic, Diagnostics};
use super::super::node::Node;
use super::super::path::NodePath;
use super::Planned;
use crate::component::ReceiverConfig;
use crate::sockets::Place;

/// Adds an error for every option that claims what an option before it does.
pub(super) fn check(root: &Node, receivers: &[Planned<dyn ReceiverConfig>], diagnostics: &mut Diagnostics) {
    let mut claimed: Vec<(NodePath, Place)> = Vec::new();
    for Planned { id, config, .. } in receivers {
        let before = claimed.len();
        for claim in config.claims() {
            let path = NodePath::of(["receivers", id]).join(&NodePath::parse(&claim.option));
            let mut earlier = claimed.iter().filter(|(known, _)| *known != path);
            if let Some((known, _)) = earlier.find(|(_, place)| place.overlaps(&claim.place)) {
                let is_own = claimed.iter().skip(before).any(|(own, _)| own == known);
                diagnostics.push(error(root, &path, known, is_own));
            }
            claimed.push((path, claim.place));
        }
    }
}

fn error(root: &Node, path: &NodePath, known: &NodePath, is_own: bool) -> Diagnostic {
    let place = root.locate(known).map(|(location, _)| format!(" ({location})")).unwrap_or_default();
    let message =
        format!("is where `{known}`{place} listens already: each of the two would miss what the other one gets");
    let help = if is_own {
        "remove one of the two, or give it another address"
    } else {
        "give it another address, or let one receiver feed the pipelines of both"
    };
    let error = Diagnostic::error(message).about(path.clone()).with_help(help);
    match root.locate(path) {
        Some((location, _)) => error.at(&location),
        None => error,
    }
}
