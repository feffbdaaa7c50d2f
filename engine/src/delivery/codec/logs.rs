//! Log records.

use std::ops::Range;
use std::sync::Arc;

use hornpipe_model::{Body, Log, LogBatch, LogSource, Severity, Text, Timestamp, Trace};

use super::Unreadable;
use super::bytes::{Reader, Writer};
use super::shared::{
    read_attributes, read_origin, read_tags, read_value, write_attributes, write_origin, write_tags, write_value,
};

// What a record has beside body and observed time, as bits of its first byte: a plain line has none of it.
const HAS_TIME: u8 = 1;
const HAS_SEVERITY: u8 = 1 << 1;
const HAS_ATTRIBUTES: u8 = 1 << 2;
const HAS_TRACE: u8 = 1 << 3;
const HAS_EVENT_NAME: u8 = 1 << 4;
/// Not from the source of the record before.
const HAS_SOURCE: u8 = 1 << 5;

const TEXT: u8 = 0;
const BYTES: u8 = 1;
const VALUE: u8 = 2;

/// The first byte, the observed time, and an empty body.
const SMALLEST_RECORD: usize = 11;

pub(super) fn write(batch: &LogBatch, writer: &mut Writer<'_>) {
    let LogBatch { resource, scope, records } = batch;
    write_origin(resource, scope, writer);
    let mut source = None;
    writer.list(records.iter(), |record, writer| {
        write_record(record, source, writer);
        source = Some(&record.source);
    });
}

pub(super) fn read(reader: &mut Reader<'_>) -> Result<LogBatch, Unreadable> {
    let (resource, scope) = read_origin(reader)?;
    let (mut source, mut texts) = (None, Texts::default());
    let mut records = reader.list(SMALLEST_RECORD, |reader| {
        let (record, text) = read_record(reader, &mut source)?;
        texts.add(text);
        Ok(record)
    })?;
    texts.share(&mut records);
    Ok(LogBatch { resource, scope, records })
}

/// The bodies of records that are texts, one behind the other, so that all share one allocation.
#[derive(Default)]
struct Texts {
    whole: String,
    ranges: Vec<Option<Range<usize>>>,
}

impl Texts {
    /// Adds the next record's text, where its body is one.
    fn add(&mut self, text: Option<&str>) {
        let start = self.whole.len();
        self.whole.push_str(text.unwrap_or_default());
        self.ranges.push(text.map(|_| start..self.whole.len()));
    }

    fn share(self, records: &mut [Log]) {
        let whole: Arc<str> = self.whole.into();
        for (record, range) in records.iter_mut().zip(self.ranges) {
            if let Some(text) = range.and_then(|range| Text::part(&whole, range)) {
                record.body = Body::Text(text);
            }
        }
    }
}

fn write_record(record: &Log, before: Option<&Arc<LogSource>>, writer: &mut Writer<'_>) {
    let Log { body, time, observed_time, severity, severity_text, attributes, trace, event_name, source } = record;
    let bit = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
    let has = bit(*time != Timestamp::UNKNOWN, HAS_TIME)
        | bit(*severity != Severity::UNSPECIFIED || !severity_text.is_empty(), HAS_SEVERITY)
        | bit(!attributes.is_empty(), HAS_ATTRIBUTES)
        | bit(trace.is_some(), HAS_TRACE)
        | bit(!event_name.is_empty(), HAS_EVENT_NAME)
        | bit(!before.is_some_and(|before| Arc::ptr_eq(before, source)), HAS_SOURCE);
    writer.byte(has);
    writer.fixed(observed_time.as_nanos());
    write_body(body, writer);
    if has & HAS_TIME != 0 {
        writer.fixed(time.as_nanos());
    }
    if has & HAS_SEVERITY != 0 {
        writer.byte(severity.0);
        writer.text(severity_text);
    }
    if has & HAS_ATTRIBUTES != 0 {
        write_attributes(attributes, writer);
    }
    if let Some(trace) = trace {
        writer.raw(&trace.trace_id);
        writer.raw(&trace.span_id);
        writer.number(u64::from(trace.flags));
    }
    if has & HAS_EVENT_NAME != 0 {
        writer.text(event_name);
    }
    if has & HAS_SOURCE != 0 {
        write_source(source, writer);
    }
}

/// A record, and its body apart where that is a text.
fn read_record<'a>(
    reader: &mut Reader<'a>,
    before: &mut Option<Arc<LogSource>>,
) -> Result<(Log, Option<&'a str>), Unreadable> {
    let has = reader.byte()?;
    let observed_time = Timestamp::from_nanos(reader.fixed()?);
    let (body, text) = read_body(reader)?;
    // Its source comes last; a default for each would be an allocation.
    let mut record = Log::new(body, observed_time, before.clone().unwrap_or_default());
    if has & HAS_TIME != 0 {
        record.time = Timestamp::from_nanos(reader.fixed()?);
    }
    if has & HAS_SEVERITY != 0 {
        record.severity = Severity(reader.byte()?);
        record.severity_text = reader.text()?.into();
    }
    if has & HAS_ATTRIBUTES != 0 {
        record.attributes = read_attributes(reader)?;
    }
    if has & HAS_TRACE != 0 {
        let trace = Trace { trace_id: reader.array()?, span_id: reader.array()?, flags: reader.small()? };
        record.trace = Some(Box::new(trace));
    }
    if has & HAS_EVENT_NAME != 0 {
        record.event_name = reader.text()?.into();
    }
    if has & HAS_SOURCE != 0 {
        *before = Some(Arc::new(read_source(reader)?));
    }
    record.source = before.clone().ok_or(Unreadable)?;
    Ok((record, text))
}

fn write_body(body: &Body, writer: &mut Writer<'_>) {
    match body {
        Body::Text(text) => {
            writer.byte(TEXT);
            writer.text(text);
        }
        Body::Bytes(bytes) => {
            writer.byte(BYTES);
            writer.bytes(bytes);
        }
        Body::Value(value) => {
            writer.byte(VALUE);
            write_value(value, writer);
        }
    }
}

/// A body, or a text that will be one.
fn read_body<'a>(reader: &mut Reader<'a>) -> Result<(Body, Option<&'a str>), Unreadable> {
    Ok(match reader.byte()? {
        TEXT => (Body::Bytes(Box::default()), Some(reader.text()?)),
        BYTES => (Body::Bytes(reader.bytes()?.into()), None),
        VALUE => (Body::Value(read_value(reader)?), None),
        _ => return Err(Unreadable),
    })
}

fn write_source(source: &LogSource, writer: &mut Writer<'_>) {
    let LogSource { path, service, source, tags } = source;
    writer.text(path);
    writer.text(service);
    writer.text(source);
    write_tags(tags, writer);
}

fn read_source(reader: &mut Reader<'_>) -> Result<LogSource, Unreadable> {
    Ok(LogSource {
        path: reader.text()?.to_owned(),
        service: reader.text()?.to_owned(),
        source: reader.text()?.to_owned(),
        tags: read_tags(reader)?,
    })
}
