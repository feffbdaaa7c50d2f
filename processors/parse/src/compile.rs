//! From settings to parsers.

use hornpipe_engine::config::Report;

use crate::access::AccessLog;
use crate::config::{ParseConfig, Parser, ParserKind};
use crate::fields::Fields;
use crate::pattern::Pattern;
use crate::time::{Layout, Times};
use crate::{error_log, json};

/// A parser, ready for use.
pub(crate) enum Compiled {
    Access(AccessLog),
    ErrorLog,
    Json(Times),
    Pattern(Box<Pattern>),
}

impl Compiled {
    /// What the text holds; `None` where it has another form.
    pub(crate) fn fields(&self, text: &str) -> Option<Fields> {
        match self {
            Compiled::Access(access) => access.fields(text),
            Compiled::ErrorLog => error_log::fields(text),
            Compiled::Json(times) => json::fields(text, times),
            Compiled::Pattern(pattern) => pattern.fields(text),
        }
    }
}

/// The parsers that the settings ask for; problems go to the report.
pub(crate) fn parsers(config: &ParseConfig, report: &mut Report) -> Vec<Compiled> {
    if config.parsers.is_empty() {
        let help = "for Gunicorn: `parsers: [{type: gunicorn_error}, {type: gunicorn_access}]`";
        report.error_with_help("parsers", "no parser is given", help);
    }
    let all = config.parsers.iter().enumerate();
    all.filter_map(|(index, parser)| compile(parser, &format!("parsers.{index}"), report)).collect()
}

fn compile(parser: &Parser, path: &str, report: &mut Report) -> Option<Compiled> {
    refuse_what_is_not_used(parser, path, report);
    let at = |option: &str| format!("{path}.{option}");
    match parser.kind {
        ParserKind::GunicornError => Some(Compiled::ErrorLog),
        ParserKind::GunicornAccess => match AccessLog::new(&parser.access_log_format) {
            Ok(access) => Some(Compiled::Access(access)),
            Err(message) => {
                let help =
                    "copy Gunicorn's `--access-logformat`; its atoms are `%(h)s`, `%({x-request-id}i)s` and so on";
                report.error_with_help(&at("access_log_format"), message, help);
                None
            }
        },
        ParserKind::Json => Some(Compiled::Json(times(parser, path, report)?)),
        ParserKind::Regex if parser.pattern.is_empty() => {
            report.error(&at("pattern"), "`regex` needs a pattern");
            None
        }
        ParserKind::Regex => {
            let times = times(parser, path, report)?;
            match Pattern::new(&parser.pattern, times) {
                Ok(pattern) => Some(Compiled::Pattern(Box::new(pattern))),
                Err(message) => {
                    report.error(&at("pattern"), message);
                    None
                }
            }
        }
    }
}

fn times(parser: &Parser, path: &str, report: &mut Report) -> Option<Times> {
    if parser.timestamp_layout.is_empty() {
        return Some(Times::Usual);
    }
    match Layout::new(&parser.timestamp_layout) {
        Ok(layout) => Some(Times::Layout(layout)),
        Err(message) => {
            report.error(&format!("{path}.timestamp_layout"), message);
            None
        }
    }
}

/// An option of another parser is a mistake.
fn refuse_what_is_not_used(parser: &Parser, path: &str, report: &mut Report) {
    let Parser { kind, access_log_format, pattern, timestamp_layout } = parser;
    let used: &[&str] = match kind {
        ParserKind::GunicornAccess => &["access_log_format"],
        ParserKind::GunicornError => &[],
        ParserKind::Json => &["timestamp_layout"],
        ParserKind::Regex => &["pattern", "timestamp_layout"],
    };
    let given =
        [("access_log_format", access_log_format), ("pattern", pattern), ("timestamp_layout", timestamp_layout)];
    for (option, _) in given.iter().filter(|(option, text)| !text.is_empty() && !used.contains(option)) {
        report.error(&format!("{path}.{option}"), format!("`{}` has no use for it", kind.as_str()));
    }
}
