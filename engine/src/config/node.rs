//! The configuration as a tree that remembers where everything stands.

use std::fmt;
use std::sync::Arc;

use super::location::Location;
use super::path::{NodePath, Segment};

/// A value of the configuration, with its place.
#[derive(Clone)]
pub struct Node {
    pub(super) location: Location,
    pub(super) value: Value,
    /// The text that a substitution gave for this whole value. It is what a text field gets, whatever else it parses
    /// as.
    pub(super) text: Option<Arc<str>>,
    /// The references that the value came from, such as `${env:NAME}`, when it must never be printed.
    pub(super) origin: Option<Arc<str>>,
    /// The environment variable that the whole value comes from, set or not.
    pub(super) variable: Option<Arc<str>>,
    /// The file whose content the whole value is.
    pub(super) file: Option<Arc<str>>,
}

/// What a node holds.
#[derive(Clone)]
pub enum Value {
    /// Nothing, or `null`.
    Null,
    /// A number, a truth value or text.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Node>),
    /// Keys and values in the order of the file; no key twice.
    Mapping(Vec<Entry>),
    /// A substitution that failed. It counts only where the value is needed.
    Unresolved(Unresolved),
}

/// A scalar as written.
#[derive(Clone, PartialEq)]
pub struct Scalar {
    /// The text, without quotes.
    pub text: String,
    /// True for text that cannot be a number or truth value, such as text in quotes.
    pub quoted: bool,
}

/// One key of a mapping with its value.
#[derive(Clone)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_location: Location,
    /// The value.
    pub value: Node,
}

/// Why a substitution failed, kept at the place of the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unresolved {
    /// What failed.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// False where the value is only checked, not used: then it stands for the default.
    pub counts: bool,
}

impl Node {
    pub(super) fn new(location: Location, value: Value) -> Node {
        Node { location, value, text: None, origin: None, variable: None, file: None }
    }

    /// Where a diagnostic about this value should point: the value itself, or the key of a value that is empty or
    /// starts on a later line.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// True when both hold the same, wherever they stand and whether it was substituted or not. The order of keys does
    /// not matter.
    pub fn means_the_same(&self, other: &Node) -> bool {
        let same_list = |ours: &[Node], theirs: &[Node]| {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| ours.means_the_same(theirs))
        };
        match (&self.value, &other.value) {
            (Value::Null, Value::Null) => self.text == other.text,
            (Value::Scalar(ours), Value::Scalar(theirs)) => ours == theirs && self.text == other.text,
            (Value::Sequence(ours), Value::Sequence(theirs)) => same_list(ours, theirs),
            (Value::Mapping(ours), Value::Mapping(theirs)) => {
                let same = |entry: &Entry| other.get(&entry.key).is_some_and(|value| entry.value.means_the_same(value));
                ours.len() == theirs.len() && ours.iter().all(same)
            }
            (Value::Unresolved(ours), Value::Unresolved(theirs)) => ours == theirs,
            _ => false,
        }
    }

    /// What it holds.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The references such as `${env:NAME}` that the value came from, if its text came from outside the file. Such a
    /// value must not be printed; print this instead.
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// The environment variable that decides this whole value: the name in `${env:NAME}` or `${env:NAME:-default}`,
    /// also while it is not set and the default counts.
    pub fn variable(&self) -> Option<&str> {
        self.variable.as_deref()
    }

    /// True for nothing or `null`.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// The entries of a mapping; none for anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; none for anything else.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::Sequence(items) => items,
            _ => &[],
        }
    }

    /// The entry of a key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The value at a path below this node. A number finds a list's item too.
    pub fn find(&self, path: &NodePath) -> Option<&Node> {
        path.segments().iter().try_fold(self, Node::step)
    }

    fn step<'a>(&'a self, segment: &Segment) -> Option<&'a Node> {
        match (segment, &self.value) {
            (Segment::Index(index), _) => self.items().get(*index),
            (Segment::Key(key), Value::Sequence(items)) => items.get(key.parse::<usize>().ok()?),
            (Segment::Key(key), _) => self.get(key),
        }
    }

    /// The place of a path below this node, and the value if there is one; else the key of its nearest parent that
    /// exists. `None` where no part of the path exists.
    pub fn locate(&self, path: &NodePath) -> Option<(Location, Option<&Node>)> {
        let mut node = self;
        let mut parent = None;
        for segment in path.segments() {
            let Some(next) = node.step(segment) else { return Some((parent?, None)) };
            parent = Some(match segment {
                Segment::Key(key) => node.entry(key).map_or_else(|| next.location.clone(), |e| e.key_location.clone()),
                Segment::Index(_) => next.location.clone(),
            });
            node = next;
        }
        Some((node.location.clone(), Some(node)))
    }

    /// A copy in which failed substitutions stand for the default: for settings that are checked but not used.
    #[must_use]
    pub fn without_unresolved(&self) -> Node {
        let mut node = self.clone();
        node.forgive();
        node
    }

    fn forgive(&mut self) {
        match &mut self.value {
            Value::Unresolved(failure) => failure.counts = false,
            Value::Sequence(items) => items.iter_mut().for_each(Node::forgive),
            Value::Mapping(entries) => entries.iter_mut().for_each(|entry| entry.value.forgive()),
            Value::Null | Value::Scalar(_) => {}
        }
    }

    /// Keeps the value out of every source line that is printed.
    pub(super) fn hide(&self) {
        if !self.is_null() {
            self.location.mark_secret();
        }
    }

    /// The text that a text field would get.
    pub(super) fn as_text(&self) -> Option<&str> {
        match (&self.text, &self.value) {
            (Some(text), _) => Some(text),
            (None, Value::Scalar(scalar)) => Some(&scalar.text),
            _ => None,
        }
    }

    pub(super) fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Node)) {
        visit(self);
        self.items().iter().for_each(|item| item.walk(visit));
        self.entries().iter().for_each(|entry| entry.value.walk(visit));
    }
}

impl fmt::Debug for Node {
    /// Kind and place only: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.value {
            Value::Null => "null",
            Value::Scalar(_) => "scalar",
            Value::Sequence(_) => "list",
            Value::Mapping(_) => "mapping",
            Value::Unresolved(_) => "unresolved",
        };
        write!(f, "{kind} at {}", self.location)
    }
}
