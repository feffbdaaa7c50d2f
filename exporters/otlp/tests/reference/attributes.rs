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
