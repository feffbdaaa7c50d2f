//! The top level of a configuration.

use super::super::diagnostic::{Diagnostic, Diagnostics};
use super::super::node::{Entry, Node, Value};
use super::super::path::NodePath;
use super::super::suggest;
use super::service;

/// The keys of the top level.
pub(super) const KEYS: [&str; 5] = ["receivers", "processors", "exporters", "extensions", "service"];

/// The sections that are there.
pub(super) struct Top<'a> {
    pub receivers: Option<&'a Node>,
    pub processors: Option<&'a Node>,
    pub exporters: Option<&'a Node>,
    pub extensions: Option<&'a Node>,
    pub service: Option<&'a Node>,
}

/// Finds the sections; `None` where there is nothing to find them in.
pub(super) fn read<'a>(root: &'a Node, diagnostics: &mut Diagnostics) -> Option<Top<'a>> {
    let whole = |message: &str| {
        let help = "it needs receivers, exporters and service";
        Diagnostic::error(message).at(root.location()).with_help(help)
    };
    match root.value() {
        Value::Mapping(entries) if !entries.is_empty() => {}
        Value::Mapping(_) | Value::Null => {
            diagnostics.push(whole("the configuration is empty"));
            return None;
        }
        _ => {
            diagnostics.push(whole("the configuration is not a mapping of sections"));
            return None;
        }
    }
    check_keys(root, &NodePath::root(), &KEYS, diagnostics);
    for needed in ["receivers", "exporters", "service"] {
        let entry = section(root, needed);
        let is_spread = needed == "service" && root.entries().iter().any(|entry| is_of_service(&entry.key));
        if entry.is_none_or(|entry| entry.value.is_null()) && !is_spread {
            let message = format!("there is no `{needed}` section");
            let location = entry.map_or(root.location(), |entry| &entry.key_location);
            diagnostics.push(Diagnostic::error(message).at(location).with_help(format!("add `{needed}:`")));
        }
    }
    let value = |key| section(root, key).map(|entry| &entry.value);
    Some(Top {
        receivers: value("receivers"),
        processors: value("processors"),
        exporters: value("exporters"),
        extensions: value("extensions"),
        service: value("service"),
    })
}

/// A section, also where its indentation puts it into another one, which counts it as a component of an unknown type.
fn section<'a>(root: &'a Node, key: &str) -> Option<&'a Entry> {
    entry(root, key, &KEYS).or_else(|| KEYS.iter().find_map(|other| root.get(other)?.entry(key)))
}

/// A key that stands at the top level and belongs below `service`.
fn is_of_service(key: &str) -> bool {
    !KEYS.contains(&key) && service::KEYS.contains(&key)
}

/// The entry of `key`, one of `valid`. Where it is missing, the one whose unknown key was probably meant to be it: that error is
/// reported, and what would follow from the lack is not.
pub(super) fn entry<'a>(node: &'a Node, key: &str, valid: &[&str]) -> Option<&'a Entry> {
    let is_meant = |entry: &&Entry| {
        !valid.contains(&entry.key.as_str()) && suggest::nearest(&entry.key, valid.iter().copied()) == Some(key)
    };
    node.entry(key).or_else(|| node.entries().iter().find(is_meant))
}

/// Reports every key of a mapping that is none of `valid`.
pub(super) fn check_keys(node: &Node, path: &NodePath, valid: &[&str], diagnostics: &mut Diagnostics) {
    for entry in node.entries().iter().filter(|entry| !valid.contains(&entry.key.as_str())) {
        if let Some(origin) = node.origin() {
            let error = Diagnostic::error(format!("unknown key in the value of `{origin}`")).at(&entry.key_location);
            diagnostics.push(error.about(path.clone()).with_help(suggest::list("valid keys", valid)));
            continue;
        }
        let error = match entry.key.as_str() {
            "connectors" if path.is_root() => Diagnostic::error("connectors are not supported")
                .with_help("let a receiver feed several pipelines instead"),
            key if path.is_root() && is_of_service(key) => {
                Diagnostic::error(format!("unknown key `{key}`")).with_help("it belongs below `service`")
            }
            key => {
                let help = suggest::help(key, "valid keys", valid);
                Diagnostic::error(format!("unknown key `{}`", key.escape_debug())).with_help(help)
            }
        };
        diagnostics.push(error.at(&entry.key_location).about(path.key(&entry.key)));
    }
}

/// A section or pipeline must be a mapping; nothing at all is one without entries.
pub(super) fn check_mapping(node: &Node, path: &NodePath, diagnostics: &mut Diagnostics) -> bool {
    let error = match node.value() {
        Value::Mapping(_) | Value::Null => return true,
        Value::Unresolved(failure) if !failure.counts => return true,
        Value::Unresolved(failure) => unresolved(failure),
        Value::Sequence(_) => Diagnostic::error("expected a mapping, found a list")
            .with_help("write each as a key, such as `name:`, without `-` and brackets"),
        Value::Scalar(_) => Diagnostic::error("expected a mapping, found text or a number"),
    };
    diagnostics.push(error.at(node.location()).about(path.clone()));
    false
}

/// The diagnostic of a failed substitution, without its place.
pub(super) fn unresolved(failure: &super::super::Unresolved) -> Diagnostic {
    let error = Diagnostic::error(failure.message.clone());
    match &failure.help {
        Some(help) => error.with_help(help.clone()),
        None => error,
    }
}
