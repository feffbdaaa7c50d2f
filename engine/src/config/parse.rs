//! YAML text to a [`Node`] tree.
//!
//! `serde_yaml` reads the document, bounds what hostile input can cost and gives positions; here scalars keep their own
//! text, so that what they mean is decided by the field that they are for, not by the parser.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::{Budget, DuplicateKeyPolicy, NonFiniteFloatPolicy, Options, Spanned};

use super::diagnostic::{Diagnostic, Diagnostics};
use super::location::{Location, Source};
use super::node::{Entry, Node, Scalar, Value};
use super::scalar::{self, Core};
use super::syntax;

/// Files larger than this are refused, in bytes.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

/// How deep lists and mappings may nest. The parser recurses, and unoptimised takes 40 KiB of stack for each.
const MAX_DEPTH: usize = 24;

/// How many values a document may have, copies through aliases included.
const MAX_NODES: usize = 100_000;

/// Parses one file. What is wrong with it is added to `diagnostics`; a file with a syntax error gives no tree.
pub fn parse(source: &Arc<Source>, diagnostics: &mut Diagnostics) -> Option<Node> {
    if source.text().len() > MAX_BYTES {
        let message = format!("the file is larger than {} MiB", MAX_BYTES / 1024 / 1024);
        let place = Location::new(source, 1, 1, 0);
        diagnostics.push(Diagnostic::error(message).at(&place).with_help("is this really a configuration file?"));
        return None;
    }
    match serde_yaml::from_str_with_options::<Spanned<Raw>>(source.text(), options()) {
        Ok(raw) => {
            let location = place(source, &raw);
            Some(Builder { source, diagnostics }.node(raw, location))
        }
        Err(error) => {
            diagnostics.push(syntax::explain(source, &error));
            None
        }
    }
}

/// Parses the text of a substitution; `None` where it is not YAML. All places are that of the substitution.
pub(super) fn parse_fragment(text: &str, location: &Location) -> Option<Node> {
    let raw = serde_yaml::from_str_with_options::<Spanned<Raw>>(text, options()).ok()?;
    let source = Source::new("", text, 0);
    let mut diagnostics = Diagnostics::new();
    let place = place(&source, &raw);
    let mut node = Builder { source: &source, diagnostics: &mut diagnostics }.node(raw, place);
    relocate(&mut node, location);
    diagnostics.is_empty().then_some(node)
}

fn relocate(node: &mut Node, location: &Location) {
    node.location = location.clone();
    match &mut node.value {
        Value::Sequence(items) => items.iter_mut().for_each(|item| relocate(item, location)),
        Value::Mapping(entries) => entries.iter_mut().for_each(|entry| {
            entry.key_location = location.clone();
            relocate(&mut entry.value, location);
        }),
        Value::Null | Value::Scalar(_) | Value::Unresolved(_) => {}
    }
}

fn options() -> Options {
    let mut budget = Budget::default();
    budget.max_depth = MAX_DEPTH;
    budget.max_nodes = MAX_NODES;
    budget.max_documents = 2;
    let mut options = Options::default();
    options.budget = Some(budget);
    options.alias_limits.max_total_replayed_events = MAX_NODES;
    options.duplicate_keys = DuplicateKeyPolicy::LastWins;
    options.strict_booleans = true;
    options.non_finite_float_policy = NonFiniteFloatPolicy::PassThrough;
    options.with_snippet = false;
    options
}

/// A value as the parser gives it.
enum Raw {
    Null,
    Text(String),
    /// A number or truth value, as the parser reads it; its own text is in the source.
    Typed(String),
    Sequence(Vec<Spanned<Raw>>),
    Mapping(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Raw, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::Sequence(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Mapping(entries))
    }
}

/// Where a value is defined, its length limited to its line.
fn place(source: &Arc<Source>, raw: &Spanned<Raw>) -> Location {
    let length = match &raw.value {
        Raw::Sequence(_) | Raw::Mapping(_) => 0,
        Raw::Null | Raw::Text(_) | Raw::Typed(_) => {
            slice(source, raw).and_then(|text| text.lines().next()).map_or(0, |line| line.trim_end().chars().count())
        }
    };
    let number = |n: u64| usize::try_from(n).unwrap_or(1);
    Location::new(source, number(raw.defined.line()), number(raw.defined.column()), length)
}

/// The value's own text in the file.
fn slice<'a>(source: &'a Source, raw: &Spanned<Raw>) -> Option<&'a str> {
    let span = raw.defined.span();
    let start = usize::try_from(span.byte_offset()?).ok()?;
    let length = usize::try_from(span.byte_len()?).ok()?;
    source.text().get(start..start.checked_add(length)?)
}

struct Builder<'a> {
    source: &'a Arc<Source>,
    diagnostics: &'a mut Diagnostics,
}

impl Builder<'_> {
    fn node(&mut self, raw: Spanned<Raw>, location: Location) -> Node {
        let own = slice(self.source, &raw);
        let in_quotes = own.is_some_and(|text| text.starts_with(['"', '\'']));
        let value = match raw.value {
            Raw::Null => Value::Null,
            Raw::Typed(parsed) => {
                // A tagged number in quotes has quotes in its source.
                let text = own.filter(|_| !in_quotes).map_or(parsed, str::to_owned);
                Value::Scalar(Scalar { text, quoted: false })
            }
            Raw::Text(text) => {
                // The parser gives a typed-looking scalar as text when quotes, a block or a tag make it text.
                let quoted = in_quotes || scalar::resolve(&text) != Core::Text;
                Value::Scalar(Scalar { text, quoted })
            }
            Raw::Sequence(items) => Value::Sequence(items.into_iter().map(|item| self.item(item)).collect()),
            Raw::Mapping(entries) => Value::Mapping(self.mapping(entries)),
        };
        Node::new(location, value)
    }

    fn item(&mut self, raw: Spanned<Raw>) -> Node {
        let location = place(self.source, &raw);
        self.node(raw, location)
    }

    fn mapping(&mut self, raw: Vec<(Spanned<Raw>, Spanned<Raw>)>) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::with_capacity(raw.len());
        let mut places: HashMap<String, Location> = HashMap::with_capacity(raw.len());
        for (raw_key, raw_value) in raw {
            let key_location = place(self.source, &raw_key);
            let Some(key) = self.key(raw_key, &key_location) else { continue };
            if let Some(first) = places.get(&key) {
                let message = format!("duplicate key `{}`", key.escape_debug());
                let help = format!("it is defined first at {first}; remove one of the two");
                self.diagnostics.push(Diagnostic::error(message).at(&key_location).with_help(help));
                continue;
            }
            let own = place(self.source, &raw_value);
            let starts_later = own.length() == 0 && own.line() != key_location.line();
            let block = matches!(raw_value.value, Raw::Null) || starts_later;
            let value = self.node(raw_value, if block { key_location.clone() } else { own });
            places.insert(key.clone(), key_location.clone());
            entries.push(Entry { key, key_location, value });
        }
        entries
    }

    /// A key as text; numbers and the like are taken as written.
    fn key(&mut self, raw: Spanned<Raw>, location: &Location) -> Option<String> {
        let own = slice(self.source, &raw).map(str::to_owned);
        match raw.value {
            Raw::Text(text) => Some(text),
            Raw::Typed(parsed) => Some(own.unwrap_or(parsed)),
            Raw::Null | Raw::Sequence(_) | Raw::Mapping(_) => {
                let error = Diagnostic::error("a key must be a word or quoted text").at(location);
                self.diagnostics
                    .push(error.with_help("a list or mapping cannot be a key; is a quote or a space missing?"));
                None
            }
        }
    }
}
