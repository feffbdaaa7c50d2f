//! Takes tags out of metric names: the Agent's `dogstatsd_mapper_profiles`.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use hornpipe_engine::config::Report;
use hornpipe_engine::{MatchType, Template};
use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// For how many names the result is remembered; the Agent's `dogstatsd_mapper_cache_size`. A name comes here once for each
/// set of tags that it is sent with.
const REMEMBERED: usize = 1_000;

/// Rules for names that begin alike.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MapperProfile {
    /// What the profile is called.
    pub name: String,
    /// What a metric's name begins with for the profile to be looked at; `*` for every name.
    pub prefix: String,
    /// Its rules; the first one that matches counts.
    pub mappings: Vec<Mapping>,
}

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mapping {
    /// The whole name that is meant: `app.job.duration.*.*`, or a regular expression.
    #[serde(rename = "match")]
    pub pattern: String,
    /// How `match` is written: `wildcard`, where each `*` stands for anything without a dot and is a group, or `regex`.
    pub match_type: MapperMatchType,
    /// The metric's new name, in which `$1` is what the first group matched.
    pub name: String,
    /// Tags to add: key and value, in which `$1` is what the first group matched.
    pub tags: BTreeMap<String, String>,
}

/// How a mapping's pattern is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MapperMatchType {
    /// `*` stands for any characters but a dot.
    #[default]
    Wildcard,
    /// A regular expression that must match the whole name.
    Regex,
}

/// What a name becomes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mapped {
    pub(super) name: String,
    /// Tags to add.
    pub(super) tags: Vec<String>,
}

/// The profiles, ready for use, with the names that were mapped.
#[derive(Clone, Debug, Default)]
pub(super) struct Mapper {
    profiles: Vec<Profile>,
    results: HashMap<Box<str>, Option<Arc<Mapped>>>,
}

#[derive(Clone, Debug)]
struct Profile {
    /// Empty for every name.
    prefix: String,
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    pattern: Regex,
    name: Template,
    tags: Vec<(String, Template)>,
}

impl Mapper {
    /// What cannot be used is left out and reported.
    pub(super) fn compile(profiles: &[MapperProfile], report: &mut Report) -> Self {
        let mut mapper = Mapper::default();
        for (index, profile) in profiles.iter().enumerate() {
            let at = format!("mapper_profiles[{index}]");
            if profile.name.is_empty() {
                report.error(&format!("{at}.name"), "is missing");
            }
            if profile.prefix.is_empty() {
                let help = "write what the names begin with, such as `app.`, or `*` for all names";
                report.error_with_help(&format!("{at}.prefix"), "is missing", help);
            }
            let rules = profile.mappings.iter().enumerate();
            let rules = rules
                .filter_map(|(rule, mapping)| mapping.compile(&format!("{at}.mappings[{rule}]"), report))
                .collect();
            let prefix = if profile.prefix == "*" { String::new() } else { profile.prefix.clone() };
            mapper.profiles.push(Profile { prefix, rules });
        }
        mapper
    }

    /// What a name becomes by the first rule that matches it; nothing where none does.
    pub(super) fn map(&mut self, name: &str) -> Option<Arc<Mapped>> {
        if self.profiles.is_empty() {
            return None;
        }
        if let Some(known) = self.results.get(name) {
            return known.clone();
        }
        let mapped = self.find(name).map(Arc::new);
        if self.results.len() >= REMEMBERED {
            self.results.clear();
        }
        self.results.insert(name.into(), mapped.clone());
        mapped
    }

    fn find(&self, name: &str) -> Option<Mapped> {
        let profiles = self.profiles.iter().filter(|profile| name.starts_with(&profile.prefix));
        profiles.flat_map(|profile| &profile.rules).find_map(|rule| {
            let groups = rule.pattern.captures(name)?;
            let tags = rule.tags.iter().map(|(key, value)| format!("{key}:{}", value.fill(&groups))).collect();
            Some(Mapped { name: rule.name.fill(&groups), tags })
        })
    }
}

impl Mapping {
    fn compile(&self, at: &str, report: &mut Report) -> Option<Rule> {
        if self.name.is_empty() {
            report.error(&format!("{at}.name"), "is missing: the name that the metric gets");
        }
        let pattern = match self.regex() {
            Ok(pattern) => pattern,
            Err((message, help)) => {
                report.error_with_help(&format!("{at}.match"), message, help);
                return None;
            }
        };
        let groups = pattern.captures_len() - 1;
        let compile = |option: String, text: &str, report: &mut Report| {
            let template = Template::parse(text);
            if template.highest_group() > groups {
                let message = format!("`match` has {groups} groups, none for `${}`", template.highest_group());
                report.error_with_help(&option, message, "each `*`, or pair of parentheses in a regex, is a group");
            }
            template
        };
        let name = compile(format!("{at}.name"), &self.name, report);
        let tags = self.tags.iter();
        let tags = tags.map(|(key, value)| (key.clone(), compile(format!("{at}.tags.{key}"), value, report))).collect();
        Some(Rule { pattern, name, tags })
    }

    /// The pattern as a regular expression, or what is wrong with it and what to do.
    fn regex(&self) -> Result<Regex, (String, &'static str)> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'*' | b'.');
        let expression = match self.match_type {
            _ if self.pattern.is_empty() => return Err(("is missing".to_owned(), "write the name that is meant")),
            MapperMatchType::Regex => self.pattern.clone(),
            MapperMatchType::Wildcard if !self.pattern.bytes().all(known) => {
                let message = "holds more than letters, digits, `-`, `_`, `.` and `*`".to_owned();
                return Err((message, "for a regular expression set `match_type: regex`"));
            }
            MapperMatchType::Wildcard if self.pattern.contains("**") => {
                let help = "write one `*` for each part between dots, or set `match_type: regex`";
                return Err(("holds `**`".to_owned(), help));
            }
            MapperMatchType::Wildcard => self.pattern.replace('.', r"\.").replace('*', "([^.]*)"),
        };
        let help = "the syntax is that of Go and of Rust's regex library: no look-around, no back-references";
        MatchType::Regex.compile(&expression).map_err(|error| (error.to_string(), help))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profiles(json: &str) -> Vec<MapperProfile> {
        serde_json::from_str(json).unwrap()
    }

    fn mapper(json: &str) -> Mapper {
        let mut report = Report::new();
        let mapper = Mapper::compile(&profiles(json), &mut report);
        assert!(report.is_empty(), "{:?}", report.problems());
        mapper
    }

    #[test]
    fn names_are_mapped_as_the_agent_maps_them() {
        let mut mapper = mapper(
            r#"[{"name": "jobs", "prefix": "test.", "mappings": [
                    {"match": "test.job.duration.*.*", "name": "test.job.duration", "tags": {"job_type": "$1", "job_name": "$2"}},
                    {"match": "test\\.task\\.(\\w+)\\.(\\w+)", "match_type": "regex", "name": "test.task.${1}_total",
                     "tags": {"task": "$2", "fixed": "yes"}},
                    {"match": "test.job.*.my_job.*", "name": "never.reached"}]},
                {"name": "rest", "prefix": "*", "mappings": [
                    {"match": "test.job.*", "name": "one.part", "tags": {"a": "$1"}},
                    {"match": "gunicorn.request.status.*", "name": "gunicorn.request.status", "tags": {"code": "$1"}}]}]"#,
        );
        for (name, expected) in [
            (
                "test.job.duration.my_type.my_job",
                Some(("test.job.duration", &["job_name:my_job", "job_type:my_type"][..])),
            ),
            ("test.task.mail.send", Some(("test.task.mail_total", &["fixed:yes", "task:send"]))),
            ("test.task.mail.send.more", None),
            ("test.job.x", Some(("one.part", &["a:x"]))),
            ("test.job.x.y", None),
            ("my.test.job.x", None),
            ("test.job.", Some(("one.part", &["a:"]))),
            ("gunicorn.request.status.404", Some(("gunicorn.request.status", &["code:404"]))),
            ("gunicornXrequest.status.404", None),
        ] {
            let expected = expected.map(|(name, tags)| Mapped {
                name: name.to_owned(),
                tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
            });
            for round in ["found", "remembered"] {
                assert_eq!(mapper.map(name).as_deref(), expected.as_ref(), "{name} {round}");
            }
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut mapper = mapper(
            r#"[{"name": "a", "prefix": "a", "mappings": [{"match": "a.*", "name": "a", "tags": {"n": "$1"}}]}]"#,
        );
        for number in 0..3_000 {
            assert_eq!(mapper.map(&format!("a.{number}")).unwrap().tags, [format!("n:{number}")]);
            assert!(mapper.results.len() <= REMEMBERED);
        }
    }

    #[test]
    fn what_cannot_work_is_refused_in_its_place() {
        let mut report = Report::new();
        let bad = profiles(
            r#"[{"mappings": [{"match": "a.**", "name": "a"}, {"match": "a b", "name": "a"}, {"name": "a"},
                {"match": "(", "match_type": "regex", "name": "a"}, {"match": "a.*", "tags": {"x": "$2"}}]}]"#,
        );
        Mapper::compile(&bad, &mut report);
        let problems: Vec<_> =
            report.problems().iter().map(|problem| format!("{} {}", problem.path, problem.message)).collect();
        assert_eq!(
            problems,
            [
                "mapper_profiles[0].name is missing",
                "mapper_profiles[0].prefix is missing",
                "mapper_profiles[0].mappings[0].match holds `**`",
                "mapper_profiles[0].mappings[1].match holds more than letters, digits, `-`, `_`, `.` and `*`",
                "mapper_profiles[0].mappings[2].match is missing",
                "mapper_profiles[0].mappings[3].match not a regular expression: unclosed group (at its character 1)",
                "mapper_profiles[0].mappings[4].name is missing: the name that the metric gets",
                "mapper_profiles[0].mappings[4].tags.x `match` has 1 groups, none for `$2`",
            ]
        );
    }
}
