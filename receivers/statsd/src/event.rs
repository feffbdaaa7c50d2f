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

/// Parses an event. An optional field that cannot be read is ignored, and so is an unknown one; `h:` goes before a `host:`
/// tag, as in the Agent.
///
/// # Errors
/// [`reason::INVALID_EVENT`] where the lengths are no numbers, fit neither way, or leave no title.
pub(crate) fn parse(line: &[u8], arrival: Duration) -> Result<ReceivedEvent, Reason> {
    let text = String::from_utf8_lossy(line);
    let parts = split(&text).ok_or(reason::INVALID_EVENT)?;
    if parts.title.is_empty() {
        return Err(reason::INVALID_EVENT);
    }
    let mut event = Event { title: unescape(parts.title), text: unescape(parts.text), ..Event::default() };
    let mut section = TagSection::default();
    let mut host = None;
    for field in parts.fields.split('|').skip(1) {
        if let Some(tags) = field.strip_prefix('#') {
            section = TagSection::parse(tags.as_bytes());
            continue;
        }
        match field.split_once(':') {
            Some(("d", seconds)) => event.time = seconds.parse().map_or(Timestamp::UNKNOWN, Timestamp::from_secs),
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

/// Where an event's fields begin, in bytes; its end where it has none. Nothing for what is no event, or no text.
pub(crate) fn fields_start(line: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(line).ok()?;
    Some(text.len() - split(text)?.fields.len())
}

struct Parts<'a> {
    title: &'a str,
    text: &'a str,
    /// What follows the text, from its first `|`.
    fields: &'a str,
    in_characters: bool,
}

fn split(line: &str) -> Option<Parts<'_>> {
    let (lengths, body) = line.strip_prefix("_e{")?.split_once("}:")?;
    let (title, text) = lengths.split_once(',')?;
    let (title, text): (usize, usize) = (title.parse().ok()?, text.parse().ok()?);
    let parts = |title: usize, text_end: usize, in_characters| {
        let fields = body.get(text_end..)?;
        let ends_well = fields.is_empty() || fields.starts_with('|');
        // The byte between title and text is not looked at, as in the Agent.
        let found = Parts { title: body.get(..title)?, text: body.get(title + 1..text_end)?, fields, in_characters };
        ends_well.then_some(found)
    };
    let in_bytes = title.checked_add(1)?.checked_add(text).and_then(|end| parts(title, end, false));
    in_bytes.or_else(|| {
        let byte_of = |characters: usize| body.char_indices().map(|(byte, _)| byte).chain([body.len()]).nth(characters);
        parts(byte_of(title)?, byte_of(title.checked_add(1)?.checked_add(text)?)?, true)
    })
}

fn unescape(text: &str) -> String {
    text.replace("\\n", "\n")
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
        fn what_a_client_writes_comes_back(title in "[^|\\\\]{1,12}", text in "[^\\\\]{0,20}") {
            let line = format!("_e{{{},{}}}:{title}|{text}|p:low", title.len(), text.len());
            let received = parsed(&line);
            prop_assert_eq!((received.event.title, received.event.text), (title, text));
        }
    }
}
