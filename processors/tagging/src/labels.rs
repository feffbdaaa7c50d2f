//! What the steps change: a series' name, unit and tags, or the tags of a log source.

use hornpipe_model::Tags;

/// Name, unit and tags, on their way from one context to the next. Made once a context, so plain texts will do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Labels {
    /// The metric's name; `None` for logs.
    pub(crate) name: Option<String>,
    /// The unit that a step asked for.
    pub(crate) unit: Option<String>,
    /// Tags as clients write them, `key:value` or bare.
    pub(crate) tags: Vec<String>,
}

impl Labels {
    /// The labels of a metric (or of logs, without a name). `field` is a tag by key and value that the model keeps apart
    /// from the others; steps see it as the first tag.
    pub(crate) fn new(name: Option<&str>, tags: &Tags, field: (&str, Option<&str>)) -> Self {
        let (key, value) = field;
        let field = value.map(|value| tag(key, value));
        Labels {
            name: name.map(str::to_owned),
            unit: None,
            tags: field.into_iter().chain(tags.iter().map(str::to_owned)).collect(),
        }
    }

    /// True with a tag of that key, bare ones included.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.tags.iter().any(|tag| key_of(tag) == key)
    }

    /// Removes the tags of a key and adds one.
    pub(crate) fn set(&mut self, key: &str, tag: &str) {
        self.tags.retain(|tag| key_of(tag) != key);
        self.tags.push(tag.to_owned());
    }

    /// Gives the tags of a key another one; they join the tags that have it.
    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        for tag in &mut self.tags {
            if key_of(tag) == from {
                tag.replace_range(..from.len(), to);
            }
        }
    }

    /// Takes out the tags that have this key and a value, and returns the last value: what the model keeps apart has one.
    pub(crate) fn take_field(&mut self, key: &str) -> Option<String> {
        let mut last = None;
        self.tags.retain(|tag| match Tags::split(tag) {
            (found, Some(value)) if found == key => {
                last = Some(value.to_owned());
                false
            }
            _ => true,
        });
        last
    }
}

/// A tag of a key and a value.
pub(crate) fn tag(key: &str, value: &str) -> String {
    format!("{key}:{value}")
}

/// A tag's key.
pub(crate) fn key_of(tag: &str) -> &str {
    Tags::split(tag).0
}
