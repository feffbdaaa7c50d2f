//! Text that must not be printed.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::{Serialize, Serializer};

use super::super::environment::{Environment, ProcessEnvironment};
use super::super::expand::without_line_end;

/// The name by which a decoder knows that it must not print the value.
pub(in super::super) const NAME: &str = "hornpipe::Secret";

/// The keys under which a decoder hands over a secret from a file.
pub(in super::super) const TEXT: &str = "text";
pub(in super::super) const FILE: &str = "file";

const REDACTED: &str = "[REDACTED]";

/// A key, token or password. It prints, debugs and serialises as `[REDACTED]`.
///
/// Where its value is `${file:…}` and nothing else it knows the file, so that a key can be changed while the program
/// runs.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret {
    text: String,
    file: Option<Arc<str>>,
}

impl Secret {
    /// Takes a text into custody.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret { text: text.into(), file: None }
    }

    /// The text, for whoever must send it.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// The file that it came from.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref().map(Path::new)
    }

    /// The secret as its file has it now; the same again where it came from none. It reads the file, which may wait.
    ///
    /// # Errors
    /// Why the file cannot be read, in words that name it.
    pub fn read_again(&self) -> Result<Secret, String> {
        let Some(file) = &self.file else { return Ok(self.clone()) };
        let content = ProcessEnvironment.file(file).map_err(|why| format!("cannot read {file}: {why}"))?;
        Ok(Secret { text: without_line_end(&content).to_owned(), file: self.file.clone() })
    }

    /// True for no text, which is how an unset option looks.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The last `count` characters, by which an operator tells one key from another; never more than a quarter of the
    /// text.
    pub fn last_chars(&self, count: usize) -> &str {
        let length = self.text.chars().count();
        let skipped = length - count.min(length / 4);
        self.text.char_indices().nth(skipped).map_or("", |(start, _)| &self.text[start..])
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Secret {
        Secret::new(text)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret::new(text)
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
        String::deserialize(deserializer).map(Secret::new)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Secret, A::Error> {
        let mut secret = Secret::default();
        while let Some((key, value)) = fields.next_entry::<String, String>()? {
            match key.as_str() {
                TEXT => secret.text = value,
                _ => secret.file = Some(value.into()),
            }
        }
        Ok(secret)
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
