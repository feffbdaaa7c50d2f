//! The serde deserializer over a node.

use serde::de::value::MapDeserializer;
use serde::de::{Deserializer, Visitor};

use super::super::node::{Node, Value};
use super::super::path::{NodePath, Segment};
use super::super::scalar::{self, Core};
use super::super::values::{SECRET, SECRET_FILE, SECRET_TEXT};
use super::access::{EnumChoice, Fields, Items, Shape, SplitItems};
use super::error::{DecodeError, Kind};
use super::{NodeId, TakenOut};

/// A node on its way into a value, with the way that leads to it.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    pub node: &'a Node,
    pub taken_out: &'a TakenOut,
    /// True when what is wanted is a secret.
    pub secret: bool,
    parent: Option<(&'a Cursor<'a>, Step<'a>)>,
    base: &'a NodePath,
}

#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

impl<'a> Cursor<'a> {
    pub fn root(node: &'a Node, base: &'a NodePath, taken_out: &'a TakenOut) -> Cursor<'a> {
        Cursor { node, taken_out, secret: false, parent: None, base }
    }

    pub fn child(&'a self, step: Step<'a>, node: &'a Node) -> Cursor<'a> {
        Cursor { node, parent: Some((self, step)), ..*self }
    }

    pub fn is_root(&self) -> bool {
        self.parent.is_none()
    }

    /// The node that holds this one.
    pub fn holder(&self) -> Option<&'a Node> {
        self.parent.map(|(cursor, _)| cursor.node)
    }

    /// The way from the root, down to where the text came from outside: what lies below must not be printed.
    pub fn path(&self) -> NodePath {
        let mut steps = Vec::new();
        let mut at = self;
        while let Some((parent, step)) = at.parent {
            if parent.node.origin.is_some() {
                steps.clear();
            } else {
                steps.push(match step {
                    Step::Key(key) => Segment::Key(key.to_owned()),
                    Step::Index(index) => Segment::Index(index),
                });
            }
            at = parent;
        }
        self.base.join(&steps.into_iter().rev().collect())
    }

    /// The nodes that hold this one.
    pub fn parents(&self) -> Vec<NodeId> {
        std::iter::successors(self.parent, |(cursor, _)| cursor.parent)
            .map(|(cursor, _)| NodeId::of(cursor.node))
            .collect()
    }

    fn expected(&self, expected: impl Into<String>) -> DecodeError {
        DecodeError::new(Kind::Expected { expected: expected.into(), help: None }).at(self)
    }

    /// A failed substitution fails whatever asks for its value.
    fn resolved(&self) -> Result<(), DecodeError> {
        match &self.node.value {
            Value::Unresolved(failure) => Err(DecodeError::new(Kind::Unresolved(failure.clone())).at(self)),
            _ => Ok(()),
        }
    }

    /// What a plain scalar means; text for all else.
    fn core(&self) -> Core {
        match &self.node.value {
            Value::Scalar(scalar) if !scalar.quoted => scalar::resolve(&scalar.text),
            _ => Core::Text,
        }
    }

    fn visit_int<'de, V: Visitor<'de>>(self, least: i128, greatest: i128, visitor: V) -> Result<V::Value, DecodeError> {
        self.resolved()?;
        match self.core() {
            Core::Int(value) if (least..=greatest).contains(&value) => {
                visit_number(value, visitor).map_err(|error| error.at(&self))
            }
            _ => {
                let expected = format!("a whole number from {least} to {greatest}");
                Err(DecodeError::new(Kind::Expected { expected, help: self.quotes_help() }).at(&self))
            }
        }
    }

    fn float(&self) -> Result<f64, DecodeError> {
        self.resolved()?;
        match self.core() {
            Core::Float(value) => Ok(value),
            #[expect(clippy::cast_precision_loss, reason = "a float field asks for the nearest float")]
            Core::Int(value) => Ok(value as f64),
            _ => {
                Err(DecodeError::new(Kind::Expected { expected: "a number".into(), help: self.quotes_help() }).at(self))
            }
        }
    }

    fn text(&self) -> Result<&'a str, DecodeError> {
        self.resolved()?;
        self.node.as_text().ok_or_else(|| self.expected("text"))
    }

    /// Advice for a number or truth value in quotes.
    fn quotes_help(&self) -> Option<String> {
        match &self.node.value {
            Value::Scalar(scalar) if scalar.quoted && scalar::resolve(&scalar.text) != Core::Text => {
                Some("remove the quotes".to_owned())
            }
            _ => None,
        }
    }

    fn bool_help(&self) -> Option<String> {
        let text = self.node.as_text()?.to_ascii_lowercase();
        match text.as_str() {
            "yes" | "on" | "y" | "1" => Some("write `true`".to_owned()),
            "no" | "off" | "n" | "0" => Some("write `false`".to_owned()),
            _ => self.quotes_help(),
        }
    }

    fn visit_fields<'de, V: Visitor<'de>>(
        self,
        known: Option<&'static [&'static str]>,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.resolved()?;
        match &self.node.value {
            Value::Mapping(_) => visitor.visit_map(Fields::new(&self, known)).map_err(|error| error.at(&self)),
            Value::Null if self.is_root() || known.is_some() => {
                visitor.visit_map(Fields::new(&self, known)).map_err(|error| error.at(&self))
            }
            _ => {
                let key = self.node.as_text().and_then(|text| text.split_once(':')).map(|(key, _)| key);
                let key = key.filter(|key| known.is_some_and(|known| known.contains(key)));
                let help = key.map(|key| format!("write a space after `{key}:`"));
                Err(DecodeError::new(Kind::Expected { expected: "a mapping".to_owned(), help }).at(&self))
            }
        }
    }

    pub fn visit_items<'de, V: Visitor<'de>>(self, shape: Shape, visitor: V) -> Result<V::Value, DecodeError> {
        self.resolved()?;
        match (&self.node.value, self.node.as_text()) {
            (Value::Sequence(items), _) => {
                visitor.visit_seq(Items::new(&self, items, shape)).map_err(|error| error.at(&self))
            }
            (Value::Scalar(_), Some(text)) => visitor.visit_seq(SplitItems::new(text)).map_err(|error| error.at(&self)),
            _ => Err(self.expected("a list")),
        }
    }

    fn visit_any<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.resolved()?;
        match &self.node.value {
            Value::Sequence(_) => return self.visit_items(Shape::List, visitor),
            Value::Mapping(_) => return self.visit_fields(None, visitor),
            Value::Null | Value::Unresolved(_) => visitor.visit_unit(),
            Value::Scalar(scalar) => match self.core() {
                Core::Null => visitor.visit_unit(),
                Core::Bool(value) => visitor.visit_bool(value),
                Core::Float(value) => visitor.visit_f64(value),
                Core::Text => visitor.visit_str(&scalar.text),
                Core::Int(value) => visit_number(value, visitor),
            },
        }
        .map_err(|error: DecodeError| error.at(&self))
    }
}

/// A number as the narrowest of the types that every visitor for numbers knows.
fn visit_number<'de, V: Visitor<'de>>(value: i128, visitor: V) -> Result<V::Value, DecodeError> {
    match (u64::try_from(value), i64::try_from(value)) {
        (Ok(value), _) => visitor.visit_u64(value),
        (_, Ok(value)) => visitor.visit_i64(value),
        _ => visitor.visit_i128(value),
    }
}

impl<'de> Deserializer<'de> for Cursor<'_> {
    type Error = DecodeError;

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.visit_int(i8::MIN.into(), i8::MAX.into(), visitor)
    }

    fn deserialize_i16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.visit_int(i16::MIN.into(), i16::MAX.into(), visitor)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.visit_int(i32::MIN.into(), i32::MAX.into(), visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.visit_int(i64::MIN.into(), i64::MAX.into(), visitor)
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.visit_int(i128::MIN, i128::MAX, visitor)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.visit_int(u8::MIN.into(), u8::MAX.into(), visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.visit_int(u16::MIN.into(), u16::MAX.into(), visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.visit_int(u32::MIN.into(), u32::MAX.into(), visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.visit_int(u64::MIN.into(), u64::MAX.into(), visitor)
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.visit_int(0, i128::MAX, visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.visit_any(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.resolved()?;
        let Core::Bool(value) = self.core() else {
            let expected = "`true` or `false`".to_owned();
            return Err(DecodeError::new(Kind::Expected { expected, help: self.bool_help() }).at(&self));
        };
        visitor.visit_bool(value).map_err(|error: DecodeError| error.at(&self))
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_f64(self.float()?).map_err(|error: DecodeError| error.at(&self))
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let mut chars = self.text()?.chars();
        match (chars.next(), chars.next()) {
            (Some(only), None) => visitor.visit_char(only).map_err(|error: DecodeError| error.at(&self)),
            _ => Err(self.expected("one character")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_str(self.text()?).map_err(|error: DecodeError| error.at(&self))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_bytes(self.text()?.as_bytes()).map_err(|error: DecodeError| error.at(&self))
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_bytes(visitor)
    }

    /// An empty text from outside stands for the default, like a `null` in the file.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.resolved()?;
        match (self.node.is_null(), &self.node.text) {
            (true, Some(_)) if !self.is_root() => Err(self.expected("a value")),
            (true, _) => visitor.visit_none().map_err(|error: DecodeError| error.at(&self)),
            (false, _) => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.resolved()?;
        if !self.node.is_null() {
            return Err(self.expected("nothing"));
        }
        visitor.visit_unit().map_err(|error: DecodeError| error.at(&self))
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let is_secret = name == SECRET;
        if is_secret {
            self.node.hide();
        }
        let cursor = Cursor { secret: self.secret || is_secret, ..self };
        if let (true, Some(file)) = (is_secret, &self.node.file) {
            let fields = [(SECRET_TEXT, cursor.text()?), (SECRET_FILE, file)];
            return visitor.visit_map(MapDeserializer::new(fields.into_iter()));
        }
        visitor.visit_newtype_struct(cursor).map_err(|error| error.at(&cursor))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.visit_items(Shape::List, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.visit_items(Shape::Tuple, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.visit_items(Shape::Tuple, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.visit_fields(None, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.visit_fields(Some(fields), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.resolved()?;
        match EnumChoice::new(&self) {
            Some(choice) => visitor.visit_enum(choice).map_err(|error| error.at(&self)),
            None => Err(self.expected(format!("one of {}", variants.join(", ")))),
        }
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }
}
