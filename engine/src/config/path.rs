//! Dotted paths, such as `receivers.statsd.aggregation_interval` or `service.pipelines.metrics.exporters[1]`.

use std::fmt;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// A mapping's key.
    Key(String),
    /// A list's item, from 0.
    Index(usize),
}

/// A way through the configuration, from its root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NodePath(Vec<Segment>);

impl NodePath {
    /// The root.
    pub fn root() -> NodePath {
        NodePath::default()
    }

    /// A path of keys, each taken as it is, dots included.
    pub fn of<const N: usize>(keys: [&str; N]) -> NodePath {
        NodePath(keys.into_iter().map(|key| Segment::Key(key.to_owned())).collect())
    }

    /// Reads `a.b[1].c`; a key that holds a dot or a bracket stands in double quotes:
    /// `receivers."statsd/a.b".endpoint`. Never fails: text that does not follow the syntax is taken as a key.
    pub fn parse(text: &str) -> NodePath {
        let mut path = NodePath::root();
        let mut rest = text;
        while !rest.is_empty() {
            rest = path.read_segment(rest);
        }
        path
    }

    /// Reads one segment from the front and returns what is left.
    fn read_segment<'a>(&mut self, text: &'a str) -> &'a str {
        if let Some(quoted) = text.strip_prefix('"')
            && let Some((key, rest)) = quoted.split_once('"')
        {
            self.0.push(Segment::Key(key.to_owned()));
            return rest.strip_prefix('.').unwrap_or(rest);
        }
        if let Some(bracket) = text.strip_prefix('[')
            && let Some((digits, rest)) = bracket.split_once(']')
            && let Ok(index) = digits.parse()
        {
            self.0.push(Segment::Index(index));
            return rest.strip_prefix('.').unwrap_or(rest);
        }
        let end = text.char_indices().skip(1).find(|(_, c)| matches!(c, '.' | '[')).map_or(text.len(), |(at, _)| at);
        let (key, rest) = text.split_at(end);
        self.0.push(Segment::Key(key.to_owned()));
        rest.strip_prefix('.').unwrap_or(rest)
    }

    /// This path with a key appended.
    pub fn key(&self, key: &str) -> NodePath {
        let mut path = self.clone();
        path.0.push(Segment::Key(key.to_owned()));
        path
    }

    /// This path with an index appended.
    pub fn index(&self, index: usize) -> NodePath {
        let mut path = self.clone();
        path.0.push(Segment::Index(index));
        path
    }

    /// This path, continued by another.
    pub fn join(&self, other: &NodePath) -> NodePath {
        NodePath(self.0.iter().chain(&other.0).cloned().collect())
    }

    /// The path of what holds this; nothing at the root.
    pub(super) fn parent(&self) -> Option<NodePath> {
        self.0.split_last().map(|(_, parents)| NodePath(parents.to_vec()))
    }

    /// The steps.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// True for the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// True when `other` lies at this path or below it.
    pub fn contains(&self, other: &NodePath) -> bool {
        other.0.starts_with(&self.0)
    }
}

impl FromIterator<Segment> for NodePath {
    fn from_iter<T: IntoIterator<Item = Segment>>(segments: T) -> NodePath {
        NodePath(segments.into_iter().collect())
    }
}

impl fmt::Display for NodePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) => {
                    let dot = if at == 0 { "" } else { "." };
                    let quote = if key.is_empty() || key.contains(['.', '[', '"']) { "\"" } else { "" };
                    write!(f, "{dot}{quote}{}{quote}", key.escape_debug())?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_back_as_it_was_printed() {
        for text in ["a", "a.b", "a[1].b", "receivers.\"statsd/a.b\".endpoint", "a[0][2]", ""] {
            assert_eq!(NodePath::parse(text).to_string(), text);
        }
    }

    #[test]
    fn text_outside_the_syntax_is_a_key() {
        assert_eq!(NodePath::parse("a[x]").segments().len(), 2);
        assert_eq!(NodePath::parse("[").segments(), [Segment::Key("[".to_owned())]);
        assert_eq!(NodePath::parse("\"").segments(), [Segment::Key("\"".to_owned())]);
    }

    #[test]
    fn a_path_contains_itself_and_what_is_below() {
        let path = NodePath::parse("a.b");
        assert!(path.contains(&NodePath::parse("a.b")));
        assert!(path.contains(&NodePath::parse("a.b[0].c")));
        assert!(!path.contains(&NodePath::parse("a.bc")));
    }
}
