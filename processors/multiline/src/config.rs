//! Settings of the `multiline` processor.

use hornpipe_engine::config::{ByteSize, Duration, Report};
use hornpipe_engine::logs::{Boundary, Joining};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the `multiline` processor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MultilineConfig {
    /// A regular expression that matches at the beginning of each record's first line, as `^(?:…)`. Either this or
    /// `line_end_pattern` is set.
    pub line_start_pattern: String,
    /// A regular expression that matches anywhere in each record's last line.
    pub line_end_pattern: String,
    /// Leaves out of the record what the pattern matched.
    pub omit_pattern: bool,
    /// How long an unfinished record waits for another line, more than 0.
    pub timeout: Duration,
    /// Most lines of a record, at least 1. A longer one is split; its parts say so.
    pub max_lines: usize,
    /// Most bytes of a record, at least 1. A longer one is split between lines; its parts say so.
    pub max_bytes: ByteSize,
    /// What stands between the lines of a record.
    pub joiner: String,
    /// Attributes that name the writer on every line, beside the file: lines with different values are not joined.
    pub group_by: Vec<String>,
}

impl Default for MultilineConfig {
    fn default() -> Self {
        MultilineConfig {
            line_start_pattern: String::new(),
            line_end_pattern: String::new(),
            omit_pattern: false,
            timeout: Duration::from_secs(1),
            max_lines: 1_000,
            max_bytes: ByteSize::bytes(1 << 20),
            joiner: "\n".to_owned(),
            group_by: vec!["log.iostream".to_owned(), "container.id".to_owned()],
        }
    }
}

impl MultilineConfig {
    /// How lines are joined; problems go to the report.
    pub(crate) fn joining(&self, report: &mut Report) -> Option<Joining> {
        for (option, is_zero) in [
            ("timeout", self.timeout.is_zero()),
            ("max_lines", self.max_lines == 0),
            ("max_bytes", self.max_bytes.as_bytes() == 0),
        ] {
            if is_zero {
                report.error(option, "has to be more than 0");
            }
        }
        let boundary =
            Boundary::from_options(&self.line_start_pattern, &self.line_end_pattern, self.omit_pattern, "", report)?;
        Some(Joining {
            boundary,
            max_lines: self.max_lines,
            max_bytes: usize::try_from(self.max_bytes.as_bytes()).unwrap_or(usize::MAX),
            timeout: self.timeout.get(),
            joiner: self.joiner.clone().into_bytes(),
        })
    }
}
