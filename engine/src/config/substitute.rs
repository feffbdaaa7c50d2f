//! Substitution into the leaves of a parsed tree.

use std::sync::Arc;

use super::environment::Environment;
use super::expand::{Expanded, Expander, variable_of};
use super::location::Location;
use super::node::{Node, Scalar, Value};
use super::parse;
use super::scalar::{self, Core};

/// Replaces every reference in the values of a tree; keys stay as they are.
///
/// A value that is one reference becomes what its text means in YAML, so that a list or a number may come from outside,
/// and keeps the text for fields that want text. A reference within a longer text gives text. One that fails leaves
/// [`Value::Unresolved`] in its place: it counts only where the value is decoded.
pub fn substitute(node: Node, environment: &dyn Environment) -> Node {
    walk(node, &mut Expander::new(environment))
}

fn walk(mut node: Node, expander: &mut Expander<'_>) -> Node {
    match node.value {
        Value::Scalar(scalar) if scalar.text.contains('$') => return leaf(node.location, &scalar, expander),
        Value::Sequence(items) => {
            node.value = Value::Sequence(items.into_iter().map(|item| walk(item, expander)).collect());
        }
        Value::Mapping(mut entries) => {
            for entry in &mut entries {
                let empty = Node::new(entry.key_location.clone(), Value::Null);
                entry.value = walk(std::mem::replace(&mut entry.value, empty), expander);
            }
            node.value = Value::Mapping(entries);
        }
        value => node.value = value,
    }
    node
}

fn leaf(location: Location, scalar: &Scalar, expander: &mut Expander<'_>) -> Node {
    let expanded = match expander.expand(&scalar.text) {
        Ok(expanded) => expanded,
        Err(failure) => return Node::new(location, Value::Unresolved(failure)),
    };
    let origin = origin(&expanded);
    let text = |text| Value::Scalar(Scalar { text, quoted: true });
    if !expanded.whole {
        let mut node = Node::new(location, text(expanded.text));
        node.origin = origin;
        return node;
    }
    // A text such as `#abc` reads as nothing, but is not.
    let is_nothing = scalar::resolve(expanded.text.trim()) == Core::Null;
    let parsed = parse::parse_fragment(&expanded.text, &location).filter(|node| is_nothing || !node.is_null());
    let mut node = parsed.unwrap_or_else(|| Node::new(location, text(expanded.text.clone())));
    mark(&mut node, origin.as_ref());
    node.text = Some(expanded.text.into());
    node.file = expanded.file.map(Into::into);
    node.variable = variable_of(&scalar.text).map(Into::into);
    node
}

/// The references as one text, or nothing where all of the text is the file's own.
fn origin(expanded: &Expanded) -> Option<Arc<str>> {
    let mut references = expanded.origins.clone();
    references.dedup();
    (!references.is_empty()).then(|| references.concat().into())
}

fn mark(node: &mut Node, origin: Option<&Arc<str>>) {
    node.origin = origin.cloned();
    match &mut node.value {
        Value::Sequence(items) => items.iter_mut().for_each(|item| mark(item, origin)),
        Value::Mapping(entries) => entries.iter_mut().for_each(|entry| mark(&mut entry.value, origin)),
        Value::Null | Value::Scalar(_) | Value::Unresolved(_) => {}
    }
}
