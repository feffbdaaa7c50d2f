//! Settings of the `filelog` receiver.

use std::path::PathBuf;

use hornpipe_engine::component::{BuildContext, BuildError, ComponentType, Receiver, ReceiverConfig};
use hornpipe_engine::config::{ByteSize, Duration, Report};
use hornpipe_model::{LogSource, Signal};
use regex::bytes::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::encoding::Encoding;
use crate::find::Finder;
use crate::handle::Compression;
use crate::receiver::FilelogReceiver;
use crate::splitter::{Multiline, Splitter};
use crate::tailer::{FileSet, Options, Start};

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
    /// What makes several lines one record. Set one of the two patterns, or none.
    pub multiline: MultilineConfig,
    /// How long an incomplete record waits for its rest after the file grew last; `0s` means for ever.
    pub force_flush_period: Duration,
    /// Whether files are decompressed: `gzip`, `auto` (where they begin as gzip does), or not.
    pub compression: Compression,
    /// Datadog's `service` of the records; `service.name` over OTLP.
    pub service: String,
    /// Datadog's `source`, which selects its pipeline there: `gunicorn`, for example.
    pub source: String,
    /// Tags of the records, such as `env:prod`; attributes over OTLP.
    pub tags: Vec<String>,
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
            multiline: MultilineConfig::default(),
            force_flush_period: Duration::from_millis(500),
            compression: Compression::default(),
            service: String::new(),
            source: String::new(),
            tags: Vec::new(),
        }
    }
}

impl ComponentType for FilelogConfig {
    const TYPE: &'static str = "filelog";
    const ALIASES: &'static [&'static str] = &["file_log"];
    const SIGNALS: &'static [Signal] = &[Signal::Logs];
    const SUMMARY: &'static str = "Log files, through every kind of rotation, with nothing lost or read twice";
}

impl ReceiverConfig for FilelogConfig {
    fn validate(&self, report: &mut Report) {
        if self.include.is_empty() {
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
        if self.max_concurrent_files == 0 {
            report.error("max_concurrent_files", "must be at least 1");
        }
        if self.poll_interval.is_zero() {
            report.error("poll_interval", "must be more than 0s");
        }
        for error in self.compile().err().into_iter().flatten() {
            report.error(&error.option, error.message);
        }
    }

    fn build(&self, context: BuildContext) -> Result<Box<dyn Receiver>, BuildError> {
        let (finder, sets) = self.compile().map_err(|mut errors| errors.remove(0))?;
        Ok(Box::new(FilelogReceiver::new(self.options(), self.poll_interval.get(), finder, sets, context)))
    }
}

impl FilelogConfig {
    fn options(&self) -> Options {
        Options {
            fingerprint_size: self.fingerprint_size.as_usize(),
            max_open: self.max_concurrent_files,
            force_flush: Some(self.force_flush_period.get()).filter(|period| !period.is_zero()),
            compression: self.compression,
        }
    }

    /// The patterns and file sets; or all that is wrong with them, at least one.
    fn compile(&self) -> Result<(Finder, Vec<FileSet>), Vec<BuildError>> {
        let mut errors = Vec::new();
        let mut finder = Finder::default();
        if let Err((pattern, problem)) = finder.add_set(&self.include, &self.exclude) {
            let list =
                if self.include.contains(&pattern) { ("include", &self.include) } else { ("exclude", &self.exclude) };
            let index = list.1.iter().position(|known| *known == pattern);
            let option = index.map_or(list.0.to_owned(), |index| format!("{}[{index}]", list.0));
            errors.push(BuildError::new(option, format!("{pattern:?} is no pattern of paths: {problem}")));
        }
        let multiline = self.multiline.compile().unwrap_or_else(|error| {
            errors.push(error);
            None
        });
        if !errors.is_empty() {
            return Err(errors);
        }
        let splitter = Splitter {
            encoding: self.encoding,
            multiline,
            omits_pattern: self.multiline.omit_pattern,
            max_bytes: self.max_log_size.as_usize(),
        };
        let start = match self.start_at {
            StartAt::End => Start::End,
            StartAt::Beginning => Start::Beginning,
        };
        let source = LogSource {
            path: String::new(),
            service: self.service.clone(),
            source: self.source.clone(),
            tags: self.tags.iter().collect(),
        };
        Ok((finder, vec![FileSet { splitter, start, source }]))
    }
}

impl MultilineConfig {
    fn compile(&self) -> Result<Option<Multiline>, BuildError> {
        match (self.line_start_pattern.as_str(), self.line_end_pattern.as_str()) {
            ("", "") => Ok(None),
            (start, "") => regex("multiline.line_start_pattern", start, &format!("^(?:{start})"))
                .map(|regex| Some(Multiline::Start(regex))),
            ("", end) => regex("multiline.line_end_pattern", end, end).map(|regex| Some(Multiline::End(regex))),
            _ => Err(BuildError::new("multiline", "only one of line_start_pattern and line_end_pattern can be set")),
        }
    }
}

fn regex(option: &str, written: &str, pattern: &str) -> Result<Regex, BuildError> {
    // What is wrong is told of the pattern as it was written, not as it is used.
    let checked = Regex::new(written).and_then(|_| Regex::new(pattern));
    checked.map_err(|error| {
        let words = error.to_string();
        let reason = words.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
        BuildError::new(option, format!("not a regular expression: {reason}"))
    })
}

/// Where a receiver's checkpoint is below the state directory.
pub(crate) fn checkpoint_folder(id: &str) -> PathBuf {
    // An id has a slash at most once; as a name it must have none.
    PathBuf::from("checkpoints").join(id.replace('%', "%25").replace('/', "%2F"))
}

#[cfg(test)]
mod tests {
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
    fn what_cannot_work_is_refused_with_its_place() {
        for (json, path, words) in [
            ("{}", "include", "names no file"),
            (r#"{"include": ["/a", "/b[x"]}"#, "include[1]", "\"/b[x\" is no pattern of paths: unclosed"),
            (r#"{"include": ["/a"], "exclude": ["[x"]}"#, "exclude[0]", "is no pattern"),
            (r#"{"include": ["/a"], "fingerprint_size": 15}"#, "fingerprint_size", "16B"),
            (r#"{"include": ["/a"], "max_log_size": 15}"#, "max_log_size", "1KiB"),
            (r#"{"include": ["/a"], "max_concurrent_files": 0}"#, "max_concurrent_files", "at least 1"),
            (r#"{"include": ["/a"], "poll_interval": "0s"}"#, "poll_interval", "more than"),
            (
                r#"{"include": ["/a"], "multiline": {"line_start_pattern": "a("}}"#,
                "multiline.line_start_pattern",
                "not a regular expression: unclosed group",
            ),
            (
                r#"{"include": ["/a"], "multiline": {"line_start_pattern": "a", "line_end_pattern": "b"}}"#,
                "multiline",
                "only one of",
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
