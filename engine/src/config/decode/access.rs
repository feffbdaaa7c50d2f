//! How serde walks mappings, lists and enums of nodes.

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::super::node::{Entry, Node, Value};
use super::NodeId;
use super::cursor::{Cursor, Step};
use super::error::{DecodeError, Kind};
use super::fill::Fill;

/// The entries of a mapping, then stand-ins for fields that are missing.
pub(super) struct Fields<'a> {
    cursor: &'a Cursor<'a>,
    entries: std::slice::Iter<'a, Entry>,
    /// The fields of the struct that is wanted; `null` there stands for the default.
    known: &'static [&'static str],
    fill: Vec<&'static str>,
    value: Option<&'a Entry>,
}

impl<'a> Fields<'a> {
    pub fn new(cursor: &'a Cursor<'a>, known: Option<&'static [&'static str]>) -> Fields<'a> {
        let id = NodeId::of(cursor.node);
        let mut fill: Vec<&'static str> =
            cursor.taken_out.filled.iter().filter(|(node, _)| *node == id).map(|(_, field)| *field).collect();
        fill.sort_unstable();
        let known = known.unwrap_or_default();
        Fields { cursor, entries: cursor.node.entries().iter(), known, fill, value: None }
    }

    fn is_skipped(&self, entry: &Entry) -> bool {
        let is_default =
            entry.value.is_null() && entry.value.text.is_none() && self.known.contains(&entry.key.as_str());
        is_default || self.cursor.taken_out.nodes.contains(&NodeId::of(&entry.value))
    }
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        while let Some(entry) = self.entries.next() {
            if self.is_skipped(entry) {
                continue;
            }
            self.value = Some(entry);
            return match seed.deserialize(KeyText(&entry.key)) {
                Ok(key) => Ok(Some(key)),
                Err(error) => Err(error.at_key(&self.cursor.child(Step::Key(&entry.key), &entry.value), entry)),
            };
        }
        self.value = None;
        self.fill.last().map(|field| seed.deserialize(KeyText(field))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        match self.value {
            Some(entry) => {
                let cursor = self.cursor.child(Step::Key(&entry.key), &entry.value);
                seed.deserialize(cursor).map_err(|error| error.at(&cursor))
            }
            None => {
                self.fill.pop();
                seed.deserialize(Fill).map_err(|_| DecodeError::new(Kind::Consequence))
            }
        }
    }
}

/// The items of a list.
pub(super) struct Items<'a> {
    cursor: &'a Cursor<'a>,
    items: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
    shape: Shape,
}

/// What becomes of the place of an item that was taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// The list is shorter.
    List,
    /// A stand-in keeps the others in their places.
    Tuple,
}

impl<'a> Items<'a> {
    pub fn new(cursor: &'a Cursor<'a>, items: &'a [Node], shape: Shape) -> Items<'a> {
        Items { cursor, items: items.iter().enumerate(), shape }
    }
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, DecodeError> {
        for (index, item) in self.items.by_ref() {
            if !self.cursor.taken_out.nodes.contains(&NodeId::of(item)) {
                let cursor = self.cursor.child(Step::Index(index), item);
                return seed.deserialize(cursor).map(Some).map_err(|error| error.at(&cursor));
            }
            if self.shape == Shape::Tuple {
                return seed.deserialize(Fill).map(Some).map_err(|_| DecodeError::new(Kind::Consequence));
            }
        }
        Ok(None)
    }
}

/// A text with commas as a list of texts.
pub(super) struct SplitItems<'a> {
    items: std::str::Split<'a, char>,
}

impl<'a> SplitItems<'a> {
    pub fn new(text: &'a str) -> SplitItems<'a> {
        let mut items = text.split(',');
        if text.trim().is_empty() {
            items.next();
        }
        SplitItems { items }
    }
}

impl<'de> SeqAccess<'de> for SplitItems<'_> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, DecodeError> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let text: StrDeserializer<'_, DecodeError> = item.trim().into_deserializer();
        seed.deserialize(text).map(Some).map_err(DecodeError::wanted_list)
    }
}

/// A mapping's key: text, or a number where one is wanted.
struct KeyText<'a>(&'a str);

impl KeyText<'_> {
    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<T, DecodeError> {
        let wanted =
            || DecodeError::new(Kind::Expected { expected: format!("a number ({name}) as the key"), help: None });
        self.0.parse().map_err(|_| wanted())
    }
}

impl<'de> Deserializer<'de> for KeyText<'_> {
    type Error = DecodeError;

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_i8(self.number("i8")?)
    }

    fn deserialize_i16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_i16(self.number("i16")?)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_i32(self.number("i32")?)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_i64(self.number("i64")?)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_u8(self.number("u8")?)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_u16(self.number("u16")?)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_u32(self.number("u32")?)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_u64(self.number("u64")?)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_str(self.0)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let text: StrDeserializer<'_, DecodeError> = self.0.into_deserializer();
        text.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i128 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

/// A variant: its name alone, or the one key of a mapping with its content.
pub(super) struct EnumChoice<'a> {
    cursor: &'a Cursor<'a>,
    name: &'a str,
    entry: Option<&'a Entry>,
}

impl<'a> EnumChoice<'a> {
    /// `None` where the node cannot be a variant.
    pub fn new(cursor: &'a Cursor<'a>) -> Option<EnumChoice<'a>> {
        if let Value::Mapping(entries) = &cursor.node.value {
            let mut left = entries.iter().filter(|e| !cursor.taken_out.nodes.contains(&NodeId::of(&e.value)));
            let entry = left.next().filter(|_| left.next().is_none())?;
            return Some(EnumChoice { cursor, name: &entry.key, entry: Some(entry) });
        }
        let name = cursor.node.as_text().filter(|_| !cursor.node.is_null())?;
        Some(EnumChoice { cursor, name, entry: None })
    }

    fn content(&self) -> Option<Cursor<'_>> {
        self.entry.map(|entry| self.cursor.child(Step::Key(&entry.key), &entry.value))
    }

    fn needs_content(&self) -> DecodeError {
        let kind = Kind::Expected { expected: "a mapping with the name as its key".to_owned(), help: None };
        DecodeError::new(kind).at(self.cursor)
    }
}

impl<'a, 'de> EnumAccess<'de> for EnumChoice<'a> {
    type Error = DecodeError;
    type Variant = EnumChoice<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, EnumChoice<'a>), DecodeError> {
        let name: StrDeserializer<'_, DecodeError> = self.name.into_deserializer();
        match seed.deserialize(name) {
            Ok(value) => Ok((value, self)),
            Err(error) => Err(match (self.content(), self.entry) {
                (Some(content), Some(entry)) => error.at_key(&content, entry),
                _ => error.at(self.cursor),
            }),
        }
    }
}

impl<'de> VariantAccess<'de> for EnumChoice<'_> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        match self.content() {
            Some(content) => content.deserialize_unit(serde::de::IgnoredAny).map(|_| ()),
            None => Ok(()),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, DecodeError> {
        let Some(content) = self.content() else { return Err(self.needs_content()) };
        seed.deserialize(content).map_err(|error| error.at(&content))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, DecodeError> {
        let Some(content) = self.content() else { return Err(self.needs_content()) };
        content.visit_items(Shape::Tuple, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let Some(content) = self.content() else { return Err(self.needs_content()) };
        content.deserialize_struct("", fields, visitor)
    }
}
