//! What went wrong in one attempt, and how it is told.

use std::fmt;
use std::sync::Arc;

use serde::de::{Error, Expected, Unexpected};

use super::super::diagnostic::Diagnostic;
use super::super::location::Location;
use super::super::mask;
use super::super::node::{Entry, Node, Unresolved, Value};
use super::super::path::NodePath;
use super::super::scalar::{self, Core};
use super::super::suggest;
use super::NodeId;
use super::cursor::Cursor;

/// Found text longer than this is cut when it is printed, in characters.
const LONGEST_FOUND: usize = 60;

/// The first error of an attempt.
#[derive(Debug)]
pub(super) struct DecodeError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    place: Option<Place>,
}

/// What is wrong.
#[derive(Debug)]
pub(super) enum Kind {
    /// The words of a type's own check; a second line is advice.
    Custom(String),
    /// Another type or value is wanted.
    Expected {
        expected: String,
        help: Option<String>,
    },
    UnknownKey {
        key: String,
        valid: &'static [&'static str],
    },
    UnknownVariant {
        name: String,
        valid: &'static [&'static str],
    },
    MissingField(&'static str),
    DuplicateField(&'static str),
    Unresolved(Unresolved),
    /// It follows from an error that is already known.
    Consequence,
}

/// Where it is wrong.
#[derive(Debug)]
pub(super) struct Place {
    pub node: NodeId,
    pub parents: Vec<NodeId>,
    location: Location,
    path: NodePath,
    /// What must be printed in place of the value.
    origin: Option<Arc<str>>,
    /// True when the value must not be printed.
    secret: bool,
    /// True for a value that stands for the default.
    is_default: bool,
    /// The value in words.
    found: String,
    /// The state of the field that the error calls missing.
    field: FieldState,
}

#[derive(Debug, PartialEq, Eq)]
enum FieldState {
    Absent,
    Empty(Location),
    TakenOut,
}

impl DecodeError {
    pub fn new(kind: Kind) -> DecodeError {
        DecodeError(Box::new(Inner { kind, place: None }))
    }

    /// The same at a node, unless its place is known already.
    pub fn at(mut self, cursor: &Cursor<'_>) -> DecodeError {
        if self.0.place.is_some() {
            return self;
        }
        // Where serde buffers a mapping it reports a key only after it has left it.
        if let Kind::UnknownKey { key, .. } = &self.0.kind
            && let Some(entry) = cursor.node.entry(key)
        {
            return self.at_key(&cursor.child(super::cursor::Step::Key(&entry.key), &entry.value), entry);
        }
        let mut place = Place::of(cursor);
        if let Kind::MissingField(field) = self.0.kind
            && let Some(entry) = cursor.node.entry(field)
        {
            let location = entry.key_location.clone();
            place.field = if entry.value.is_null() { FieldState::Empty(location) } else { FieldState::TakenOut };
        }
        self.0.place = Some(place);
        self
    }

    /// The same at the key of an entry, where `cursor` is at its value.
    pub fn at_key(mut self, cursor: &Cursor<'_>, entry: &Entry) -> DecodeError {
        if self.0.place.is_none() {
            if let Kind::UnknownKey { key, valid } = &self.0.kind
                && suggest::nearest(key, valid.iter().copied()).is_some_and(mask::is_secret_key)
            {
                entry.value.hide();
            }
            let origin = cursor.holder().and_then(|node| node.origin.clone());
            let found = match &origin {
                Some(origin) => format!("a key in the value of `{origin}`"),
                None => format!("`{}`", shortened(&entry.key)),
            };
            let location = entry.key_location.clone();
            let is_default = false;
            self.0.place = Some(Place { origin, found, location, is_default, ..Place::of(cursor) });
        }
        self
    }

    /// The error of an item of a text that was tried as a list.
    pub fn wanted_list(mut self) -> DecodeError {
        if let Kind::Expected { .. } = self.0.kind {
            self.0.kind = Kind::Expected { expected: "a list".to_owned(), help: None };
        }
        self
    }

    /// What and where; `None` where no place is known.
    pub fn into_parts(self) -> Option<(Kind, Place)> {
        let Inner { kind, place } = *self.0;
        place.map(|place| (kind, place))
    }
}

impl Place {
    fn of(cursor: &Cursor<'_>) -> Place {
        let path = cursor.path();
        let secret = cursor.secret || mask::is_secret_path(&path);
        if secret {
            cursor.node.hide();
        }
        Place {
            node: NodeId::of(cursor.node),
            parents: cursor.parents(),
            location: cursor.node.location.clone(),
            origin: cursor.node.origin.clone(),
            is_default: cursor.node.is_null() && !cursor.is_root(),
            found: found(cursor.node, secret),
            field: FieldState::Absent,
            secret,
            path,
        }
    }
}

/// A value in words that may be printed.
fn found(node: &Node, secret: bool) -> String {
    if let Some(origin) = &node.origin {
        return format!("the value of `{origin}`");
    }
    let scalar = match &node.value {
        Value::Null | Value::Unresolved(_) => return "nothing".to_owned(),
        Value::Sequence(_) => return "a list".to_owned(),
        Value::Mapping(_) => return "a mapping".to_owned(),
        Value::Scalar(scalar) => scalar,
    };
    let core = scalar::resolve(&scalar.text);
    match (secret, core) {
        (true, Core::Text) => "text".to_owned(),
        (true, Core::Bool(_)) => "a truth value".to_owned(),
        (true, _) => "a number".to_owned(),
        (false, Core::Text) => format!("`{}`", shortened(&scalar.text)),
        (false, _) if scalar.quoted => format!("the text \"{}\"", shortened(&scalar.text)),
        (false, _) => format!("`{}`", shortened(&scalar.text)),
    }
}

fn shortened(text: &str) -> String {
    let text = mask::tokens(text);
    match text.char_indices().nth(LONGEST_FOUND) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

impl Kind {
    /// False for what follows from an error that is known. `is_wounded` says that something was taken out of the value.
    pub fn is_news(&self, place: &Place, is_wounded: bool) -> bool {
        match self {
            Kind::Consequence => false,
            Kind::Unresolved(failure) => failure.counts,
            Kind::MissingField(_) => place.field != FieldState::TakenOut,
            Kind::UnknownKey { .. } => true,
            _ => !place.is_default && !is_wounded,
        }
    }

    pub fn missing_field(&self) -> Option<&'static str> {
        match self {
            Kind::MissingField(field) => Some(field),
            _ => None,
        }
    }

    pub fn diagnostic(self, place: &Place) -> Diagnostic {
        let is_unknown_choice = matches!(self, Kind::UnknownVariant { .. });
        let mut diagnostic = self.words(place).at(&place.location).about(place.path.clone());
        diagnostic.is_unknown_choice = is_unknown_choice;
        if let FieldState::Empty(location) = &place.field {
            diagnostic = diagnostic.at(location);
        }
        diagnostic
    }

    fn words(self, place: &Place) -> Diagnostic {
        let hidden = place.origin.is_some() || place.secret;
        let (message, help) = match self {
            Kind::Unresolved(failure) => (failure.message, failure.help),
            Kind::Custom(_) if hidden => (format!("{} is not accepted here", place.found), None),
            Kind::Custom(words) => advice(words),
            Kind::Expected { expected, help } => {
                let (expected, own_help) = advice(expected);
                let help = help.or(own_help).filter(|_| !hidden);
                (format!("expected {}, found {}", in_our_words(&expected), place.found), help)
            }
            Kind::UnknownKey { key, valid } => return unknown_key(&key, valid, place),
            Kind::UnknownVariant { name, valid } => {
                let help = match hidden {
                    true => suggest::list("valid values", valid),
                    false => suggest::help(&name, "valid values", valid),
                };
                (format!("{} is not a valid value", place.found), Some(help))
            }
            Kind::MissingField(field) => {
                (format!("`{field}` is missing"), Some(format!("it has no default; add `{field}: …`")))
            }
            Kind::DuplicateField(field) => {
                (format!("`{field}` is given twice, under two of its names"), Some("remove one of the two".to_owned()))
            }
            Kind::Consequence => ("the value is not valid".to_owned(), None),
        };
        let diagnostic = Diagnostic::error(message);
        match help {
            Some(help) => diagnostic.with_help(help),
            None => diagnostic,
        }
    }
}

fn unknown_key(key: &str, valid: &[&str], place: &Place) -> Diagnostic {
    if let Some(origin) = &place.origin {
        let message = format!("unknown key in the value of `{origin}`");
        return Diagnostic::error(message).with_help(suggest::list("valid keys", valid));
    }
    let help = match valid {
        [] => "no keys are allowed here".to_owned(),
        valid => suggest::help(key, "valid keys", valid),
    };
    Diagnostic::error(format!("unknown key `{}`", key.escape_debug())).with_help(help)
}

/// Message and advice, where the advice is a second line.
fn advice(words: String) -> (String, Option<String>) {
    match words.split_once('\n') {
        Some((message, help)) => (message.to_owned(), Some(help.to_owned())),
        None => (words, None),
    }
}

/// serde's names for types, where a value was buffered and so never met ours.
fn in_our_words(expected: &str) -> String {
    let range = |least: &str, greatest: String| format!("a whole number from {least} to {greatest}");
    match expected {
        "a string" | "string" | "str" => "text".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a mapping".to_owned(),
        "a boolean" => "`true` or `false`".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "u8" => range("0", u8::MAX.to_string()),
        "u16" => range("0", u16::MAX.to_string()),
        "u32" => range("0", u32::MAX.to_string()),
        "u64" | "usize" => range("0", u64::MAX.to_string()),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        other if other.starts_with("struct ") => "a mapping".to_owned(),
        other => match other.strip_prefix("a tuple of size ").or(other.strip_prefix("an array of length ")) {
            Some(length) => format!("a list of {length}"),
            None => other.to_owned(),
        },
    }
}

impl std::error::Error for DecodeError {}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value is not valid")
    }
}

impl Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> DecodeError {
        DecodeError::new(Kind::Custom(message.to_string()))
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> DecodeError {
        DecodeError::new(Kind::Expected { expected: expected.to_string(), help: None })
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> DecodeError {
        DecodeError::invalid_type(unexpected, expected)
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> DecodeError {
        DecodeError::new(Kind::Expected { expected: expected.to_string(), help: None })
    }

    fn unknown_variant(name: &str, valid: &'static [&'static str]) -> DecodeError {
        DecodeError::new(Kind::UnknownVariant { name: name.to_owned(), valid })
    }

    fn unknown_field(key: &str, valid: &'static [&'static str]) -> DecodeError {
        DecodeError::new(Kind::UnknownKey { key: key.to_owned(), valid })
    }

    fn missing_field(field: &'static str) -> DecodeError {
        DecodeError::new(Kind::MissingField(field))
    }

    fn duplicate_field(field: &'static str) -> DecodeError {
        DecodeError::new(Kind::DuplicateField(field))
    }
}
