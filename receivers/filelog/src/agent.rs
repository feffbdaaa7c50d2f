//! The Datadog Agent's own `logs:` list, as it stands in its `conf.d`.

use hornpipe_engine::config::Report;
use hornpipe_engine::logs::{Rule, Rules};
use hornpipe_model::LogSource;
use schemars::JsonSchema;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::config::FilelogConfig;
use crate::encoding::Encoding;
use crate::splitter::Splitter;
use crate::tailer::{FileSet, Start};

/// What an entry reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentLogKind {
    /// Files.
    File,
}

/// Where an entry begins to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum StartPosition {
    /// Files that are there at the first start: at their end.
    #[default]
    End,
    /// At their beginning.
    Beginning,
    /// At their end at every start.
    ForceEnd,
    /// At their beginning at every start.
    ForceBeginning,
}

/// An entry of the list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentLog {
    /// `file`; the Agent's other types are not read here.
    #[serde(rename = "type")]
    pub kind: AgentLogKind,
    /// The files, as a path or a pattern.
    pub path: String,
    /// Files to leave out of these, as paths or patterns.
    #[serde(default)]
    pub exclude_paths: Vec<String>,
    /// As the receiver's own `service`.
    #[serde(default)]
    pub service: String,
    /// As the receiver's own `source`.
    #[serde(default)]
    pub source: String,
    /// Tags, as a list or as one text with commas between them.
    #[serde(default, deserialize_with = "tags")]
    pub tags: Vec<String>,
    /// `end` or `beginning` for files that are there at the very first start; `forceEnd` or `forceBeginning` at every start.
    #[serde(default)]
    pub start_position: StartPosition,
    /// As the receiver's own `encoding`.
    #[serde(default)]
    pub encoding: Encoding,
    /// Rules: `multi_line`, `exclude_at_match`, `include_at_match`, `mask_sequences`.
    #[serde(default)]
    pub log_processing_rules: Vec<Rule>,
}

impl AgentLog {
    /// The file set that it describes; `at` is where it stands. Problems go to the report.
    pub(crate) fn file_set(&self, receiver: &FilelogConfig, at: &str, report: &mut Report) -> FileSet {
        let rules = Rules::compile(&self.log_processing_rules, &format!("{at}.log_processing_rules"), report);
        let start = match self.start_position {
            StartPosition::End => Start::End,
            StartPosition::Beginning => Start::Beginning,
            StartPosition::ForceEnd => Start::AlwaysEnd,
            StartPosition::ForceBeginning => Start::AlwaysBeginning,
        };
        let source = LogSource {
            service: self.service.clone(),
            source: self.source.clone(),
            tags: self.tags.iter().collect(),
            ..LogSource::default()
        };
        let splitter = Splitter { encoding: self.encoding, max_bytes: receiver.max_log_size.as_usize() };
        let joining = rules.boundary().map(|boundary| receiver.joining(boundary.clone()));
        FileSet { splitter, joining, rules, start, source }
    }
}

/// A list, or one text with commas. Spaces around a tag are not part of it.
fn tags<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Tags;

    impl<'de> Visitor<'de> for Tags {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a list of tags, or tags with commas between them")
        }

        fn visit_str<E>(self, text: &str) -> Result<Vec<String>, E> {
            Ok(text.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<String>, A::Error> {
            let mut tags = Vec::new();
            while let Some(tag) = list.next_element()? {
                tags.push(tag);
            }
            Ok(tags)
        }
    }

    deserializer.deserialize_any(Tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agents_spelling_is_understood() {
        let log: AgentLog = serde_json::from_str(
            r#"{"type": "file", "path": "/a.log", "exclude_paths": ["/b"], "tags": "env:prod, team:x", "encoding": "utf-16-le",
                "start_position": "forceBeginning", "log_processing_rules": [{"type": "multi_line", "name": "x", "pattern": "\\d"}]}"#,
        )
        .unwrap();
        assert_eq!(log.tags, ["env:prod", "team:x"]);
        assert_eq!((log.encoding, log.start_position), (Encoding::Utf16Le, StartPosition::ForceBeginning));
        let mut report = Report::new();
        let set = log.file_set(&FilelogConfig::default(), "logs.0", &mut report);
        assert!(report.is_empty() && set.joining.is_some());
        for wrong in
            [r#"{"type": "tcp", "path": "/a"}"#, r#"{"type": "file", "path": "/a", "prot": 1}"#, r#"{"type": "file"}"#]
        {
            assert!(serde_json::from_str::<AgentLog>(wrong).is_err(), "{wrong}");
        }
        let list: AgentLog = serde_json::from_str(r#"{"type": "file", "path": "/a", "tags": ["a", "b:c"]}"#).unwrap();
        assert_eq!(list.tags, ["a", "b:c"]);
    }
}
