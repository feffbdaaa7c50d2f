//! Lines of access logs.
//!
//! Written by hand instead of as a regular expression: no captures to allocate, and a custom format needs no other code.

use std::borrow::Cow;

use hornpipe_model::{Severity, Value};

use crate::access_format::{Atom, Format, Unit};
use crate::fields::Fields;
use crate::time;

/// Gunicorn's default, which is Apache's combined format; the common one; and what uvicorn's workers write.
const USUAL: [&str; 3] = [
    r#"%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s""#,
    r#"%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s"#,
    r#"%(h)s - "%(r)s" %(s)s"#,
];

/// How many attributes a line usually has.
const USUAL_ATTRIBUTES: usize = 10;

/// Methods that are known by name; others are `_OTHER`, so that clients cannot make up values without end.
const METHODS: [&str; 10] = ["GET", "POST", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "QUERY"];

/// The formats of an access log, tried in order.
pub(crate) struct AccessLog {
    formats: Vec<Format>,
    /// More may follow on the line, as proxies and `X-Forwarded-For` in Datadog's own pipeline.
    may_go_on: bool,
}

impl AccessLog {
    /// Of one format, or of the usual ones where it is empty.
    ///
    /// # Errors
    /// What is wrong with the format.
    pub(crate) fn new(format: &str) -> Result<AccessLog, String> {
        let may_go_on = format.is_empty();
        let formats: Result<_, String> = if may_go_on {
            USUAL.iter().map(|format| Format::new(format)).collect()
        } else {
            Format::new(format).map(|format| vec![format])
        };
        Ok(AccessLog { formats: formats?, may_go_on })
    }

    pub(crate) fn fields(&self, line: &str) -> Option<Fields> {
        self.formats.iter().find_map(|format| fields(format, line, self.may_go_on))
    }
}

fn fields(format: &Format, line: &str, may_go_on: bool) -> Option<Fields> {
    let mut found = Found {
        fields: Fields { attributes: Vec::with_capacity(USUAL_ATTRIBUTES), ..Fields::default() },
        duration: None,
    };
    let mut rest = line;
    for (index, piece) in format.pieces.iter().enumerate() {
        rest = rest.strip_prefix(piece.before.as_str())?;
        let behind = format.pieces.get(index + 1).map_or(format.after.as_str(), |next| next.before.as_str());
        let is_last_word = may_go_on && behind.is_empty();
        let length = if is_last_word {
            rest.find(' ').unwrap_or(rest.len())
        } else {
            length(&piece.atom, rest, &piece.before, behind)?
        };
        let (value, after) = rest.split_at_checked(length)?;
        found.add(&piece.atom, value)?;
        rest = after;
    }
    rest = rest.strip_prefix(format.after.as_str())?;
    let is_whole = rest.is_empty() || (may_go_on && rest.starts_with(' '));
    is_whole.then(|| found.finish())
}

/// How long the value at the beginning of the text is. `before` and `behind` are what stands around it.
fn length(atom: &Atom, text: &str, before: &str, behind: &str) -> Option<usize> {
    if *atom == Atom::Time {
        return text.find(']').map(|end| end + 1);
    }
    if before.ends_with('"') && behind.starts_with('"') {
        return closing_quote(text, behind);
    }
    if behind.is_empty() { Some(text.len()) } else { text.find(behind) }
}

/// Gunicorn writes a quote within as `\"`, and a backslash as it is: so a quote behind a backslash closes only where what
/// follows says so and no other quote can.
fn closing_quote(text: &str, behind: &str) -> Option<usize> {
    let closes = |at: &usize| text.get(*at..).is_some_and(|rest| rest.starts_with(behind));
    let quotes = || text.match_indices('"').map(|(at, _)| at).filter(closes);
    let is_escaped = |at: &usize| text.as_bytes().get(..*at).is_some_and(|before| before.ends_with(b"\\"));
    quotes().find(|at| !is_escaped(at)).or_else(|| quotes().next())
}

struct Found {
    fields: Fields,
    duration: Option<(Unit, f64)>,
}

impl Found {
    /// `None` where the value cannot be one of the atom: the line has another format.
    fn add(&mut self, atom: &Atom, value: &str) -> Option<()> {
        let fields = &mut self.fields;
        match atom {
            Atom::Ignored => {}
            Atom::Client => add_client(fields, value),
            Atom::User => fields.add_text("user.name", value),
            Atom::Time => {
                let inside = value.strip_prefix('[')?.strip_suffix(']')?;
                fields.time = Some(time::of_access_log(inside.as_bytes())?);
            }
            Atom::RequestLine => add_request_line(fields, value),
            Atom::Method => add_method(fields, value),
            Atom::Path => fields.add_text("url.path", value),
            Atom::Query => fields.add_text("url.query", value.trim_start_matches('?')),
            Atom::Protocol => add_protocol(fields, value),
            Atom::Status => {
                // A reason may follow, where an application gave one.
                let code = value.split(' ').next().unwrap_or_default();
                let status: u16 = code.parse().ok().filter(|status| (100..1000).contains(status))?;
                fields.severity = Some((severity(status), String::new()));
                fields.add("http.response.status_code", Value::Int(i64::from(status)));
            }
            Atom::Bytes if value == "-" => {}
            Atom::Bytes => fields.add("http.response.body.size", Value::Int(value.parse().ok()?)),
            Atom::Referer => add_header(fields, "http.request.header.referer", value),
            Atom::UserAgent => fields.add_text("user_agent.original", &unescaped(value)),
            Atom::Duration(unit) => {
                let number: f64 = value.parse().ok()?;
                // Of several the most precise counts.
                if self.duration.is_none_or(|(known, _)| known < *unit) {
                    self.duration = Some((*unit, number));
                }
            }
            Atom::Process => {
                let pid = value.trim_start_matches('<').trim_end_matches('>');
                fields.add("process.pid", Value::Int(pid.parse().ok()?));
            }
            Atom::RequestHeader(key) | Atom::ResponseHeader(key) => add_header(fields, key, value),
            Atom::Variable(key) => fields.add_text(key, &unescaped(value)),
        }
        Some(())
    }

    fn finish(mut self) -> Fields {
        if let Some((unit, number)) = self.duration {
            let seconds = match unit {
                Unit::Seconds | Unit::DecimalSeconds => number,
                Unit::Milliseconds => number / 1e3,
                Unit::Microseconds => number / 1e6,
            };
            self.fields.add("http.server.request.duration", Value::Double(seconds));
        }
        self.fields
    }
}

/// As Datadog's pipeline for Gunicorn has it, except that redirects are no notices.
fn severity(status: u16) -> Severity {
    match status {
        500.. => Severity::ERROR,
        400.. => Severity::WARN,
        _ => Severity::INFO,
    }
}

/// An address, with a port in uvicorn's lines. Behind a Unix socket there is none.
fn add_client(fields: &mut Fields, value: &str) {
    let (address, port) = match value.rsplit_once(':') {
        Some((address, port)) if !address.contains(':') || address.ends_with(']') => (address, port.parse().ok()),
        _ => (value, None),
    };
    fields.add_text("client.address", address.trim_start_matches('[').trim_end_matches(']'));
    if let Some(port) = port {
        fields.add("client.port", Value::Int(port));
    }
}

/// `GET /path?query HTTP/1.1`. Of a request that was no HTTP nothing is known.
fn add_request_line(fields: &mut Fields, value: &str) {
    let Some((method, rest)) = value.split_once(' ') else { return };
    let Some((target, protocol)) = rest.rsplit_once(' ') else { return };
    if !protocol.starts_with("HTTP/") {
        return;
    }
    add_method(fields, method);
    let target = unescaped(target);
    if target.contains("://") && !target.starts_with('/') {
        fields.add_text("url.full", &target);
    } else {
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        fields.add_text("url.path", path);
        fields.add_text("url.query", query);
    }
    add_protocol(fields, protocol);
}

fn add_method(fields: &mut Fields, method: &str) {
    if METHODS.contains(&method) {
        fields.add("http.request.method", method);
    } else if method != "-" {
        fields.add("http.request.method", "_OTHER");
        fields.add_text("http.request.method_original", method);
    }
}

fn add_protocol(fields: &mut Fields, protocol: &str) {
    if let Some(version) = protocol.strip_prefix("HTTP/") {
        fields.add_text("network.protocol.version", version);
    }
}

/// A header may come several times, so it is a list.
fn add_header(fields: &mut Fields, key: &str, value: &str) {
    if !value.is_empty() && value != "-" {
        fields.attributes.push((key.to_owned(), Value::Array(vec![Value::from(&*unescaped(value))])));
    }
}

/// Without the backslashes that Gunicorn puts in front of quotes.
fn unescaped(value: &str) -> Cow<'_, str> {
    if value.contains("\\\"") { Cow::Owned(value.replace("\\\"", "\"")) } else { Cow::Borrowed(value) }
}
