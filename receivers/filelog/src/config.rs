//! Settings of the `filelog` receiver.

use std::path::PathBuf;

use hornpipe_engine::component::{BuildContext, BuildError, ComponentType, Receiver, ReceiverConfig};
use hornpipe_engine::config::{ByteSize, Duration, Report};
use hornpipe_engine::logs::{Boundary, Joining, Rules};
use hornpipe_model::{LogSource, Signal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::agent::AgentLog;
use crate::encoding::Encoding;
use crate::find::Finder;
use crate::handle::Compression;
use crate::receiver::{FilelogReceiver, MOST_IN_FLIGHT};
use crate::splitter::Splitter;
use crate::tailer::{FileSet, Options, Says, Start};

/// The Collector's least fingerprint.
const SMALLEST_FINGERPRINT: u64 = 16;
const LARGEST_FINGERPRINT: u64 = 64 * 1024;
/// A record has to fit a backend's request, and memory.
const LARGEST_RECORD: u64 = 64 * 1024 * 1024;

/// Where a file is read from that is there when the receiver starts for the first time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StartAt {
    /// Its end.
    #[default]
    End,
    /// Its beginning.
    Beginning,
}

/// What makes several lines one record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MultilineConfig {
    /// A regular expression: a record begins with each line that it matches at its beginning.
    pub line_start_pattern: String,
    /// A regular expression: a record ends with each line that it matches.
    pub line_end_pattern: String,
    /// Whether what the pattern matches is left out of the record.
    pub omit_pattern: bool,
}

/// Settings of the `filelog` receiver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FilelogConfig {
    /// The files to read, as paths or patterns: `*`, `?`, `[a-z]`, `{a,b}`, and `**` for directories below each other.
    pub include: Vec<String>,
    /// Files to leave out of these, as paths or patterns.
    pub exclude: Vec<String>,
    /// Where to begin with files that are there at the receiver's very first start: `end` or `beginning`. Files found later,
    /// also those that appeared while hornpipe was down, are read from their beginning.
    pub start_at: StartAt,
    /// How often files are looked at where the system does not tell of changes (network and overlay file systems, and systems
    /// other than Linux). Elsewhere changes are told, and everything is looked at every 5s as a safety net.
    pub poll_interval: Duration,
    /// How many of a file's first bytes are compared to know it again, `16B` to `64KiB`.
    pub fingerprint_size: ByteSize,
    /// The longest record, `1KiB` to `64MiB`. A longer one is sent in parts, none lost, with the attribute
    /// `log.record.part`: `first`, `middle` or `last`.
    pub max_log_size: ByteSize,
    /// How many files are open at once, at least 1. Further ones take turns.
    pub max_concurrent_files: usize,
    /// The files' encoding: `utf-8`, `utf-16le`, `utf-16be`, `shift-jis`, `latin1`, or `raw` for bytes that are not looked at.
    pub encoding: Encoding,
    /// Whether records say their file's name: `log.file.name` over OTLP, the tag `filename` at Datadog.
    pub include_file_name: bool,
    /// Whether records say their file's path: `log.file.path` over OTLP, the tag `dirname` at Datadog. (In the Collector this is
    /// off unless set.) The `multiline` processor tells files apart by what is said here.
    pub include_file_path: bool,
    /// What makes several lines one record. Set one of the two patterns, or none.
    pub multiline: MultilineConfig,
    /// How long an incomplete line, or a record that may go on, waits for its rest; `0s` means for ever.
    pub force_flush_period: Duration,
    /// Whether files are decompressed: `gzip`, `auto` (where they begin as gzip does), or not.
    pub compression: Compression,
    /// Datadog's `service` of the records; `service.name` over OTLP.
    pub service: String,
    /// Datadog's `source`, which selects its pipeline there: `gunicorn`, for example.
    pub source: String,
    /// Tags of the records, such as `env:prod`; attributes over OTLP.
    pub tags: Vec<String>,
    /// Files as the Datadog Agent's `logs:` list has them, beside those of `include`: an entry of its `conf.d` can stand here as it
    /// is.
    pub logs: Vec<AgentLog>,
}

impl Default for FilelogConfig {
    fn default() -> Self {
        FilelogConfig {
            include: Vec::new(),
            exclude: Vec::new(),
            start_at: StartAt::default(),
            poll_interval: Duration::from_millis(200),
            fingerprint_size: ByteSize::bytes(1_000),
            max_log_size: ByteSize::mib(1),
            max_concurrent_files: 1_024,
            encoding: Encoding::default(),
            include_file_name: true,
            include_file_path: true,
            multiline: MultilineConfig::default(),
            force_flush_period: Duration::from_millis(500),
            compression: Compression::default(),
            service: String::new(),
            source: String::new(),
            tags: Vec::new(),
            logs: Vec::new(),
        }
    }
}

impl ComponentType for FilelogConfig {
    const TYPE: &'static str = "filelog";
    const ALIASES: &'static [&'static str] = &["file_log"];
    const SIGNALS: &'static [Signal] = &[Signal::Logs];
    const SUMMARY: &'static str = "Log files, through every kind of rotation, with nothing lost or read twice";
    const ELSEWHERE: &'static [(&'static str, &'static str)] = &[
        (
            "storage",
            "leave it out: checkpoints are kept in the state directory (HORNPIPE_STATE_DIR) without an extension",
        ),
        (
            "operators",
            "use the processors: `multiline` joins lines, `parse` takes time, severity and attributes, `filter` drops and masks",
        ),
        ("retry_on_failure", "leave it out: files wait while no exporter has room, and exporters retry"),
        ("exclude_older_than", "use `exclude`; with `start_at: end` what is there at the first start is passed over"),
        (
            "attributes",
            "use `tags: [\"key:value\"]`, `service` and `source`; the `tagging` processor changes tags later",
        ),
        ("resource", "use `service` for `service.name`, and `tags: [\"key:value\"]` for others"),
    ];
}

impl ReceiverConfig for FilelogConfig {
    /// Files wait while batches on their way have `MOST_IN_FLIGHT` bytes; the last one may go beyond that, and a record
    /// that is not complete is held as bytes and, when it is cut, as a record. More is on its way only where it is in an
    /// exporter's queue, which has memory of its own.
    fn memory(&self) -> ByteSize {
        const BATCH: u64 = 2 << 20;
        ByteSize::bytes(MOST_IN_FLIGHT as u64 + BATCH + self.max_log_size.as_bytes().saturating_mul(2))
    }

    fn validate(&self, report: &mut Report) {
        if self.include.is_empty() && self.logs.is_empty() {
            report.error_with_help(
                "include",
                "names no file",
                "write the files' paths or patterns: [/var/log/app/*.log]",
            );
        }
        let between = |value: ByteSize, least, most| (least..=most).contains(&value.as_bytes());
        if !between(self.fingerprint_size, SMALLEST_FINGERPRINT, LARGEST_FINGERPRINT) {
            report.error("fingerprint_size", "must be from 16B to 64KiB");
        }
        if !between(self.max_log_size, 1_024, LARGEST_RECORD) {
            report.error("max_log_size", "must be from 1KiB to 64MiB");
        }
        if self.include_file_path && !self.include_file_name {
            report.warning("include_file_name", "has no effect beside include_file_path: a path has the name in it");
        }
        if self.max_concurrent_files == 0 {
            report.error("max_concurrent_files", "must be at least 1");
        }
        if self.poll_interval.is_zero() {
            report.error("poll_interval", "must be more than 0s");
        }
        self.compile(report);
    }

    fn build(&self, context: BuildContext) -> Result<Box<dyn Receiver>, BuildError> {
        let mut report = Report::new();
        let (finder, sets) = self.compile(&mut report);
        if let Some(problem) = report.problems().iter().find(|_| report.has_errors()) {
            return Err(BuildError::new(problem.path.clone(), problem.message.clone()));
        }
        let (options, poll_interval) = (self.options(), self.poll_interval.get());
        Ok(Box::new(FilelogReceiver { options, poll_interval, finder, sets, context }))
    }
}

impl FilelogConfig {
    fn options(&self) -> Options {
        Options {
            fingerprint_size: self.fingerprint_size.as_usize(),
            max_open: self.max_concurrent_files,
            force_flush: Some(self.force_flush_period.get()).filter(|period| !period.is_zero()),
            compression: self.compression,
            says: match (self.include_file_path, self.include_file_name) {
                (true, _) => Says::Path,
                (false, true) => Says::Name,
                (false, false) => Says::Nothing,
            },
        }
    }

    /// The patterns and file sets. What cannot be used goes to the report.
    fn compile(&self, report: &mut Report) -> (Finder, Vec<FileSet>) {
        let (mut finder, mut sets) = (Finder::default(), Vec::new());
        if !self.include.is_empty() {
            self.add_paths(&mut finder, &self.include, &self.exclude, |list, index| format!("{list}.{index}"), report);
            sets.push(self.file_set(report));
        }
        for (index, log) in self.logs.iter().enumerate() {
            let at = format!("logs.{index}");
            let option = |list: &str, index| match list {
                "include" => format!("{at}.path"),
                _ => format!("{at}.exclude_paths.{index}"),
            };
            self.add_paths(&mut finder, std::slice::from_ref(&log.path), &log.exclude_paths, option, report);
            sets.push(log.file_set(self, &at, report));
        }
        (finder, sets)
    }

    fn add_paths(
        &self,
        finder: &mut Finder,
        include: &[String],
        exclude: &[String],
        option: impl Fn(&str, usize) -> String,
        report: &mut Report,
    ) {
        if let Err((pattern, problem)) = finder.add_set(include, exclude) {
            let index = |list: &[String]| list.iter().position(|known| *known == pattern);
            let at = match index(include) {
                Some(index) => option("include", index),
                None => option("exclude", index(exclude).unwrap_or_default()),
            };
            report.error(&at, format!("{pattern:?} is no pattern of paths: {problem}"));
        }
    }

    /// The set that the receiver's own options describe.
    fn file_set(&self, report: &mut Report) -> FileSet {
        let MultilineConfig { line_start_pattern, line_end_pattern, omit_pattern } = &self.multiline;
        let is_joined = !line_start_pattern.is_empty() || !line_end_pattern.is_empty();
        let boundary = is_joined
            .then(|| Boundary::from_options(line_start_pattern, line_end_pattern, *omit_pattern, "multiline", report));
        let start = match self.start_at {
            StartAt::End => Start::End,
            StartAt::Beginning => Start::Beginning,
        };
        let source = LogSource {
            service: self.service.clone(),
            source: self.source.clone(),
            tags: self.tags.iter().collect(),
            ..LogSource::default()
        };
        let max_bytes = self.max_log_size.as_usize();
        let splitter = Splitter { encoding: self.encoding, max_bytes };
        let joining = boundary.flatten().map(|boundary| self.joining(boundary));
        FileSet { splitter, joining, rules: Rules::default(), start, source }
    }

    /// How lines are joined; only the bytes of a record are limited.
    pub(crate) fn joining(&self, boundary: Boundary) -> Joining {
        Joining {
            max_lines: usize::MAX,
            max_bytes: self.max_log_size.as_usize(),
            timeout: self.options().force_flush.unwrap_or(std::time::Duration::MAX),
            ..Joining::at(boundary)
        }
    }
}

/// Where a receiver's checkpoint is below the state directory.
pub(crate) fn checkpoint_folder(id: &str) -> PathBuf {
    // An id has a slash at most once; as a name it must have none.
    PathBuf::from("checkpoints").join(id.replace('%', "%25").replace('/', "%2F"))
}

#[cfg(test)]
mod tests {
    use hornpipe_engine::Registry;
    use hornpipe_engine::config::{Diagnostics, Source};

    use super::*;

    fn parse(json: &str) -> Result<FilelogConfig, serde_json::Error> {
        serde_json::from_str(json)
    }

    fn problems(json: &str) -> Vec<(String, String)> {
        let mut report = Report::new();
        parse(json).unwrap().validate(&mut report);
        report.problems().iter().map(|problem| (problem.path.clone(), problem.message.clone())).collect()
    }

    #[test]
    fn the_names_are_the_collectors_and_unknown_ones_are_refused() {
        let config = parse(
            r##"{"include": ["/var/log/*.log"], "exclude": ["/var/log/x.log"], "start_at": "beginning",
                "poll_interval": "1s", "fingerprint_size": "1kb", "max_log_size": "2MiB", "max_concurrent_files": 10,
                "encoding": "utf-16le", "multiline": {"line_start_pattern": "^#", "omit_pattern": true},
                "force_flush_period": "0s", "compression": "auto", "tags": ["env:prod"]}"##,
        )
        .unwrap();
        assert_eq!((config.start_at, config.encoding), (StartAt::Beginning, Encoding::Utf16Le));
        assert_eq!(config.compression, Compression::Auto);
        assert_eq!(config.options().force_flush, None);
        assert!(parse(r#"{"includes": []}"#).is_err());
    }

    #[test]
    fn the_collectors_options_that_are_not_here_have_advice() {
        for (key, words) in FilelogConfig::ELSEWHERE {
            let mut found = Diagnostics::new();
            let source = Source::new("pipeline.yaml", format!("include: [/a]\n{key}: x"), 0);
            let node = hornpipe_engine::config::parse(&source, &mut found).unwrap();
            let registry = Registry::default().receiver::<FilelogConfig>();
            (registry.receivers[0].decode)(&node, "receivers.filelog", &mut found);
            let found: Vec<_> = found.iter().collect();
            assert!(found.len() == 1 && found[0].message.contains(key), "{found:?}");
            assert_eq!(found[0].help.as_deref(), Some(*words));
        }
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_place() {
        for (json, path, words) in [
            ("{}", "include", "names no file"),
            (r#"{"include": ["/a", "/b[x"]}"#, "include.1", "\"/b[x\" is no pattern of paths: unclosed"),
            (r#"{"include": ["/a"], "exclude": ["[x"]}"#, "exclude.0", "is no pattern"),
            (r#"{"include": ["/a"], "fingerprint_size": 15}"#, "fingerprint_size", "16B"),
            (r#"{"include": ["/a"], "max_log_size": 15}"#, "max_log_size", "1KiB"),
            (r#"{"include": ["/a"], "max_concurrent_files": 0}"#, "max_concurrent_files", "at least 1"),
            (r#"{"include": ["/a"], "poll_interval": "0s"}"#, "poll_interval", "more than"),
            (
                r#"{"include": ["/a"], "multiline": {"line_start_pattern": "a("}}"#,
                "multiline.line_start_pattern",
                "unclosed group",
            ),
            (
                r#"{"include": ["/a"], "multiline": {"line_start_pattern": "a", "line_end_pattern": "b"}}"#,
                "multiline.line_end_pattern",
                "only one of",
            ),
        ] {
            let found = problems(json);
            assert!(found.len() == 1 && found[0].0 == path && found[0].1.contains(words), "{json}: {found:?}");
        }
        for (json, path, words) in [
            (r#"{"logs": [{"type": "file", "path": "/b[x"}]}"#, "logs.0.path", "is no pattern"),
            (
                r#"{"logs": [{"type": "file", "path": "/b", "log_processing_rules": [{"type": "multi_line", "name": "x", "pattern": "("}]}]}"#,
                "logs.0.log_processing_rules.0.pattern",
                "unclosed group",
            ),
        ] {
            let found = problems(json);
            assert!(found.len() == 1 && found[0].0 == path && found[0].1.contains(words), "{json}: {found:?}");
        }
        assert_eq!(problems(r#"{"include": ["/a"]}"#), []);
    }

    #[test]
    fn each_receiver_has_a_folder_of_its_own() {
        assert_eq!(checkpoint_folder("filelog/access"), PathBuf::from("checkpoints/filelog%2Faccess"));
        assert_eq!(checkpoint_folder("filelog"), PathBuf::from("checkpoints/filelog"));
    }
}
