//! The sections that define components.

use std::collections::HashSet;

use hornpipe_model::Signal;

use super::super::diagnostic::{Diagnostic, Diagnostics};
use super::super::id::ComponentId;
use super::super::node::{Entry as NodeEntry, Node};
use super::super::path::NodePath;
use super::super::report::Report;
use super::super::suggest;
use super::Planned;
use super::top;
use crate::registry::Entry;

/// Processors that stand in almost every file of the Collector, and what does their work here.
const NOT_NEEDED: [(&str, &str); 2] = [
    (
        "batch",
        "take it out, here and in the pipelines: exporters make batches by themselves, as `sending_queue.batch` says",
    ),
    (
        "memory_limiter",
        "take it out, here and in the pipelines: memory is bounded by itself, and by `service.memory_limit`",
    ),
];

/// A section such as `receivers`, with what it defines.
pub(super) struct Section<'a, C: ?Sized> {
    name: &'static str,
    components: Vec<Component<'a, C>>,
    /// False where it is no mapping.
    is_readable: bool,
}

struct Component<'a, C: ?Sized> {
    id: String,
    node: &'a Node,
    path: NodePath,
    /// Nothing where the type is not known.
    entry: Option<&'a Entry<C>>,
}

/// What pipelines may refer to.
pub(super) struct Definitions {
    pub section: &'static str,
    pub items: Vec<Definition>,
    /// False where nobody can tell what is defined.
    pub is_readable: bool,
    /// Every type that could be defined.
    pub types: Vec<&'static str>,
}

pub(super) struct Definition {
    pub id: String,
    /// Nothing where the type is not known.
    pub signals: Option<&'static [Signal]>,
}

impl<'a, C: ?Sized> Section<'a, C> {
    /// Reads the definitions of a section, settings untouched.
    pub fn read(
        name: &'static str,
        node: Option<&'a Node>,
        types: &'a [Entry<C>],
        diagnostics: &mut Diagnostics,
    ) -> Section<'a, C> {
        let mut section = Section { name, components: Vec::new(), is_readable: true };
        let path = NodePath::of([name]);
        if let Some(node) = node {
            section.is_readable = top::check_mapping(node, &path, diagnostics);
            for entry in node.entries() {
                match section.component(node, entry, types) {
                    Ok(component) => {
                        if component.entry.is_none() {
                            let id = entry.key.split('/').next().unwrap_or_default().trim();
                            let error = unknown_type(name, id, node.origin(), types).at(&entry.key_location);
                            diagnostics.push(error.about(component.path.clone()));
                        }
                        section.components.push(component);
                    }
                    Err(error) => diagnostics.push(error.at(&entry.key_location).about(path.clone())),
                }
            }
        }
        section
    }

    fn component(
        &self,
        holder: &Node,
        entry: &'a NodeEntry,
        types: &'a [Entry<C>],
    ) -> Result<Component<'a, C>, Diagnostic> {
        let shown = shown(&entry.key, holder.origin());
        let id = ComponentId::parse(&entry.key)
            .map_err(|error| Diagnostic::error(format!("{shown} is not an id: {error}")).with_help(error.help))?;
        let text = id.to_string();
        if self.components.iter().any(|known| known.id == text) {
            let error = Diagnostic::error(format!("{shown} is defined twice, but for white space"));
            return Err(error.with_help("remove one of the two, or give it another name"));
        }
        let found = |known: &&Entry<C>| known.name == id.type_name() || known.aliases.contains(&id.type_name());
        let path = match holder.origin() {
            Some(_) => NodePath::of([self.name]),
            None => NodePath::of([self.name, &text]),
        };
        Ok(Component { node: &entry.value, path, entry: types.iter().find(found), id: text })
    }

    /// What pipelines may refer to.
    pub fn definitions(&self, types: &[Entry<C>]) -> Definitions {
        let item = |component: &Component<'_, C>| Definition {
            id: component.id.clone(),
            signals: component.entry.map(|entry| entry.signals),
        };
        Definitions {
            section: self.name,
            is_readable: self.is_readable,
            items: self.components.iter().map(item).collect(),
            types: types.iter().flat_map(|entry| entry.aliases.iter().chain([&entry.name])).copied().collect(),
        }
    }

    /// Decodes all settings, and validates and keeps those that are used.
    pub fn decode(
        self,
        used: &HashSet<&str>,
        validate: fn(&C, &mut Report),
        diagnostics: &mut Diagnostics,
    ) -> Vec<Planned<C>> {
        let mut planned = Vec::new();
        for Component { id, node, path, entry } in self.components {
            let Some(entry) = entry else { continue };
            let path = path.to_string();
            if !used.contains(id.as_str()) {
                (entry.decode)(&node.without_unresolved(), &path, diagnostics);
                continue;
            }
            if let Some(config) = (entry.decode)(node, &path, diagnostics) {
                let mut report = Report::new();
                validate(&config, &mut report);
                report.into_diagnostics(node, &path, diagnostics);
                planned.push(Planned { id, config, settings: node.clone() });
            }
        }
        planned
    }
}

/// A key as it may be printed.
fn shown(key: &str, origin: Option<&str>) -> String {
    match origin {
        Some(origin) => format!("a key in the value of `{origin}`"),
        None => format!("`{}`", key.escape_debug()),
    }
}

fn unknown_type<C: ?Sized>(section: &str, name: &str, origin: Option<&str>, types: &[Entry<C>]) -> Diagnostic {
    let kind = section.trim_end_matches('s');
    let names: Vec<&str> = types.iter().map(|entry| entry.name).collect();
    let valid = suggest::list("valid types", &names);
    match origin {
        Some(origin) => Diagnostic::error(format!("unknown {kind} type in the value of `{origin}`")).with_help(valid),
        None => {
            let with_aliases = types.iter().flat_map(|entry| entry.aliases.iter().chain([&entry.name])).copied();
            let not_needed = NOT_NEEDED.iter().find(|(known, _)| section == "processors" && *known == name);
            let help = match (suggest::nearest(name, with_aliases), not_needed) {
                _ if top::KEYS.contains(&name) => format!("this section starts in the same column as `{section}`"),
                (_, Some((_, instead))) => (*instead).to_owned(),
                (Some(near), None) => format!("did you mean `{near}`? {valid}"),
                (None, None) => valid,
            };
            Diagnostic::error(format!("unknown {kind} type `{name}`")).with_help(help)
        }
    }
}
