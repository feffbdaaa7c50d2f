//! The tag section of a line.

use hornpipe_model::Tags;

/// A tag that names the host that the line is about.
pub(crate) const HOST: &str = "host:";
/// Tags by which Datadog's own clients talk to its Agent; they say nothing about the metric.
const INTERNAL: &str = "dd.internal.";

/// A tag section, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TagSection {
    /// The tags, without those that have a meaning of their own.
    pub(crate) tags: Tags,
    /// The host that the client named; empty for "no host".
    pub(crate) host: Option<String>,
}

impl TagSection {
    /// Reads a section, which is what follows `#`. Empty tags count as not there; of several `host:` tags the last counts;
    /// bytes that are not UTF-8 become the replacement character.
    pub(crate) fn parse(section: &[u8]) -> Self {
        let text = String::from_utf8_lossy(section);
        let host = text.split(',').filter_map(|tag| tag.strip_prefix(HOST)).next_back().map(str::to_owned);
        let own = |tag: &&str| !tag.is_empty() && !tag.starts_with(HOST) && !tag.starts_with(INTERNAL);
        TagSection { tags: text.split(',').filter(own).collect(), host }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(section: &str) -> (Vec<String>, Option<String>) {
        let TagSection { tags, host } = TagSection::parse(section.as_bytes());
        (tags.iter().map(str::to_owned).collect(), host)
    }

    fn tags(tags: &[&str]) -> Vec<String> {
        tags.iter().map(|&tag| tag.to_owned()).collect()
    }

    #[test]
    fn tags_stay_as_written_and_empty_ones_vanish() {
        assert_eq!(read("b:2,a:1,bare,a:2"), (tags(&["a:1", "a:2", "b:2", "bare"]), None));
        assert_eq!(read(",k:,:v"), (tags(&[":v", "k:"]), None));
        assert_eq!(read(""), (vec![], None));
        assert_eq!(read("device:sda,env:p"), (tags(&["device:sda", "env:p"]), None));
    }

    #[test]
    fn the_last_host_wins_and_may_be_empty() {
        assert_eq!(read("host:a,env:p,host:b"), (tags(&["env:p"]), Some("b".to_owned())));
        assert_eq!(read("host:"), (vec![], Some(String::new())));
        assert_eq!(read("hostname:x"), (tags(&["hostname:x"]), None));
    }

    #[test]
    fn what_clients_tell_the_agent_is_taken_out() {
        assert_eq!(read("dd.internal.entity_id:none,dd.internal.card:low,a"), (tags(&["a"]), None));
    }

    #[test]
    fn bytes_that_are_not_text_are_replaced() {
        let section = TagSection::parse(b"city:Z\xfcrich");
        assert_eq!(section.tags.iter().collect::<Vec<_>>(), ["city:Z\u{fffd}rich"]);
    }
}
