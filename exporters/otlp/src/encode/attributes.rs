//! Tags and attributes as OTLP key-values.

use hornpipe_model::{Tags, Value};
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValueKind;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};

/// Tags as attributes with unique keys, sorted by key: `key:value` is a text, a bare tag an empty text, and a
/// key with several values an array of texts.
///
/// OTLP wants keys that are not empty, so a tag such as `:value` is taken as a bare tag, and an empty tag is left out.
pub(super) fn from_tags(tags: &Tags) -> Vec<KeyValue> {
    let mut pairs: Vec<(&str, &str)> = tags.iter().filter(|tag| !tag.is_empty()).map(key_and_value).collect();
    // The tags are sorted as whole texts, where `a-b:1` comes between `a` and `a:1`.
    pairs.sort_unstable();
    pairs.chunk_by(|(left, _), (right, _)| left == right).filter_map(attribute).collect()
}

/// Typed attributes; their keys are unique already.
pub(super) fn from_values(attributes: &[(String, Value)]) -> Vec<KeyValue> {
    attributes.iter().map(|(key, value)| key_value(key, any_value(value))).collect()
}

/// One attribute.
pub(super) fn key_value(key: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

/// A text.
pub(super) fn text(value: &str) -> AnyValue {
    AnyValue { value: Some(AnyValueKind::StringValue(value.to_owned())) }
}

fn key_and_value(tag: &str) -> (&str, &str) {
    match Tags::split(tag) {
        ("", _) | (_, None) => (tag, ""),
        (key, Some(value)) => (key, value),
    }
}

/// The attribute of all the pairs of one key.
fn attribute(pairs: &[(&str, &str)]) -> Option<KeyValue> {
    match pairs {
        [] => None,
        [(key, value)] => Some(key_value(key, text(value))),
        [(key, _), ..] => {
            let values = pairs.iter().map(|(_, value)| text(value)).collect();
            Some(key_value(key, AnyValue { value: Some(AnyValueKind::ArrayValue(ArrayValue { values })) }))
        }
    }
}

/// A typed value.
pub(super) fn any_value(value: &Value) -> AnyValue {
    let kind = match value {
        Value::String(text) => AnyValueKind::StringValue(text.clone()),
        Value::Bool(flag) => AnyValueKind::BoolValue(*flag),
        Value::Int(number) => AnyValueKind::IntValue(*number),
        Value::Double(number) => AnyValueKind::DoubleValue(*number),
        Value::Bytes(bytes) => AnyValueKind::BytesValue(bytes.clone()),
        Value::Array(values) => AnyValueKind::ArrayValue(ArrayValue { values: values.iter().map(any_value).collect() }),
        Value::Map(pairs) => AnyValueKind::KvlistValue(KeyValueList { values: from_values(pairs) }),
    };
    AnyValue { value: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `key=value` for a text, `key=[a|b]` for an array.
    fn shown(tags: &[&str]) -> Vec<String> {
        let text_of = |value: &AnyValue| match &value.value {
            Some(AnyValueKind::StringValue(text)) => text.clone(),
            other => panic!("not a text: {other:?}"),
        };
        from_tags(&tags.iter().collect())
            .iter()
            .map(|attribute| {
                let value = attribute.value.as_ref().expect("a value");
                match &value.value {
                    Some(AnyValueKind::ArrayValue(array)) => {
                        let values: Vec<String> = array.values.iter().map(text_of).collect();
                        format!("{}=[{}]", attribute.key, values.join("|"))
                    }
                    _ => format!("{}={}", attribute.key, text_of(value)),
                }
            })
            .collect()
    }

    #[test]
    fn each_form_of_tag_has_its_attribute() {
        let table: [(&[&str], &[&str]); 9] = [
            (&[], &[]),
            (&["env:prod"], &["env=prod"]),
            (&["bare"], &["bare="]),
            (&["empty:"], &["empty="]),
            (&["url:http://x:80/"], &["url=http://x:80/"]),
            (&["role:web", "role:db"], &["role=[db|web]"]),
            (&["a", "a-b:1", "a:1"], &["a=[|1]", "a-b=1"]),
            (&[":value"], &[":value="]),
            (&["", "env:prod"], &["env=prod"]),
        ];
        for (tags, expected) in table {
            assert_eq!(shown(tags), expected, "{tags:?}");
        }
    }

    #[test]
    fn typed_values_keep_their_type() {
        let list = Value::Array(vec![Value::Bool(true), Value::Bytes(vec![1, 2])]);
        let map = Value::Map(vec![("list".to_owned(), list), ("ratio".to_owned(), Value::Double(0.5))]);
        let attributes = from_values(&[("map".to_owned(), map), ("pid".to_owned(), Value::Int(-7))]);

        let kind = |value: &Option<AnyValue>| value.clone().and_then(|value| value.value);
        assert_eq!(kind(&attributes[1].value), Some(AnyValueKind::IntValue(-7)));
        let Some(AnyValueKind::KvlistValue(map)) = kind(&attributes[0].value) else { panic!("not a map") };
        assert_eq!(kind(&map.values[1].value), Some(AnyValueKind::DoubleValue(0.5)));
        let Some(AnyValueKind::ArrayValue(list)) = kind(&map.values[0].value) else { panic!("not a list") };
        assert_eq!(list.values[0].value, Some(AnyValueKind::BoolValue(true)));
        assert_eq!(list.values[1].value, Some(AnyValueKind::BytesValue(vec![1, 2])));
    }
}
