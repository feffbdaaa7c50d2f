//! What an action does, ready for use.

use hornpipe_engine::Template;
use regex::Regex;

use crate::labels::{Labels, key_of, tag};

/// A change of labels.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    /// Adds the tags, all of one key, where the key is missing.
    Default { key: String, tags: Vec<String> },
    /// Adds a tag.
    Add { tag: String },
    /// Replaces the tags of a key with one.
    Set { key: String, tag: String },
    /// Removes the tags that are meant.
    Remove(Selection),
    /// Gives the tags of a key another one.
    Rename { from: String, to: String },
    /// Takes tags out of the name.
    Extract(Box<Extraction>),
}

/// Which tags are meant.
#[derive(Clone, Debug)]
pub(crate) enum Selection {
    /// Those of a key.
    Key(String),
    /// This one.
    Exact(String),
    /// Those that match as a whole.
    Pattern(Regex),
}

/// How tags are taken out of a metric's name.
#[derive(Clone, Debug)]
pub(crate) struct Extraction {
    /// Matches the whole name; its named groups become tags.
    pub(crate) pattern: Regex,
    /// The new name.
    pub(crate) name: Option<Template>,
    /// The new unit.
    pub(crate) unit: Option<String>,
    /// A tag's key and its value.
    pub(crate) tag: Option<(String, Template)>,
}

impl Operation {
    /// Carries it out.
    pub(crate) fn apply(&self, labels: &mut Labels) {
        match self {
            Operation::Default { key, tags } => {
                if !labels.has(key) {
                    labels.tags.extend_from_slice(tags);
                }
            }
            Operation::Add { tag } => labels.tags.push(tag.clone()),
            Operation::Set { key, tag } => labels.set(key, tag),
            Operation::Remove(selection) => labels.tags.retain(|tag| !selection.means(tag)),
            Operation::Rename { from, to } => labels.rename(from, to),
            Operation::Extract(extraction) => extraction.apply(labels),
        }
    }
}

impl Selection {
    fn means(&self, tag: &str) -> bool {
        match self {
            Selection::Key(key) => key_of(tag) == key,
            Selection::Exact(exact) => tag == exact,
            Selection::Pattern(pattern) => pattern.is_match(tag),
        }
    }
}

impl Extraction {
    /// A group without text (one of two alternatives) makes no tag, and an empty name is none.
    fn apply(&self, labels: &mut Labels) {
        let Some(name) = labels.name.take() else { return };
        if let Some(groups) = self.pattern.captures(&name) {
            let named = self.pattern.capture_names().flatten();
            let named = named.filter_map(|key| Some((key, groups.name(key)?.as_str().to_owned())));
            let chosen = self.tag.iter().map(|(key, value)| (key.as_str(), value.fill(&groups)));
            let found = named.chain(chosen).filter(|(_, value)| !value.is_empty());
            labels.tags.extend(found.map(|(key, value)| tag(key, &value)));
            if let Some(unit) = &self.unit {
                labels.unit = Some(unit.clone());
            }
            let renamed = self.name.as_ref().map(|name| name.fill(&groups)).filter(|name| !name.is_empty());
            if renamed.is_some() {
                labels.name = renamed;
                return;
            }
        }
        labels.name = Some(name);
    }
}
