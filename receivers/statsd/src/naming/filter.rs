//! Which names are wanted, and which of their tags.

use hornpipe_engine::MatchType;
use hornpipe_engine::config::Report;
use hornpipe_model::Tags;
use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A list of names, or of what names begin with.
#[derive(Clone, Debug, Default)]
pub(super) struct NameList {
    /// Sorted. As prefixes, none begins with another.
    names: Vec<String>,
    by_prefix: bool,
}

impl NameList {
    pub(super) fn new(names: &[String], by_prefix: bool) -> Self {
        let mut names = names.to_vec();
        names.sort_unstable();
        // What a prefix covers follows it, so the one before is the last one kept.
        names.dedup_by(|name, before| if by_prefix { name.starts_with(before.as_str()) } else { name == before });
        NameList { names, by_prefix }
    }

    /// Whether a name is in the list, or begins with one that is.
    pub(super) fn contains(&self, name: &str) -> bool {
        let after = self.names.partition_point(|known| known.as_str() <= name);
        let nearest = after.checked_sub(1).and_then(|place| self.names.get(place));
        nearest.is_some_and(|known| if self.by_prefix { name.starts_with(known.as_str()) } else { known == name })
    }
}

/// What becomes of the tags that a filter names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TagAction {
    /// They alone are kept.
    Include,
    /// They are taken out.
    Exclude,
}

/// Which tags of a metric are wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TagFilterConfig {
    /// The metric's name, after mapper and namespace. `*` stands for anything without a dot, `**` for anything.
    pub metric_name: String,
    /// `include` keeps these tags alone, `exclude` takes them out.
    pub action: TagAction,
    /// The keys of the tags.
    pub tags: Vec<String>,
}

/// A filter of tags, ready for use.
#[derive(Clone, Debug)]
pub(super) struct TagFilter {
    metric: Regex,
    action: TagAction,
    keys: Vec<String>,
}

impl TagFilter {
    pub(super) fn compile(filters: &[TagFilterConfig], report: &mut Report) -> Vec<Self> {
        let mut compiled = Vec::with_capacity(filters.len());
        for (index, filter) in filters.iter().enumerate() {
            let at = format!("metric_tag_filterlist[{index}]");
            if filter.tags.is_empty() {
                report.error(&format!("{at}.tags"), "names no tag");
            }
            match MatchType::Wildcard.compile(&filter.metric_name) {
                Ok(metric) if !filter.metric_name.is_empty() => {
                    compiled.push(TagFilter { metric, action: filter.action, keys: filter.tags.clone() });
                }
                Ok(_) => report.error(&format!("{at}.metric_name"), "is empty"),
                Err(error) => report.error(&format!("{at}.metric_name"), error.to_string()),
            }
        }
        compiled
    }

    pub(super) fn is_for(&self, metric: &str) -> bool {
        self.metric.is_match(metric)
    }

    pub(super) fn keeps(&self, tag: &str) -> bool {
        let (key, _) = Tags::split(tag);
        self.keys.iter().any(|known| known == key) == (self.action == TagAction::Include)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn filters_that_cannot_work_are_refused() {
        let filter = |metric_name: &str, tags: &[&str]| TagFilterConfig {
            metric_name: metric_name.to_owned(),
            action: TagAction::Exclude,
            tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
        };
        let mut report = Report::new();
        assert_eq!(TagFilter::compile(&[filter("", &["a"]), filter("a", &[])], &mut report).len(), 1);
        let paths: Vec<_> = report.problems().iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(paths, ["metric_tag_filterlist[0].metric_name", "metric_tag_filterlist[1].tags"]);
    }

    proptest! {
        #[test]
        fn a_list_is_what_a_plain_search_finds(
            names in proptest::collection::vec("[ab.]{1,4}", 0..8),
            name in "[ab.]{0,6}",
            by_prefix: bool,
        ) {
            let is_in = |known: &String| if by_prefix { name.starts_with(known.as_str()) } else { *known == name };
            prop_assert_eq!(NameList::new(&names, by_prefix).contains(&name), names.iter().any(is_in));
        }
    }
}
