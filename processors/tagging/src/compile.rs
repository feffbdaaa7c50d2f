//! From settings to rules.

use std::borrow::Cow;

use hornpipe_engine::config::{Environment, Report};
use hornpipe_engine::{MatchType, Template};
use regex::Regex;

use crate::config::{Action, ActionKind, TaggingConfig, ValueFrom};
use crate::environment;
use crate::labels::tag;
use crate::operation::{Extraction, Operation, Selection};
use crate::rules::{Rules, Step};

/// The rules that the settings ask for; problems go to the report. `host` is the host's name, where it is known.
pub(crate) fn rules(
    config: &TaggingConfig,
    environment: &dyn Environment,
    host: Option<&str>,
    report: &mut Report,
) -> Rules {
    let mut rules =
        Rules { metrics: patterns(&config.metrics, config.match_type, "metrics", report), steps: Vec::new() };
    if config.from_environment {
        match environment::defaults(environment) {
            Ok(defaults) => {
                rules.steps.extend(defaults.into_iter().map(|operation| Step { operation, metrics: Vec::new() }));
            }
            Err(message) => report.error("from_environment", message),
        }
    }
    for (index, action) in config.actions.iter().enumerate() {
        let mut compiler = Compiler { action, path: format!("actions.{index}"), host, report };
        compiler.refuse_what_is_not_used();
        let metrics = patterns(&action.metrics, config.match_type, &compiler.at("metrics"), compiler.report);
        let operation = compiler.operation();
        rules.steps.extend(operation.map(|operation| Step { operation, metrics }));
    }
    rules
}

fn patterns(patterns: &[String], match_type: MatchType, path: &str, report: &mut Report) -> Vec<Regex> {
    let mut compiled = Vec::with_capacity(patterns.len());
    for (index, pattern) in patterns.iter().enumerate() {
        match match_type.compile(pattern) {
            Ok(pattern) => compiled.push(pattern),
            Err(error) => report.error(&format!("{path}.{index}"), error.to_string()),
        }
    }
    compiled
}

/// One action on its way to an operation.
struct Compiler<'a> {
    action: &'a Action,
    /// Where the action stands in the settings.
    path: String,
    host: Option<&'a str>,
    report: &'a mut Report,
}

/// The value of a tag to add.
enum Given {
    /// None: the tag is bare.
    Bare,
    /// An empty one: there is nothing to do.
    Nothing,
    /// This one.
    Value(String),
}

impl Compiler<'_> {
    /// The operation; `None` where it has nothing to do or cannot be used.
    fn operation(&mut self) -> Option<Operation> {
        match self.action.action {
            ActionKind::Default => {
                let (key, tag) = self.key_and_tag()?;
                Some(Operation::Default { key, tags: vec![tag] })
            }
            ActionKind::Add => self.key_and_tag().map(|(_, tag)| Operation::Add { tag }),
            ActionKind::Set => self.key_and_tag().map(|(key, tag)| Operation::Set { key, tag }),
            ActionKind::Remove => self.selection().map(Operation::Remove),
            ActionKind::Rename => {
                let (from, to) = (self.key("from", &self.action.from), self.key("to", &self.action.to));
                Some(Operation::Rename { from: from?, to: to? })
            }
            ActionKind::Extract => self.extraction().map(|extraction| Operation::Extract(Box::new(extraction))),
        }
    }

    fn key_and_tag(&mut self) -> Option<(String, String)> {
        let key = self.key("tag", &self.action.tag)?;
        match self.given() {
            Given::Bare => Some((key.clone(), key)),
            Given::Nothing => None,
            Given::Value(value) => Some((key.clone(), tag(&key, &value))),
        }
    }

    fn given(&self) -> Given {
        let value = match (&self.action.value, self.action.value_from) {
            (Some(value), _) => value.as_str(),
            (None, Some(ValueFrom::Host)) => self.host.unwrap_or_default(),
            (None, None) => return Given::Bare,
        };
        if value.is_empty() { Given::Nothing } else { Given::Value(value.to_owned()) }
    }

    fn selection(&mut self) -> Option<Selection> {
        let Action { tag: key, pattern, value, .. } = self.action;
        if pattern.is_empty() {
            let key = self.key("tag", key)?;
            return match value {
                None => Some(Selection::Key(key)),
                Some(value) if value.is_empty() => None,
                Some(value) => Some(Selection::Exact(tag(&key, value))),
            };
        }
        if !key.is_empty() || value.is_some() {
            self.error("pattern", "takes the place of `tag` and `value`", "use two actions to remove by both");
        }
        self.regex("pattern").map(Selection::Pattern)
    }

    fn extraction(&mut self) -> Option<Extraction> {
        let Action { tag, value, pattern, name, unit, .. } = self.action;
        if pattern.is_empty() {
            self.missing("pattern");
            return None;
        }
        let pattern = self.regex("pattern")?;
        if tag.is_empty() && name.is_empty() && pattern.capture_names().flatten().next().is_none() {
            self.error("pattern", "takes nothing out of the name", "add `tag`, `name` or a named group, `(?<key>…)`");
        }
        if tag.is_empty() && value.is_some() {
            self.missing("tag");
        }
        if name.is_empty() && !unit.is_empty() {
            self.error("unit", "is for a metric that gets another name", "add `name`, or leave `unit` out");
        }
        let name = (!name.is_empty()).then(|| Template::parse(name));
        let value = Template::parse(value.as_deref().unwrap_or("$1"));
        let tag = if tag.is_empty() { None } else { Some((self.key("tag", tag)?, value)) };
        self.check_groups(&pattern, "name", name.as_ref());
        let option = if self.action.value.is_some() { "value" } else { "pattern" };
        self.check_groups(&pattern, option, tag.as_ref().map(|(_, value)| value));
        let unit = (!unit.is_empty()).then(|| unit.clone());
        Some(Extraction { pattern, name, unit, tag })
    }

    /// A key, which holds no colon.
    fn key(&mut self, option: &str, text: &str) -> Option<String> {
        if text.is_empty() {
            self.missing(option);
            return None;
        }
        if text.contains(':') {
            self.error(option, "a tag's key holds no colon", "write key and value apart: `tag: env, value: prod`");
            return None;
        }
        Some(text.to_owned())
    }

    fn regex(&mut self, option: &str) -> Option<Regex> {
        match MatchType::Regex.compile(&self.action.pattern) {
            Ok(regex) => Some(regex),
            Err(error) => {
                self.report.error(&self.at(option), error.to_string());
                None
            }
        }
    }

    fn check_groups(&mut self, pattern: &Regex, option: &str, template: Option<&Template>) {
        let (wanted, groups) = (template.map_or(0, Template::highest_group), pattern.captures_len() - 1);
        if wanted > groups {
            let message = format!("`pattern` has no group for `${wanted}`");
            self.error(option, message, r"put parentheses around what to take: `status\.(\d+)`");
        }
    }

    /// An option that another kind of action would use is a mistake.
    fn refuse_what_is_not_used(&mut self) {
        let Action { action: kind, tag, value, value_from, from, to, pattern, name, unit, metrics: _ } = self.action;
        let used: &[&str] = match kind {
            ActionKind::Default | ActionKind::Add | ActionKind::Set => &["tag", "value", "value_from"],
            ActionKind::Remove => &["tag", "value", "pattern"],
            ActionKind::Rename => &["from", "to"],
            ActionKind::Extract => &["pattern", "name", "unit", "tag", "value"],
        };
        let given = [
            ("tag", !tag.is_empty()),
            ("value", value.is_some()),
            ("value_from", value_from.is_some()),
            ("from", !from.is_empty()),
            ("to", !to.is_empty()),
            ("pattern", !pattern.is_empty()),
            ("name", !name.is_empty()),
            ("unit", !unit.is_empty()),
        ];
        let help = format!("`{}` takes {} and metrics", kind.as_str(), used.join(", "));
        for (option, _) in given.iter().filter(|(option, is_given)| *is_given && !used.contains(option)) {
            self.error(option, format!("`{}` has no use for it", kind.as_str()), help.clone());
        }
        if value.is_some() && value_from.is_some() && used.contains(&"value_from") {
            self.error("value_from", "the value is given already", "leave out `value` or `value_from`");
        }
    }

    fn missing(&mut self, option: &str) {
        let kind = self.action.action.as_str();
        self.report.error(&self.at(option), format!("`{kind}` needs `{option}`"));
    }

    fn error(&mut self, option: &str, message: impl Into<Cow<'static, str>>, help: impl Into<Cow<'static, str>>) {
        self.report.error_with_help(&self.at(option), message, help);
    }

    fn at(&self, option: &str) -> String {
        format!("{}.{option}", self.path)
    }
}
