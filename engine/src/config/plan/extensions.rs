//! `service.extensions`: which of the extensions run, in the order in which they start.

use super::super::diagnostic::{Diagnostic, Diagnostics};
use super::super::node::{Entry, Node};
use super::super::path::NodePath;
use super::super::suggest;
use super::components::Definitions;
use super::pipelines::{Reference, read_references};
use super::{service, top};

/// The ids of extensions that are defined and to be run.
pub(super) fn read(service: Option<&Node>, defined: &Definitions, diagnostics: &mut Diagnostics) -> Vec<String> {
    let Some(Entry { value: node, .. }) = service.and_then(|node| top::entry(node, "extensions", &service::KEYS))
    else {
        return Vec::new();
    };
    let path = NodePath::of(["service", "extensions"]);
    let mut ids: Vec<String> = Vec::new();
    for reference in read_references(node, &path, diagnostics).unwrap_or_default() {
        match check(&reference, defined, &ids) {
            Ok(id) => ids.push(id),
            Err(error) => diagnostics.push(error.at(reference.node.location()).about(reference.path.clone())),
        }
    }
    ids
}

fn check(reference: &Reference<'_>, defined: &Definitions, before: &[String]) -> Result<String, Diagnostic> {
    let (id, shown) = (reference.id(), reference.shown());
    if !defined.items.iter().any(|item| item.id == id) && !defined.may_have(&id) {
        let names: Vec<&str> = defined.items.iter().map(|item| item.id.as_str()).collect();
        let error = Diagnostic::error(format!("extension {shown} is not defined"));
        // What comes from outside is not to be printed, not even by what is near it.
        let is_own = reference.node.origin().is_none();
        let near = suggest::nearest(&id, names.iter().copied()).filter(|_| is_own);
        let type_name = id.split('/').next().unwrap_or_default();
        return Err(error.with_help(match near {
            Some(near) => format!("did you mean `{near}`?"),
            None if is_own && defined.types.contains(&type_name) => format!("add `{id}:` under `extensions`"),
            None => suggest::list("defined extensions", &names),
        }));
    }
    if before.contains(&id) {
        return Err(Diagnostic::error(format!("extension {shown} is listed twice")).with_help("list it once"));
    }
    Ok(id)
}
