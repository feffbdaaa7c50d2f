//! A backend that checks off every line it gets.

use std::borrow::Cow;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;
use serde::Deserialize;

use super::lines::AccessLines;
use crate::backend::{Backend, Request};

/// Checks off lines by their numbers.
#[derive(Debug)]
pub struct Verifier {
    lines: AccessLines,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// A bit for each number.
    seen: Vec<u64>,
    /// Above every number seen.
    end: u64,
    counts: Counts,
    problem: Option<String>,
}

/// What came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Different lines.
    pub distinct: u64,
    /// Lines that had come before.
    pub repeated: u64,
    /// Lines that came after one with a higher number.
    pub out_of_order: u64,
    /// Texts that are none of the lines.
    pub foreign: u64,
    /// Requests with lines in them.
    pub requests: u64,
}

impl Verifier {
    /// Expects these lines.
    pub fn new(lines: AccessLines) -> Arc<Self> {
        Arc::new(Verifier { lines, state: Mutex::default() })
    }

    /// A backend whose lines it checks off.
    ///
    /// # Errors
    /// The system has no port left.
    pub fn backend(self: &Arc<Self>) -> io::Result<Backend> {
        let verifier = Arc::clone(self);
        Backend::start_with(move |request| {
            let taken = verifier.take(request);
            if let Err(error) = &taken {
                verifier.state().problem.get_or_insert_with(|| format!("{}: {error}", request.path));
            }
            taken
        })
    }

    /// What has come so far.
    ///
    /// # Errors
    /// Something came that could not be decoded.
    pub fn counts(&self) -> io::Result<Counts> {
        let state = self.state();
        match &state.problem {
            Some(problem) => Err(io::Error::other(problem.clone())),
            None => Ok(state.counts),
        }
    }

    fn take(&self, request: &Request) -> io::Result<()> {
        let mut numbers = Vec::new();
        let mut spare = Vec::new();
        let mut add = |text: &str| numbers.push(self.lines.number(text.as_bytes(), &mut spare));
        if request.path.ends_with("/v1/logs") {
            each_otlp_body(&plain(request)?, &mut add)?;
        } else if request.path.ends_with("/api/v2/logs") {
            each_datadog_message(&plain(request)?, &mut add)?;
        } else {
            return Ok(());
        }
        let mut state = self.state();
        state.counts.requests += 1;
        numbers.into_iter().for_each(|number| state.check_off(number));
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn check_off(&mut self, number: Option<u64>) {
        let Some(number) = number else {
            self.counts.foreign += 1;
            return;
        };
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        if self.seen.len() <= word {
            self.seen.resize((word + 1).next_power_of_two(), 0);
        }
        if self.seen[word] & bit != 0 {
            self.counts.repeated += 1;
            return;
        }
        self.seen[word] |= bit;
        self.counts.distinct += 1;
        self.counts.out_of_order += u64::from(number < self.end);
        self.end = self.end.max(number + 1);
    }
}

/// A request's body without its compression.
fn plain(request: &Request) -> io::Result<Cow<'_, [u8]>> {
    match request.encoding.as_str() {
        "" => Ok(Cow::Borrowed(&request.body)),
        "zstd" => zstd::decode_all(request.body.as_slice()).map(Cow::Owned),
        "gzip" => {
            let mut body = Vec::new();
            GzDecoder::new(request.body.as_slice()).read_to_end(&mut body)?;
            Ok(Cow::Owned(body))
        }
        other => Err(io::Error::other(format!("unknown content-encoding {other}"))),
    }
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    message: Cow<'a, str>,
}

fn each_datadog_message(body: &[u8], add: &mut impl FnMut(&str)) -> io::Result<()> {
    let entries: Vec<Entry<'_>> = serde_json::from_slice(body)?;
    entries.iter().for_each(|entry| add(&entry.message));
    Ok(())
}

fn each_otlp_body(body: &[u8], add: &mut impl FnMut(&str)) -> io::Result<()> {
    let message = ExportLogsServiceRequest::decode(body).map_err(io::Error::other)?;
    let scopes = message.resource_logs.iter().flat_map(|resource| &resource.scope_logs);
    for record in scopes.flat_map(|scope| &scope.log_records) {
        match record.body.as_ref().and_then(|body| body.value.as_ref()) {
            Some(Value::StringValue(text)) => add(text),
            other => return Err(io::Error::other(format!("a body that is no text: {other:?}"))),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::write::GzEncoder;
    use opentelemetry_proto::tonic::common::v1::AnyValue;
    use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};

    use super::*;

    const LINES: u64 = 5;

    fn line(number: u64) -> String {
        let mut line = Vec::new();
        AccessLines::new(1).write(number, &mut line);
        String::from_utf8(line).unwrap()
    }

    fn datadog(numbers: &[u64]) -> Vec<u8> {
        let entries: Vec<_> = numbers.iter().map(|number| serde_json::json!({"message": line(*number)})).collect();
        serde_json::to_vec(&entries).unwrap()
    }

    fn otlp(numbers: &[u64]) -> Vec<u8> {
        let record = |number: &u64| LogRecord {
            body: Some(AnyValue { value: Some(Value::StringValue(line(*number))) }),
            ..LogRecord::default()
        };
        let scope = ScopeLogs { log_records: numbers.iter().map(record).collect(), ..ScopeLogs::default() };
        let resource = ResourceLogs { scope_logs: vec![scope], ..ResourceLogs::default() };
        ExportLogsServiceRequest { resource_logs: vec![resource] }.encode_to_vec()
    }

    fn request(path: &str, encoding: &str, body: Vec<u8>) -> Request {
        Request { path: path.to_owned(), encoding: encoding.to_owned(), body }
    }

    #[test]
    fn lines_are_checked_off_whatever_brings_them() {
        let verifier = Verifier::new(AccessLines::new(1));
        let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&datadog(&[2])).unwrap();
        verifier.take(&request("/api/v2/logs", "gzip", gzip.finish().unwrap())).unwrap();
        verifier.take(&request("/v1/logs", "zstd", zstd::encode_all(&otlp(&[0, 3])[..], 1).unwrap())).unwrap();
        verifier.take(&request("/v1/logs", "", otlp(&[3, 4]))).unwrap();
        verifier.take(&request("/v1/metrics", "", b"?".to_vec())).unwrap();
        let counts = verifier.counts().unwrap();
        assert_eq!(counts, Counts { distinct: 4, repeated: 1, out_of_order: 1, foreign: 0, requests: 3 });
        assert_eq!(LINES - counts.distinct, 1, "line 1 is lost");
    }

    #[test]
    fn a_line_that_was_changed_on_its_way_is_foreign() {
        let verifier = Verifier::new(AccessLines::new(2));
        verifier.take(&request("/api/v2/logs", "", datadog(&[0]))).unwrap();
        assert_eq!(verifier.counts().unwrap(), Counts { foreign: 1, requests: 1, ..Counts::default() });
    }

    #[test]
    fn what_cannot_be_decoded_is_said() {
        let verifier = Verifier::new(AccessLines::new(1));
        for (path, encoding, body) in
            [("/api/v2/logs", "", "["), ("/v1/logs", "", "?"), ("/v1/logs", "br", ""), ("/v1/logs", "zstd", "x")]
        {
            assert!(verifier.take(&request(path, encoding, body.into())).is_err(), "{path} {encoding} {body}");
        }
    }
}
