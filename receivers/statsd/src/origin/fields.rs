//! The fields of a line, of any kind: where its tags end, and what it says of its origin.

use memchr::memchr;
use memchr::memmem;

use super::Cardinality;
use crate::event;
use crate::parse::{LineKind, line_kind, split_once};

/// A line, cut where its fields begin.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// Name, values and type, or an event's title and text.
    head: &'a [u8],
    /// Each with its `|`; of a sample the type is the first.
    fields: &'a [u8],
}

/// What a client says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Claims<'a> {
    /// `c:`, protocol 1.2.
    pub(super) local_data: Option<&'a [u8]>,
    /// The container's name from `e:`, protocol 1.5.
    pub(super) container_name: Option<&'a [u8]>,
    /// The pod's UID from `e:`, or from the tag that the Agent's clients take from `DD_ENTITY_ID`.
    pub(super) pod: Option<&'a [u8]>,
    /// `card:`, protocol 1.6, or else the tag of old.
    pub(super) cardinality: Option<Cardinality>,
    /// It wants no tags of its origin.
    pub(super) opts_out: bool,
}

impl<'a> Line<'a> {
    /// Nothing where the line has no fields, or no end of what is before them.
    pub(super) fn parse(text: &'a [u8]) -> Option<Self> {
        let start = match line_kind(text) {
            LineKind::Event => event::fields_start(text)?,
            LineKind::Sample | LineKind::ServiceCheck => memchr(b'|', text)?,
        };
        let (head, fields) = text.split_at_checked(start)?;
        Some(Line { head, fields })
    }

    /// What the line says of its origin; of several fields of a kind the last counts.
    pub(super) fn claims(&self) -> Claims<'a> {
        let mut claims = Claims::default();
        let mut tags: &[u8] = &[];
        for field in self.fields.split(|byte| *byte == b'|') {
            match field {
                [b'#', section @ ..] => tags = section,
                [b'c', b':', data @ ..] => claims.local_data = Some(data).filter(|data| !data.is_empty()),
                [b'c', b'a', b'r', b'd', b':', name @ ..] => claims.cardinality = Cardinality::parse(name),
                [b'e', b':', data @ ..] => {
                    for part in data.split(|byte| *byte == b',') {
                        match part {
                            [b'c', b'n', b'-', name @ ..] if !name.is_empty() => claims.container_name = Some(name),
                            [b'p', b'u', b'-', pod @ ..] if !pod.is_empty() => claims.pod = Some(pod),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        if memmem::find(tags, b"dd.internal.").is_some() {
            claims.add_tags(tags);
        }
        claims
    }

    /// The line with more tags.
    pub(super) fn write_with_tags(&self, tags: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(self.head);
        if tags.is_empty() {
            return out.extend_from_slice(self.fields);
        }
        let Some(section) = memmem::rfind(self.fields, b"|#") else {
            out.extend_from_slice(self.fields);
            out.extend_from_slice(b"|#");
            return out.extend_from_slice(tags);
        };
        let (before, from_section) = self.fields.split_at(section);
        let end = from_section.iter().skip(1).position(|byte| *byte == b'|').map_or(from_section.len(), |end| end + 1);
        let (section, after) = from_section.split_at(end);
        out.extend_from_slice(before);
        out.extend_from_slice(section);
        if section.len() > b"|#".len() {
            out.push(b',');
        }
        out.extend_from_slice(tags);
        out.extend_from_slice(after);
    }
}

impl<'a> Claims<'a> {
    fn add_tags(&mut self, tags: &'a [u8]) {
        for tag in tags.split(|byte| *byte == b',') {
            match split_once(tag, b':') {
                Some((b"dd.internal.entity_id", b"none")) => self.opts_out = true,
                Some((b"dd.internal.entity_id", pod)) if !pod.is_empty() => self.pod = self.pod.or(Some(pod)),
                Some((b"dd.internal.card", name)) => self.cardinality = self.cardinality.or(Cardinality::parse(name)),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tags::TagSection;
    use crate::{parse, service_check};

    fn with_tags(line: &str, tags: &str) -> String {
        let mut out = Vec::new();
        Line::parse(line.as_bytes()).unwrap().write_with_tags(tags.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn tags_join_the_last_section_or_make_one() {
        for (line, expected) in [
            ("a:1|c", "a:1|c|#t:1"),
            ("a:1|c|#", "a:1|c|#t:1"),
            ("a:1|c|#|@0.5", "a:1|c|#t:1|@0.5"),
            ("a:1|c|#x|@0.5", "a:1|c|#x,t:1|@0.5"),
            ("a:1|c|#x|#y|T5", "a:1|c|#x|#y,t:1|T5"),
        ] {
            assert_eq!(with_tags(line, "t:1"), expected);
        }
        assert_eq!(with_tags("a:1|c|#x", ""), "a:1|c|#x");
        assert!(Line::parse(b"a:1").is_none() && Line::parse(b"_e{9,9}:a|b").is_none());
    }

    proptest! {
        #[test]
        fn a_line_keeps_all_that_it_said_and_has_one_tag_more(
            fields in proptest::collection::vec(
                prop_oneof!["#[a-c,:]{0,6}", "@0\\.[1-9]", "T[1-9]", "c:[a-c]{0,3}", "e:cn-[a-c]{0,3}", "x[a-c]{0,3}"], 0..5),
        ) {
            let fields: String = fields.iter().map(|field| format!("|{field}")).collect();
            let line = format!("name:1|c{fields}");
            let written = with_tags(&line, "t:1");
            let (mut one, mut other) = (Vec::new(), Vec::new());
            let before = parse::sample(line.as_bytes(), &mut one).unwrap();
            let after = parse::sample(written.as_bytes(), &mut other).unwrap();
            prop_assert_eq!((before.rate, before.time, before.name), (after.rate, after.time, after.name));
            let tags = TagSection::parse(before.tags).tags;
            let more: hornpipe_model::Tags = tags.iter().chain(["t:1"]).collect();
            prop_assert_eq!(TagSection::parse(after.tags).tags, more.clone());
            let check = service_check::parse(with_tags(&format!("_sc|name|0{fields}"), "t:1").as_bytes(), std::time::Duration::ZERO);
            let context = check.unwrap().context;
            prop_assert_eq!(context.tags(), &more);
        }
    }
}
