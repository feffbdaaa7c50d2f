//! Request headers, in the two shapes that Collector files use.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, Serializer};

use crate::config::Secret;

/// Request headers: a map of name and value, or a list of `{name, value}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, Secret)>);

impl Serialize for Headers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    name: String,
    value: Secret,
}

struct HeadersVisitor;

impl<'de> Visitor<'de> for HeadersVisitor {
    type Value = Headers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of header names and values, or a list of `name` and `value`")
    }

    fn visit_unit<E>(self) -> Result<Headers, E> {
        Ok(Headers::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
        let mut headers = Headers::default();
        while let Some(header) = map.next_entry()? {
            headers.0.push(header);
        }
        Ok(headers)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Headers, A::Error> {
        let mut headers = Headers::default();
        while let Some(Header { name, value }) = list.next_element()? {
            headers.0.push((name, value));
        }
        Ok(headers)
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HeadersVisitor)
    }
}

impl JsonSchema for Headers {
    fn schema_name() -> Cow<'static, str> {
        "Headers".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        BTreeMap::<String, Secret>::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_and_a_list_mean_the_same() {
        let map: Headers = serde_json::from_str(r#"{"api-key": "secret", "tenant": "a"}"#).unwrap();
        let list: Headers =
            serde_json::from_str(r#"[{"name": "api-key", "value": "secret"}, {"name": "tenant", "value": "a"}]"#)
                .unwrap();
        assert_eq!(map, list);
        assert_eq!(serde_json::from_str::<Headers>("null").unwrap(), Headers::default());
        assert!(serde_json::from_str::<Headers>(r#"[{"name": "a", "val": "b"}]"#).is_err());
    }

    #[test]
    fn values_are_never_printed() {
        let headers = Headers(vec![("api-key".to_owned(), "secret".into())]);
        let printed = format!("{headers:?} {}", serde_json::to_string(&headers).unwrap());
        assert!(printed.contains("api-key") && !printed.contains("secret"), "{printed}");
    }
}
