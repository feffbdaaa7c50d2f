//! Records that are longer than the intake takes: on their way into the queue they become several, so that nothing of their
//! text is cut off, and each part is sent, repeated and counted by itself.

use std::sync::Arc;
use std::time::Duration;

use hornpipe_engine::component::{Admission, BuildContext};
use hornpipe_engine::logs::{PART, Part};
use hornpipe_engine::telemetry::{Counter, SignalCounters};
use hornpipe_engine::{Clock, RateLimit};
use hornpipe_model::{Body, Data, Event, Log, LogBatch, Text, Value};

use crate::log_entry::Entries;
use crate::logs::{self, MAX_RECORD_BYTES, Owner};

/// A record that takes no more memory fits: in JSON a byte takes six at most.
const SHORT: usize = 100_000;
/// What the rest of a record (attributes, tags) may take so that its text is split: all parts repeat it.
const MAX_OTHERS: usize = 400_000;
/// Room for the attribute that names the part, and for a longer host name by the time that it is sent.
const SPARE: usize = 512;

/// Splits what is too long.
pub(crate) struct Splitting {
    id: String,
    hostname: Option<String>,
    clock: Clock,
    cut: Arc<Counter>,
    cut_log: RateLimit,
}

impl Splitting {
    /// For the exporter that `context` is of; `hostname` as its encoder has it.
    pub(crate) fn new(context: &BuildContext, hostname: Option<&str>) -> Self {
        let text = "Records whose text is cut, since attributes and tags leave no room for it";
        Splitting {
            id: context.id.clone(),
            hostname: hostname.map(str::to_owned),
            clock: context.clock.clone(),
            cut: context.telemetry.counter("hornpipe_exporter_cut_records", "{record}", text),
            cut_log: RateLimit::new(Duration::from_secs(60)),
        }
    }

    /// The parts of a record that is too long, none where it fits or cannot be split.
    fn parts(&self, log: &Log, entries: &mut Entries<'_>) -> Vec<Log> {
        let Some(text) = text(log) else { return Vec::new() };
        let mut others = Vec::new();
        // What cannot be written is refused when it is encoded.
        if entries.write(log, "", &mut others).is_err() || others.len() + logs::json_length(&text) <= MAX_RECORD_BYTES {
            return Vec::new();
        }
        if others.len() > MAX_OTHERS {
            self.note_cut(others.len());
            return Vec::new();
        }
        let room = MAX_RECORD_BYTES - SPARE - others.len();
        let mut parts = Vec::new();
        let mut start = 0;
        while let Some(rest) = text.get(start..).filter(|rest| !rest.is_empty()) {
            let end = start + logs::within(rest, room).len();
            parts.extend(text.slice(start..end).map(|text| Log { body: Body::Text(text), ..log.clone() }));
            start = end;
        }
        mark(&mut parts);
        parts
    }

    fn note_cut(&self, others: usize) {
        self.cut.add(1);
        if self.cut_log.allow(&self.clock).is_some() {
            tracing::warn!(
                exporter = self.id,
                "a record is longer than the 1 MB that Datadog takes, and its text is cut: attributes and tags alone have {others} bytes"
            );
        }
    }
}

impl Admission for Splitting {
    fn admit(&mut self, data: Data, counters: &SignalCounters) -> Option<Data> {
        let Data::Logs(batch) = &data else { return Some(data) };
        if batch.records.iter().all(|log| log.bytes() <= SHORT) {
            return Some(data);
        }
        let mut entries = Entries::new(Owner::new(&batch.resource, self.hostname.as_deref()));
        let mut parts_of = |log: &Log| if log.bytes() > SHORT { self.parts(log, &mut entries) } else { Vec::new() };
        let parts: Vec<Vec<Log>> = batch.records.iter().map(&mut parts_of).collect();
        if parts.iter().all(Vec::is_empty) {
            return Some(data);
        }
        let mut records = Vec::new();
        for (log, parts) in batch.records.iter().zip(parts) {
            if parts.is_empty() { records.push(log.clone()) } else { records.extend(parts) }
        }
        counters.split.add((records.len() - batch.records.len()) as u64);
        // A queue counts capacity.
        records.shrink_to_fit();
        let (resource, scope) = (Arc::clone(&batch.resource), Arc::clone(&batch.scope));
        Some(LogBatch { resource, scope, records }.into())
    }
}

/// What is sent as the message of a record; none of an event, which has limits of its own.
fn text(log: &Log) -> Option<Text> {
    if Event::from_log(log).is_some() {
        return None;
    }
    match &log.body {
        Body::Text(text) => Some(text.clone()),
        other => logs::message(other).ok().map(|text| Text::from(text.into_owned())),
    }
}

/// Says which parts they are: of the whole, also where the record was a part itself.
fn mark(parts: &mut [Log]) {
    let Some(last) = parts.len().checked_sub(1) else { return };
    for (index, part) in parts.iter_mut().enumerate() {
        let own = part.attributes.iter().position(|(key, _)| key == PART).map(|at| part.attributes.remove(at).1);
        let own = own.as_ref().and_then(Value::as_str);
        let is = |which: Part| own.is_none() || own == which.name();
        let name = match index {
            0 if is(Part::First) => Part::First,
            _ if index == last && is(Part::Last) => Part::Last,
            _ => Part::Middle,
        };
        part.attributes.extend(name.name().map(|name| (PART.to_owned(), Value::from(name))));
    }
}

#[cfg(test)]
mod tests {
    use hornpipe_engine::http::Compression;
    use hornpipe_engine::telemetry::ComponentKind;
    use hornpipe_engine::testing::{FakeClock, build_context};
    use hornpipe_model::{Resource, Timestamp};

    use super::*;
    use crate::encode::Encoder;

    fn log(body: Body, attributes: &[(&str, &str)]) -> Log {
        let attributes = attributes.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect();
        Log { attributes, ..Log::new(body, Timestamp::from_secs(1_700_000_000), Arc::default()) }
    }

    fn batch(records: Vec<Log>) -> LogBatch {
        LogBatch { resource: Arc::default(), scope: Arc::default(), records }
    }

    /// What comes of a batch, how many records more that is, and how many had to be cut.
    fn admit(records: Vec<Log>) -> (Arc<LogBatch>, u64, u64) {
        let context = build_context(ComponentKind::Exporter, "datadog", &FakeClock::new());
        let mut splitting = Splitting::new(&context, None);
        let counters = SignalCounters::default();
        match splitting.admit(batch(records).into(), &counters) {
            Some(Data::Logs(batch)) => (batch, counters.split.get(), splitting.cut.get()),
            other => panic!("{other:?}"),
        }
    }

    /// The records as they are sent.
    fn sent(batch: &LogBatch) -> Vec<serde_json::Value> {
        let encoder = Encoder { hostname: Some("h".repeat(255)), compression: Compression::None };
        let encoded = encoder.encode_logs(batch, &(0..batch.records.len() as u32).collect::<Vec<_>>());
        assert_eq!(encoded.dropped, []);
        let bodies = encoded.requests.iter().map(|request| serde_json::from_slice(&request.body).unwrap());
        bodies.flat_map(|body: Vec<serde_json::Value>| body).collect()
    }

    #[test]
    fn nothing_of_a_long_text_is_lost_whatever_it_takes_in_json() {
        let texts = ["x".repeat(999_990), "x".repeat(30_000_000), "\u{1}\"é".repeat(400_000), "\u{1}".repeat(200_000)];
        for text in texts {
            let long = log(Body::Text(text.as_str().into()), &[("pid", "7")]);
            let (batch, more, cut) = admit(vec![log(Body::from_bytes(b"a".to_vec()), &[]), long]);
            let sent = sent(&batch);
            assert_eq!((sent.len() as u64, cut), (2 + more, 0));
            assert_eq!(sent[0]["message"], "a");
            let parts = &sent[1..];
            let joined: String = parts.iter().map(|part| part["message"].as_str().unwrap()).collect();
            assert!(joined == text, "{} of {} bytes", joined.len(), text.len());
            assert!(parts.iter().all(|part| part["pid"] == "7" && part.to_string().len() <= MAX_RECORD_BYTES));
            let names: Vec<&str> = parts.iter().map(|part| part[PART].as_str().unwrap()).collect();
            assert_eq!((names[0], names[names.len() - 1]), ("first", "last"));
            assert!(names[1..names.len() - 1].iter().all(|name| *name == "middle"));
        }
    }

    #[test]
    fn parts_of_a_part_are_parts_of_the_whole() {
        for (own, expected) in [
            ("first", ["first", "middle", "middle"]),
            ("middle", ["middle", "middle", "middle"]),
            ("last", ["middle", "middle", "last"]),
        ] {
            let (batch, more, _) = admit(vec![log(Body::Text("x".repeat(2_500_000).into()), &[(PART, own)])]);
            let names: Vec<_> = sent(&batch).iter().map(|part| part[PART].as_str().unwrap().to_owned()).collect();
            assert_eq!((names, more), (expected.map(str::to_owned).to_vec(), 2));
        }
    }

    #[test]
    fn bytes_and_typed_values_are_split_too() {
        let text = "x".repeat(1_500_000);
        let value = Value::Array(vec![Value::from(text.as_str())]);
        for (body, expected) in [
            (Body::Value(value), format!("[\"{text}\"]")),
            (Body::from_bytes([text.as_bytes(), b"\xff"].concat()), format!("{text}\u{fffd}")),
        ] {
            let (batch, _, _) = admit(vec![log(body, &[])]);
            let joined: String = sent(&batch).iter().map(|part| part["message"].as_str().unwrap().to_owned()).collect();
            assert!(joined == expected);
        }
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        let logs =
            vec![log(Body::Text("x".repeat(990_000).into()), &[]), log(Body::Text("\n".repeat(400_000).into()), &[])];
        let (batch, more, cut) = admit(logs.clone());
        assert_eq!((&batch.records, more, cut), (&logs, 0, 0));
    }

    #[test]
    fn where_attributes_leave_no_room_the_text_is_cut_and_that_is_counted() {
        let attribute = "x".repeat(600_000);
        let (batch, more, cut) = admit(vec![
            log(Body::Text("y".repeat(600_000).into()), &[("a", &attribute)]),
            log(Body::from_bytes(Vec::new()), &[]),
        ]);
        assert_eq!((batch.records.len(), more, cut), (2, 0, 1));
        assert!(sent(&batch)[0]["message"].as_str().unwrap().ends_with(logs::CUT));
    }

    #[test]
    fn events_have_limits_of_their_own() {
        let event = Event { title: "t".to_owned(), text: "x".repeat(2_000_000), ..Event::default() };
        let event = event.into_log(Timestamp::from_secs(1), Arc::default());
        let (batch, more, cut) = admit(vec![event.clone()]);
        assert_eq!((&batch.records, more, cut), (&vec![event], 0, 0));
        assert_eq!(batch.resource, Arc::<Resource>::default());
    }
}
