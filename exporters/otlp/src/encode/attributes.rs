//! Tags and attributes as OTLP `KeyValue` messages.

use hornpipe_model::{Tags, Value};

use super::wire::{
    Field, field_len, put_any_number, put_bytes, put_double, put_header, put_text, text_len, varint_len,
};

/// Fields of `KeyValue`.
const KEY: Field = 1;
const VALUE: Field = 2;

/// Fields of `AnyValue`.
const STRING: Field = 1;
const BOOL: Field = 2;
const INT: Field = 3;
const DOUBLE: Field = 4;
const ARRAY: Field = 5;
const MAP: Field = 6;
const RAW: Field = 7;

/// The field of `ArrayValue` and `KeyValueList` that repeats.
const VALUES: Field = 1;

/// Writes tags as attributes with unique keys, sorted by key, each into `field`: `key:value` is a text, a bare tag an empty
/// text, and a key with several values an array of texts.
///
/// OTLP wants keys that are not empty, so a tag such as `:value` is taken as a bare tag, and an empty tag is left out.
pub(super) fn put_tags(buffer: &mut Vec<u8>, field: Field, tags: &Tags) {
    let start = buffer.len();
    let mut last = "";
    for (key, value) in pairs(tags) {
        if key <= last {
            // A key comes again, or stands elsewhere than its text: tags are sorted as whole texts, where `a-b:1` comes
            // between `a` and `a:1`.
            buffer.truncate(start);
            return put_sorted(buffer, field, tags);
        }
        last = key;
        put_pair(buffer, field, key, value);
    }
}

fn put_sorted(buffer: &mut Vec<u8>, field: Field, tags: &Tags) {
    grouped(tags).iter().for_each(|pairs| put_group(buffer, field, pairs));
}

/// Writes the attribute of all the pairs of one key into `field`.
pub(super) fn put_group(buffer: &mut Vec<u8>, field: Field, pairs: &[(&str, &str)]) {
    match pairs {
        [] => {}
        [(key, value)] => put_pair(buffer, field, key, value),
        [(key, _), ..] => {
            let values: usize = pairs.iter().map(|(_, value)| field_len(field_len(value.len()))).sum();
            put_key(buffer, field, key, field_len(values));
            put_header(buffer, ARRAY, values);
            pairs.iter().for_each(|(_, value)| put_any_text(buffer, VALUES, value));
        }
    }
}

/// Keys and values of tags, those of one key together, in the order of [`put_tags`].
pub(super) fn grouped(tags: &Tags) -> Vec<Vec<(&str, &str)>> {
    let mut pairs: Vec<_> = pairs(tags).collect();
    pairs.sort_unstable();
    pairs.chunk_by(|(left, _), (right, _)| left == right).map(<[_]>::to_vec).collect()
}

fn pairs(tags: &Tags) -> impl Iterator<Item = (&str, &str)> {
    tags.iter().filter(|tag| !tag.is_empty()).map(|tag| match Tags::split(tag) {
        ("", _) | (_, None) => (tag, ""),
        (key, Some(value)) => (key, value),
    })
}

/// Writes a text attribute into `field`.
pub(super) fn put_pair(buffer: &mut Vec<u8>, field: Field, key: &str, text: &str) {
    put_key(buffer, field, key, field_len(text.len()));
    put_bytes(buffer, STRING, text.as_bytes());
}

/// Writes typed attributes into `field`; their keys are unique already.
pub(super) fn put_values(buffer: &mut Vec<u8>, field: Field, attributes: &[(String, Value)]) {
    attributes.iter().for_each(|(key, value)| put_value(buffer, field, key, value));
}

/// Writes a typed attribute into `field`.
pub(super) fn put_value(buffer: &mut Vec<u8>, field: Field, key: &str, value: &Value) {
    put_key(buffer, field, key, any_len(value));
    put_any(buffer, value);
}

/// Begins a `KeyValue` in `field`, up to the content of its value.
fn put_key(buffer: &mut Vec<u8>, field: Field, key: &str, value_len: usize) {
    put_header(buffer, field, text_len(key) + field_len(value_len));
    put_text(buffer, KEY, key);
    put_header(buffer, VALUE, value_len);
}

/// Writes an `AnyValue` of a text into `field`.
pub(super) fn put_any_text(buffer: &mut Vec<u8>, field: Field, text: &str) {
    put_header(buffer, field, field_len(text.len()));
    put_bytes(buffer, STRING, text.as_bytes());
}

/// Writes an `AnyValue` into `field`.
pub(super) fn put_any_field(buffer: &mut Vec<u8>, field: Field, value: &Value) {
    put_header(buffer, field, any_len(value));
    put_any(buffer, value);
}

/// The content of an `AnyValue`.
fn put_any(buffer: &mut Vec<u8>, value: &Value) {
    match value {
        Value::String(text) => put_bytes(buffer, STRING, text.as_bytes()),
        Value::Bool(flag) => put_any_number(buffer, BOOL, u64::from(*flag)),
        Value::Int(number) => put_any_number(buffer, INT, number.cast_unsigned()),
        Value::Double(number) => put_double(buffer, DOUBLE, *number),
        Value::Bytes(bytes) => put_bytes(buffer, RAW, bytes),
        Value::Array(values) => {
            put_header(buffer, ARRAY, array_len(values));
            values.iter().for_each(|value| put_any_field(buffer, VALUES, value));
        }
        Value::Map(pairs) => {
            put_header(buffer, MAP, map_len(pairs));
            put_values(buffer, VALUES, pairs);
        }
    }
}

/// Bytes of the content of an `AnyValue`.
fn any_len(value: &Value) -> usize {
    match value {
        Value::String(text) => field_len(text.len()),
        Value::Bool(_) => 2,
        Value::Int(number) => 1 + varint_len(number.cast_unsigned()),
        Value::Double(_) => 9,
        Value::Bytes(bytes) => field_len(bytes.len()),
        Value::Array(values) => field_len(array_len(values)),
        Value::Map(pairs) => field_len(map_len(pairs)),
    }
}

fn array_len(values: &[Value]) -> usize {
    values.iter().map(|value| field_len(any_len(value))).sum()
}

fn map_len(pairs: &[(String, Value)]) -> usize {
    pairs.iter().map(|(key, value)| field_len(text_len(key) + field_len(any_len(value)))).sum()
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValueKind;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValueList};
    use prost::Message;

    use super::*;

    /// Attributes, which a `KeyValueList` has in its field 1, decoded.
    fn decoded(put: impl FnOnce(&mut Vec<u8>)) -> KeyValueList {
        let mut message = Vec::new();
        put(&mut message);
        KeyValueList::decode(&message[..]).expect("attributes")
    }

    /// `key=value` for a text, `key=[a|b]` for an array.
    fn shown(tags: &[&str]) -> Vec<String> {
        let text_of = |value: &AnyValue| match &value.value {
            Some(AnyValueKind::StringValue(text)) => text.clone(),
            other => panic!("not a text: {other:?}"),
        };
        let tags: Tags = tags.iter().collect();
        decoded(|message| put_tags(message, 1, &tags))
            .values
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
        let attributes = [("map".to_owned(), map), ("pid".to_owned(), Value::Int(-7))];
        let attributes = decoded(|message| put_values(message, 1, &attributes)).values;

        let kind = |value: &Option<AnyValue>| value.clone().and_then(|value| value.value);
        assert_eq!(kind(&attributes[1].value), Some(AnyValueKind::IntValue(-7)));
        let Some(AnyValueKind::KvlistValue(map)) = kind(&attributes[0].value) else { panic!("not a map") };
        assert_eq!(kind(&map.values[1].value), Some(AnyValueKind::DoubleValue(0.5)));
        let Some(AnyValueKind::ArrayValue(list)) = kind(&map.values[0].value) else { panic!("not a list") };
        assert_eq!(list.values[0].value, Some(AnyValueKind::BoolValue(true)));
        assert_eq!(list.values[1].value, Some(AnyValueKind::BytesValue(vec![1, 2])));
    }
}
