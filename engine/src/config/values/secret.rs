//! Text that must not be printed.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// The name by which a decoder knows that it must not print the value.
pub(in super::super) const NAME: &str = "hornpipe::Secret";

const REDACTED: &str = "[REDACTED]";

/// A key, token or password. It prints, debugs and serialises as `[REDACTED]`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a text into custody.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text, for whoever must send it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// True for no text, which is how an unset option looks.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The last `count` characters, by which an operator tells one key from another; never more than a quarter of the
    /// text.
    pub fn last_chars(&self, count: usize) -> &str {
        let length = self.0.chars().count();
        let skipped = length - count.min(length / 4);
        self.0.char_indices().nth(skipped).map_or("", |(start, _)| &self.0[start..])
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Secret {
        Secret::new(text)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        deserializer.deserialize_newtype_struct(NAME, SecretVisitor)
    }
}

struct SecretVisitor;

impl<'de> Visitor<'de> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Secret, D::Error> {
        String::deserialize(deserializer).map(Secret)
    }

    fn visit_str<E>(self, text: &str) -> Result<Secret, E> {
        Ok(Secret::new(text))
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "password" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_itself_only_when_asked() {
        let secret = Secret::new("0123456789abcdef0123456789abcdef");
        assert_eq!(
            format!("{secret} {secret:?} {}", serde_json::to_string(&secret).unwrap()),
            "[REDACTED] [REDACTED] \"[REDACTED]\""
        );
        assert_eq!(secret.reveal().len(), 32);
        assert_eq!(secret.last_chars(5), "bcdef");
    }

    #[test]
    fn a_short_secret_gives_away_at_most_a_quarter() {
        for (text, expected) in [("", ""), ("abc", ""), ("abcd", "d"), ("äöüßäöüß", "üß")] {
            assert_eq!(Secret::new(text).last_chars(5), expected);
        }
    }

    #[test]
    fn a_secret_reads_from_json_too() {
        assert_eq!(serde_json::from_str::<Secret>("\"x\"").unwrap(), Secret::new("x"));
    }
}
