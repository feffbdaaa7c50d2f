//! What metrics and logs share: values, resources, scopes, tags.

use std::sync::Arc;

use hornpipe_model::{Resource, Scope, Tags, Value};

use super::Unreadable;
use super::bytes::{Reader, Writer};

/// How deep values may lie in one another; nothing that we take comes near.
const MAX_DEPTH: usize = 128;

pub(super) fn write_value(value: &Value, writer: &mut Writer<'_>) {
    match value {
        Value::String(text) => {
            writer.byte(0);
            writer.text(text);
        }
        Value::Bool(truth) => {
            writer.byte(1);
            writer.byte(u8::from(*truth));
        }
        Value::Int(number) => {
            writer.byte(2);
            writer.signed(*number);
        }
        Value::Double(number) => {
            writer.byte(3);
            writer.float(*number);
        }
        Value::Bytes(bytes) => {
            writer.byte(4);
            writer.bytes(bytes);
        }
        Value::Array(values) => {
            writer.byte(5);
            writer.list(values.iter(), write_value);
        }
        Value::Map(pairs) => {
            writer.byte(6);
            write_attributes(pairs, writer);
        }
    }
}

pub(super) fn read_value(reader: &mut Reader<'_>) -> Result<Value, Unreadable> {
    read_value_within(reader, MAX_DEPTH)
}

fn read_value_within(reader: &mut Reader<'_>, depth: usize) -> Result<Value, Unreadable> {
    let below = depth.checked_sub(1).ok_or(Unreadable)?;
    Ok(match reader.byte()? {
        0 => Value::String(reader.text()?.to_owned()),
        1 => Value::Bool(reader.byte()? != 0),
        2 => Value::Int(reader.signed()?),
        3 => Value::Double(reader.float()?),
        4 => Value::Bytes(reader.bytes()?.to_owned()),
        5 => Value::Array(reader.list(2, |reader| read_value_within(reader, below))?),
        6 => Value::Map(read_attributes_within(reader, below)?),
        _ => return Err(Unreadable),
    })
}

pub(super) fn write_attributes(attributes: &[(String, Value)], writer: &mut Writer<'_>) {
    writer.list(attributes.iter(), |(key, value), writer| {
        writer.text(key);
        write_value(value, writer);
    });
}

pub(super) fn read_attributes(reader: &mut Reader<'_>) -> Result<Vec<(String, Value)>, Unreadable> {
    read_attributes_within(reader, MAX_DEPTH)
}

fn read_attributes_within(reader: &mut Reader<'_>, depth: usize) -> Result<Vec<(String, Value)>, Unreadable> {
    reader.list(3, |reader| Ok((reader.text()?.to_owned(), read_value_within(reader, depth)?)))
}

pub(super) fn write_origin(resource: &Resource, scope: &Scope, writer: &mut Writer<'_>) {
    let Resource { attributes, schema_url } = resource;
    write_attributes(attributes, writer);
    writer.text(schema_url);
    let Scope { name, version, attributes, schema_url } = scope;
    writer.text(name);
    writer.text(version);
    write_attributes(attributes, writer);
    writer.text(schema_url);
}

pub(super) fn read_origin(reader: &mut Reader<'_>) -> Result<(Arc<Resource>, Arc<Scope>), Unreadable> {
    let resource = Resource { attributes: read_attributes(reader)?, schema_url: reader.text()?.to_owned() };
    let scope = Scope {
        name: reader.text()?.to_owned(),
        version: reader.text()?.to_owned(),
        attributes: read_attributes(reader)?,
        schema_url: reader.text()?.to_owned(),
    };
    Ok((Arc::new(resource), Arc::new(scope)))
}

pub(super) fn write_tags(tags: &Tags, writer: &mut Writer<'_>) {
    writer.list(tags.iter(), |tag, writer| writer.text(tag));
}

pub(super) fn read_tags(reader: &mut Reader<'_>) -> Result<Tags, Unreadable> {
    Ok(reader.list(1, Reader::text)?.into_iter().collect())
}
