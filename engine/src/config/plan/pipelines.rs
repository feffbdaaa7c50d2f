//! Pipelines and their references to components.

use hornpipe_model::Signal;

use super::super::decode;
use super::super::diagnostic::{Diagnostic, Diagnostics};
use super::super::id::{self, ComponentId};
use super::super::node::{Entry, Node, Value};
use super::super::path::NodePath;
use super::super::suggest;
use super::PipelinePlan;
use super::components::Definitions;
use super::{service, top};

/// The keys of a pipeline.
const KEYS: [&str; 4] = ["receivers", "processors", "exporters", "enabled"];

/// What pipelines may refer to.
pub(super) struct Defined {
    pub receivers: Definitions,
    pub processors: Definitions,
    pub exporters: Definitions,
}

/// Reads the pipelines and returns those that are enabled.
pub(super) fn read(service: Option<&Node>, defined: &Defined, diagnostics: &mut Diagnostics) -> Vec<PipelinePlan> {
    let path = NodePath::of(["service", "pipelines"]);
    let Some(service) = service.filter(|service| !service.entries().is_empty()) else { return Vec::new() };
    let section = top::entry(service, "pipelines", &service::KEYS);
    let location = section.map_or(service.location(), |entry| &entry.key_location);
    let node = section.map(|entry| &entry.value);
    let Some(node) = node.filter(|node| !node.is_null() && !is_empty_mapping(node)) else {
        let help = "add one, such as `metrics: {receivers: [statsd], exporters: [debug]}`";
        diagnostics.push(Diagnostic::error("there is no pipeline").at(location).about(path).with_help(help));
        return Vec::new();
    };
    if !top::check_mapping(node, &path, diagnostics) {
        return Vec::new();
    }
    let mut ids: Vec<String> = Vec::new();
    let mut enabled = Vec::new();
    let mut may_be_enabled = false;
    for entry in node.entries() {
        let shown = match node.origin() {
            Some(origin) => format!("a key in the value of `{origin}`"),
            None => format!("`{}`", entry.key.escape_debug()),
        };
        let path = if node.origin().is_some() { path.clone() } else { path.key(&entry.key) };
        let (signal, id) = match id::parse_pipeline_id(&entry.key) {
            Ok(parsed) => parsed,
            Err(error) => {
                may_be_enabled = true;
                let diagnostic = Diagnostic::error(format!("{shown} is not a pipeline: {error}")).with_help(error.help);
                diagnostics.push(diagnostic.at(&entry.key_location).about(path));
                continue;
            }
        };
        if ids.contains(&id) {
            let error = Diagnostic::error(format!("{shown} is defined twice, but for white space"));
            diagnostics.push(error.at(&entry.key_location).about(path).with_help("give one of the two another name"));
            continue;
        }
        ids.push(id.clone());
        match (Reader { signal, entry, path, defined }).read(id, diagnostics) {
            State::Enabled(pipeline) => enabled.push(pipeline),
            State::Disabled => {}
            State::Unknown => may_be_enabled = true,
        }
    }
    if enabled.is_empty() && !may_be_enabled {
        let error = Diagnostic::error("no pipeline is enabled").at(location).about(path);
        diagnostics.push(error.with_help("set `enabled: true` on one, or remove the key"));
    }
    enabled
}

/// True for an empty list, an empty text and nothing.
fn names_nothing(node: &Node) -> bool {
    match node.value() {
        Value::Null => true,
        Value::Sequence(items) => items.is_empty(),
        Value::Scalar(scalar) => scalar.text.trim().is_empty(),
        Value::Mapping(_) | Value::Unresolved(_) => false,
    }
}

fn is_empty_mapping(node: &Node) -> bool {
    matches!(node.value(), Value::Mapping(entries) if entries.is_empty())
}

enum State {
    Enabled(PipelinePlan),
    Disabled,
    /// `enabled` could not be read.
    Unknown,
}

/// Reads one pipeline.
struct Reader<'a> {
    signal: Signal,
    entry: &'a Entry,
    path: NodePath,
    defined: &'a Defined,
}

impl Reader<'_> {
    fn read(&self, id: String, diagnostics: &mut Diagnostics) -> State {
        let node = &self.entry.value;
        if !top::check_mapping(node, &self.path, diagnostics) {
            return State::Unknown;
        }
        top::check_keys(node, &self.path, &KEYS, diagnostics);
        let enabled = match node.get("enabled").filter(|value| !value.is_null()) {
            None => Some(true),
            Some(value) => decode::<bool>(value, &self.path.key("enabled").to_string(), diagnostics),
        };
        let is_used = enabled != Some(false);
        let pipeline = PipelinePlan {
            id,
            signal: self.signal,
            receivers: self.references(&self.defined.receivers, is_used, is_used, diagnostics),
            processors: self.references(&self.defined.processors, is_used, false, diagnostics),
            exporters: self.references(&self.defined.exporters, is_used, is_used, diagnostics),
        };
        match enabled {
            Some(true) => State::Enabled(pipeline),
            Some(false) => State::Disabled,
            None => State::Unknown,
        }
    }

    /// The ids of one list that are defined.
    fn references(
        &self,
        defined: &Definitions,
        is_used: bool,
        is_needed: bool,
        diagnostics: &mut Diagnostics,
    ) -> Vec<String> {
        let key = defined.section;
        let path = self.path.key(key);
        let entry = top::entry(&self.entry.value, key, &KEYS);
        let found = entry.map(|Entry { value, .. }| if is_used { value.clone() } else { value.without_unresolved() });
        let references = found.as_ref().and_then(|node| read_references(node, &path, diagnostics));
        if is_needed && found.as_ref().is_none_or(names_nothing) {
            let kind = defined.kind();
            let location = found.as_ref().map_or(&self.entry.key_location, Node::location);
            let names: Vec<&str> = defined.items.iter().map(|item| item.id.as_str()).collect();
            let error = Diagnostic::error(format!("the pipeline has no {kind}")).at(location).about(path.clone());
            diagnostics.push(error.with_help(suggest::list(&format!("defined {key}"), &names)));
        }
        let mut ids: Vec<String> = Vec::new();
        // What comes from outside need not make sense while the pipeline is off.
        let counts = |reference: &Reference<'_>| is_used || reference.node.origin().is_none();
        for reference in references.unwrap_or_default().into_iter().filter(counts) {
            match self.check(&reference, defined, &ids) {
                Ok(id) => ids.push(id),
                Err(error) => diagnostics.push(error.at(reference.node.location()).about(reference.path.clone())),
            }
        }
        ids
    }

    fn check(&self, reference: &Reference<'_>, defined: &Definitions, before: &[String]) -> Result<String, Diagnostic> {
        let kind = defined.kind();
        let id = reference.id();
        let shown = reference.shown();
        let Some(definition) = defined.items.iter().find(|definition| definition.id == id) else {
            if defined.may_have(&id) {
                return Ok(id);
            }
            let error = Diagnostic::error(format!("{kind} {shown} is not defined"));
            return Err(error.with_help(self.undefined_help(reference, &id, defined)));
        };
        if before.contains(&id) {
            return Err(Diagnostic::error(format!("{kind} {shown} is listed twice")).with_help("list it once"));
        }
        match definition.signals {
            Some(signals) if !signals.contains(&self.signal) => {
                let supported: Vec<&str> = signals.iter().map(|signal| signal.as_str()).collect();
                let error = Diagnostic::error(format!("{kind} {shown} does not support {}", self.signal.as_str()));
                Err(error.with_help(suggest::list("it supports", &supported)))
            }
            _ => Ok(id),
        }
    }

    fn undefined_help(&self, reference: &Reference<'_>, id: &str, defined: &Definitions) -> String {
        let names: Vec<&str> = defined.items.iter().map(|item| item.id.as_str()).collect();
        let label = format!("defined {}", defined.section);
        if reference.node.origin().is_some() {
            return suggest::list(&label, &names);
        }
        let others = [&self.defined.receivers, &self.defined.processors, &self.defined.exporters];
        if let Some(other) = others.into_iter().find(|other| other.items.iter().any(|item| item.id == id)) {
            return format!("`{id}` is defined under {}; {}", other.section, suggest::list(&label, &names));
        }
        let type_name = id.split('/').next().unwrap_or_default();
        match suggest::nearest(id, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if defined.types.contains(&type_name) => format!("add `{id}:` under `{}`", defined.section),
            None => suggest::list(&label, &names),
        }
    }
}

impl Definitions {
    /// True where an id that is not defined follows from an error of its own: nothing can be read, or the type of the one that was
    /// probably meant is not known.
    pub(super) fn may_have(&self, id: &str) -> bool {
        let (wanted, name) = halves(id);
        let unknown = self.items.iter().filter(|item| item.signals.is_none()).map(|item| item.id.as_str());
        let is_meant = |(kind, other): (&str, &str)| other == name && suggest::nearest(wanted, [kind]).is_some();
        !self.is_readable || unknown.map(halves).any(is_meant)
    }

    /// `receiver`, `processor` or `exporter`.
    fn kind(&self) -> &'static str {
        self.section.trim_end_matches('s')
    }
}

/// Type and name of an id.
fn halves(id: &str) -> (&str, &str) {
    id.split_once('/').unwrap_or((id, ""))
}

/// A name in a list, with its place.
pub(super) struct Reference<'a> {
    pub node: &'a Node,
    text: &'a str,
    pub path: NodePath,
    /// Its place in the list, from 1.
    number: usize,
}

impl Reference<'_> {
    /// The id as definitions spell it.
    pub fn id(&self) -> String {
        ComponentId::parse(self.text).map_or_else(|_| self.text.to_owned(), |id| id.to_string())
    }

    /// The reference as it may be printed.
    pub fn shown(&self) -> String {
        match self.node.origin() {
            Some(origin) => format!("number {} of `{origin}`", self.number),
            None => format!("`{}`", self.text.escape_debug()),
        }
    }
}

/// The names of a list, or of a text with commas; `None` where it is neither.
pub(super) fn read_references<'a>(
    node: &'a Node,
    path: &NodePath,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<Reference<'a>>> {
    let mut references = Vec::new();
    let items: Vec<(&Node, NodePath)> = match node.value() {
        Value::Null => return Some(references),
        Value::Unresolved(failure) if !failure.counts => return Some(references),
        Value::Unresolved(failure) => {
            diagnostics.push(top::unresolved(failure).at(node.location()).about(path.clone()));
            return None;
        }
        Value::Mapping(_) => {
            let error = Diagnostic::error("expected a list, found a mapping").at(node.location());
            diagnostics.push(error.about(path.clone()).with_help("write `[a, b]`"));
            return None;
        }
        Value::Scalar(_) => {
            let texts = node.as_text().unwrap_or_default().split(',').map(str::trim).filter(|text| !text.is_empty());
            let reference = |(at, text)| Reference { node, text, path: path.clone(), number: at + 1 };
            return Some(texts.enumerate().map(reference).collect());
        }
        Value::Sequence(items) => {
            // Below a value from outside, paths end at the value.
            let at = |index| if node.origin().is_some() { path.clone() } else { path.index(index) };
            items.iter().enumerate().map(|(index, item)| (item, at(index))).collect()
        }
    };
    for (at, (item, path)) in items.into_iter().enumerate() {
        match (item.value(), item.as_text()) {
            (Value::Unresolved(failure), _) if !failure.counts => {}
            (Value::Unresolved(failure), _) => {
                diagnostics.push(top::unresolved(failure).at(item.location()).about(path));
            }
            (Value::Scalar(_), Some(text)) => references.push(Reference { node: item, text, path, number: at + 1 }),
            _ => diagnostics.push(Diagnostic::error("expected a component's id").at(item.location()).about(path)),
        }
    }
    Some(references)
}
