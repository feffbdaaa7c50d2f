//! An event, as DogStatsD writes it:
//!
//! ```text
//! _e{title length,text length}:title|text[|d:seconds][|h:host][|k:key][|p:priority][|s:source type][|t:alert type][|#tag,…]
//! ```
//!
//! Lengths are bytes. Some clients count characters; where the bytes do not end at a `|` or at the end of the line and the
//! characters do, characters are meant. `\n` in title and text is a line break (the Agent's parser).

use std::time::Duration;

use hornpipe_engine::Reason;
use hornpipe_model::{AlertType, Event, EventPriority, Tags, Timestamp};

use crate::parse::{parse_timestamp, split_once};
use crate::reason;
use crate::tags::TagSection;

/// An event that waits for the end of its window.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ReceivedEvent {
    /// What happened.
    pub(crate) event: Event,
    /// Its tags.
    pub(crate) tags: Tags,
    /// When it came in, on the monotonic clock.
    pub(crate) arrival: Duration,
    /// True where the lengths were characters.
    pub(crate) in_characters: bool,
}

impl ReceivedEvent {
    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        let Event { title, text, host, aggregation_key, source_type_name, .. } = &self.event;
        let host = host.as_ref().map_or(0, String::len);
        let texts = title.len() + text.len() + host + aggregation_key.len() + source_type_name.len();
        size_of::<Self>() + texts + self.tags.heap_bytes()
    }
}

/// Parses an event. An optional field that cannot be read is ignored, and so is an unknown one; `h:` goes before a `host:`
/// tag, as in the Agent.
///
/// # Errors
/// [`reason::INVALID_EVENT`] where the lengths are no numbers, fit neither way, or leave no title.
pub(crate) fn parse(line: &[u8], arrival: Duration) -> Result<ReceivedEvent, Reason> {
    let parts = split(line).ok_or(reason::INVALID_EVENT)?;
    if parts.title.is_empty() {
        return Err(reason::INVALID_EVENT);
    }
    let mut event = Event { title: unescape(parts.title), text: unescape(parts.text), ..Event::default() };
    let mut section = TagSection::default();
    let mut host = None;
    let fields = String::from_utf8_lossy(parts.fields);
    for field in fields.split('|').skip(1) {
        if let Some(tags) = field.strip_prefix('#') {
            section = TagSection::parse(tags.as_bytes());
            continue;
        }
        match field.split_once(':') {
            Some(("d", seconds)) => event.time = parse_timestamp(seconds.as_bytes()).unwrap_or(Timestamp::UNKNOWN),
            Some(("h", name)) => host = Some(name.to_owned()),
            Some(("k", key)) => key.clone_into(&mut event.aggregation_key),
            Some(("p", name)) => event.priority = EventPriority::parse(name).unwrap_or_default(),
            Some(("s", name)) => name.clone_into(&mut event.source_type_name),
            Some(("t", name)) => event.alert_type = AlertType::parse(name).unwrap_or_default(),
            _ => {}
        }
    }
    event.host = host.or_else(|| section.host.as_deref().map(str::to_owned));
    Ok(ReceivedEvent { event, tags: section.tags, arrival, in_characters: parts.in_characters })
}

/// Where an event's fields begin, in bytes; its end where it has none. Nothing for what is no event.
pub(crate) fn fields_start(line: &[u8]) -> Option<usize> {
    Some(line.len() - split(line)?.fields.len())
}

/// What the lengths cut a line into. It is bytes until then: the lengths know nothing of the replacement of what is not UTF-8.
struct Parts<'a> {
    title: &'a [u8],
    text: &'a [u8],
    /// What follows the text, from its first `|`.
    fields: &'a [u8],
    in_characters: bool,
}

fn split(line: &[u8]) -> Option<Parts<'_>> {
    let (lengths, from_brace) = split_once(line.strip_prefix(b"_e{")?, b'}')?;
    let body = from_brace.strip_prefix(b":")?;
    let (title, text) = std::str::from_utf8(lengths).ok()?.split_once(',')?;
    let (title, text): (usize, usize) = (title.parse().ok()?, text.parse().ok()?);
    let parts = |title_end: usize, text_end: usize, in_characters| {
        let (before, fields) = body.split_at_checked(text_end)?;
        let (title, from_separator) = before.split_at_checked(title_end)?;
        // Which byte stands between title and text does not matter, as in the Agent, but it is not part of a character.
        let (_, text) = from_separator.split_first().filter(|(separator, _)| separator.is_ascii())?;
        let ends_well = fields.is_empty() || fields.starts_with(b"|");
        ends_well.then_some(Parts { title, text, fields, in_characters })
    };
    let in_bytes = title.checked_add(1)?.checked_add(text).and_then(|end| parts(title, end, false));
    in_bytes.or_else(|| {
        let starts = || body.iter().enumerate().filter(|(_, byte)| !is_continuation(**byte)).map(|(place, _)| place);
        let byte_of = |characters: usize| starts().chain([body.len()]).nth(characters);
        parts(byte_of(title)?, byte_of(title.checked_add(1)?.checked_add(text)?)?, true)
    })
}

/// True for the bytes of a character of UTF-8 behind its first.
fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

fn unescape(text: &[u8]) -> String {
    String::from_utf8_lossy(text).replace("\\n", "\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(line: &str) -> ReceivedEvent {
        parse(line.as_bytes(), Duration::ZERO).unwrap_or_else(|reason| panic!("{line}: {reason}"))
    }

    #[test]
    fn all_fields_are_read_in_any_order() {
        let received = parsed("_e{5,4}:title|text|t:warning|#a:b,host:tagged|d:1700000000|k:key|p:low|s:nagios|x:y");
        assert_eq!(
            received.event,
            Event {
                title: "title".to_owned(),
                text: "text".to_owned(),
                time: Timestamp::from_secs(1_700_000_000),
                host: Some("tagged".to_owned()),
                priority: EventPriority::Low,
                alert_type: AlertType::Warning,
                aggregation_key: "key".to_owned(),
                source_type_name: "nagios".to_owned(),
            }
        );
        assert_eq!(received.tags, ["a:b"].into_iter().collect());
        assert_eq!(parsed("_e{1,1}:a|b|d:1700000000000").event.time, Timestamp::UNKNOWN, "milliseconds");
        assert_eq!(parsed("_e{1,0}:a||#host:tagged|h:own").event.host.as_deref(), Some("own"));
    }

    #[test]
    fn lengths_are_bytes_and_characters_only_where_bytes_do_not_fit() {
        let bytes = parsed("_e{2,1}:é|x");
        assert_eq!((bytes.event.title.as_str(), bytes.event.text.as_str(), bytes.in_characters), ("é", "x", false));
        let characters = parsed("_e{3,4}:Zoë|日本語x|t:error");
        assert_eq!((characters.event.title.as_str(), characters.event.text.as_str()), ("Zoë", "日本語x"));
        assert_eq!((characters.event.alert_type, characters.in_characters), (AlertType::Error, true));
    }

    #[test]
    fn lengths_count_bytes_that_are_not_utf_8_as_they_came() {
        for (line, title, text) in [
            (&b"_e{6,1}:Z\xfcrich|x"[..], "Z\u{fffd}rich", "x"),
            (b"_e{3,1}:\xc3\xa9\xfc|x", "é\u{fffd}", "x"),
            (b"_e{1,8}:a|d\xc3\xa9j\xc3\xa0 \xe9|p:low", "a", "déjà \u{fffd}"),
        ] {
            let received = parse(line, Duration::ZERO).unwrap();
            assert_eq!((received.event.title.as_str(), received.event.text.as_str()), (title, text));
            assert!(!received.in_characters);
            let low = fields_start(line).unwrap() < line.len();
            assert_eq!(received.event.priority, if low { EventPriority::Low } else { EventPriority::Normal });
        }
        let tag = parse(b"_e{1,1}:\xc3\xa9|x|#a:\xff", Duration::ZERO).unwrap();
        assert_eq!((tag.event.title.as_str(), tag.in_characters), ("é", true));
        assert_eq!(tag.tags, ["a:\u{fffd}"].into_iter().collect());
    }

    #[test]
    fn a_backslash_and_n_is_a_line_break_and_a_text_may_hold_bars() {
        let received = parsed("_e{4,11}:a\\nb|one|two\\nx3|p:low");
        assert_eq!((received.event.title.as_str(), received.event.text.as_str()), ("a\nb", "one|two\nx3"));
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for line in
            ["_e{}:a|b", "_e{1}:a|b", "_e{0,1}:|b", "_e{a,1}:a|b", "_e{5,4}:title|tex", "_e{1,1}a|b", "_e{1,1}:a|bc"]
        {
            assert_eq!(parse(line.as_bytes(), Duration::ZERO), Err(reason::INVALID_EVENT), "{line}");
        }
        let huge = format!("_e{{{},1}}:a|b", usize::MAX);
        assert_eq!(parse(huge.as_bytes(), Duration::ZERO), Err(reason::INVALID_EVENT));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fail(rest in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = parse(&[b"_e{".as_slice(), &rest].concat(), Duration::ZERO);
        }

        #[test]
        fn bytes_in_any_encoding_come_back_with_what_is_not_utf_8_replaced(
            title in proptest::collection::vec(0x20_u8.., 1..12),
            text in proptest::collection::vec(0x20_u8.., 0..20),
        ) {
            let head = format!("_e{{{},{}}}:", title.len(), text.len());
            let line = [head.as_bytes(), &title, b"|", &text, b"|p:low"].concat();
            let event = parse(&line, Duration::ZERO).unwrap().event;
            let read = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace("\\n", "\n");
            prop_assert_eq!((event.title, event.text, event.priority), (read(&title), read(&text), EventPriority::Low));
            prop_assert_eq!(fields_start(&line), Some(line.len() - b"|p:low".len()));
        }

        #[test]
        fn what_a_client_writes_comes_back(title in "[^|\\\\]{1,12}", text in "[^\\\\]{0,20}") {
            let line = format!("_e{{{},{}}}:{title}|{text}|p:low", title.len(), text.len());
            let received = parsed(&line);
            prop_assert_eq!((received.event.title, received.event.text), (title, text));
        }
    }
}
