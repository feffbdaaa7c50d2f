//! Texts that a regular expression describes.

use hornpipe_model::Value;
use regex::Regex;

use crate::fields::Fields;
use crate::level;
use crate::time::Times;

/// A regular expression with named groups.
pub(crate) struct Pattern {
    regex: Regex,
    groups: Vec<(usize, Group)>,
    times: Times,
}

enum Group {
    Timestamp,
    Severity,
    /// A whole number by the semantic conventions.
    Int(String),
    Text(String),
}

/// Attributes that are whole numbers by the semantic conventions, among those that a log line may hold.
const INTS: [&str; 10] = [
    "process.pid",
    "http.response.status_code",
    "http.response.body.size",
    "http.response.size",
    "http.request.body.size",
    "http.request.size",
    "client.port",
    "server.port",
    "thread.id",
    "code.line.number",
];

impl Pattern {
    pub(crate) fn new(pattern: &str, times: Times) -> Result<Pattern, String> {
        // The engine's words for what is wrong; logs are matched as text here.
        hornpipe_engine::logs::compile(pattern).map_err(|error| error.to_string())?;
        let regex = Regex::new(pattern).map_err(|error| error.to_string())?;
        let named = regex.capture_names().enumerate().filter_map(|(index, name)| Some((index, name?)));
        let groups: Vec<(usize, Group)> = named
            .map(|(index, name)| {
                let group = match name {
                    "timestamp" => Group::Timestamp,
                    "severity" => Group::Severity,
                    "pid" => Group::Int("process.pid".to_owned()),
                    name if INTS.contains(&name) => Group::Int(name.to_owned()),
                    name => Group::Text(name.to_owned()),
                };
                (index, group)
            })
            .collect();
        if groups.is_empty() {
            return Err("no group has a name; name what to take out: `(?<http.route>\\S+)`".to_owned());
        }
        Ok(Pattern { regex, groups, times })
    }

    pub(crate) fn fields(&self, text: &str) -> Option<Fields> {
        let captures = self.regex.captures(text)?;
        let mut fields = Fields::default();
        for (index, group) in &self.groups {
            let Some(found) = captures.get(*index) else { continue };
            let found = found.as_str();
            match group {
                Group::Timestamp => fields.time = self.times.parse(found),
                Group::Severity => {
                    fields.severity = level::severity(found).map(|severity| (severity, found.to_owned()));
                }
                Group::Int(key) => match found.parse() {
                    Ok(number) => fields.add(key, Value::Int(number)),
                    Err(_) => fields.add_text(key, found),
                },
                Group::Text(key) => fields.add_text(key, found),
            }
        }
        Some(fields)
    }
}
