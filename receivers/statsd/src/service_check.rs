//! A service check, as DogStatsD writes it:
//!
//! ```text
//! _sc|name|status[|d:seconds][|h:host][|#tag,tag…][|m:message][|anything else]
//! ```

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use hornpipe_engine::Reason;
use hornpipe_model::{CheckStatus, Context, ServiceCheck, Timestamp};

use crate::parse::{parse_timestamp, split_once};
use crate::reason;
use crate::tags::TagSection;

/// A service check that waits for the end of its window.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ReceivedCheck {
    /// The check's name, tags and host.
    pub(crate) context: Arc<Context>,
    /// When it was made, where the client said so.
    pub(crate) time: Option<Timestamp>,
    /// When it came in, on the monotonic clock.
    pub(crate) arrival: Duration,
    /// Status and message.
    pub(crate) result: ServiceCheck,
}

impl ReceivedCheck {
    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.context.bytes() + self.result.message.len()
    }
}

/// Parses a service check. A field that cannot be read is ignored, and so is an unknown one; `h:` goes before a `host:`
/// tag, as in the Agent.
///
/// # Errors
/// [`reason::INVALID_SERVICE_CHECK`] without a name or a status from 0 to 3.
pub(crate) fn parse(line: &[u8], arrival: Duration) -> Result<ReceivedCheck, Reason> {
    let text = String::from_utf8_lossy(line);
    let mut parts = text.split('|').skip(1);
    let name = parts.next().filter(|name| !name.is_empty()).ok_or(reason::INVALID_SERVICE_CHECK)?;
    let status = parts.next().and_then(parse_status).ok_or(reason::INVALID_SERVICE_CHECK)?;
    let mut time = None;
    let mut host = None;
    let mut section = TagSection::default();
    let mut message = "";
    for field in parts {
        if let Some(tags) = field.strip_prefix('#') {
            section = TagSection::parse(tags.as_bytes());
            continue;
        }
        match split_once(field.as_bytes(), b':') {
            Some((b"d", seconds)) => time = parse_timestamp(seconds),
            Some((b"h", _)) => host = field.get(2..),
            Some((b"m", _)) => message = field.get(2..).unwrap_or_default(),
            _ => {}
        }
    }
    let host = host.or(section.host.as_deref());
    let context = Context::with_unit(name, section.tags, host, Cow::Borrowed(""));
    let result = ServiceCheck { status, message: message.into() };
    Ok(ReceivedCheck { context: Arc::new(context), time, arrival, result })
}

fn parse_status(text: &str) -> Option<CheckStatus> {
    match text {
        "0" => Some(CheckStatus::Ok),
        "1" => Some(CheckStatus::Warning),
        "2" => Some(CheckStatus::Critical),
        "3" => Some(CheckStatus::Unknown),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> ReceivedCheck {
        parse(line.as_bytes(), Duration::from_secs(7)).unwrap()
    }

    #[test]
    fn a_check_with_every_field() {
        let check = read("_sc|app.ok|2|d:1795343000|h:web1|#env:p,host:web2|m:down: no answer|c:ci-1|card:low");
        assert_eq!(check.context.name(), "app.ok");
        assert_eq!(check.context.tags().iter().collect::<Vec<_>>(), ["env:p"]);
        assert_eq!(check.context.host(), Some("web1"));
        assert_eq!(check.time, Some(Timestamp::from_secs(1_795_343_000)));
        assert_eq!(check.arrival, Duration::from_secs(7));
        assert_eq!(check.result, ServiceCheck { status: CheckStatus::Critical, message: "down: no answer".into() });
    }

    #[test]
    fn a_check_with_nothing_but_a_status() {
        for (digit, status) in [
            ("0", CheckStatus::Ok),
            ("1", CheckStatus::Warning),
            ("2", CheckStatus::Critical),
            ("3", CheckStatus::Unknown),
        ] {
            let check = read(&format!("_sc|a|{digit}"));
            assert_eq!(check.result, ServiceCheck { status, message: "".into() });
            assert_eq!((check.time, check.context.host()), (None, None));
        }
    }

    #[test]
    fn the_host_tag_counts_where_no_host_field_is() {
        assert_eq!(read("_sc|a|0|#host:web2").context.host(), Some("web2"));
        assert_eq!(read("_sc|a|0|h:|#host:web2").context.host(), Some(""));
    }

    #[test]
    fn a_field_that_cannot_be_read_is_left_out() {
        assert_eq!(read("_sc|a|0|d:yesterday|x").time, None);
        // Zero means "now", as in the Agent.
        assert_eq!(read("_sc|a|0|d:0").time, None);
        assert_eq!(read("_sc|a|0|d:1795343000000").time, None, "milliseconds");
    }

    #[test]
    fn without_name_or_status_there_is_no_check() {
        for line in ["_sc", "_sc|", "_sc||0", "_sc|a", "_sc|a|", "_sc|a|4", "_sc|a|00", "_scale:1|c"] {
            assert_eq!(parse(line.as_bytes(), Duration::ZERO), Err(reason::INVALID_SERVICE_CHECK), "{line}");
        }
    }
}
