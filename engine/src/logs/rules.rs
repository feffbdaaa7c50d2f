//! The Agent's `log_processing_rules`.
//!
//! Same names, order and meaning as in the Agent: lines are joined first, so that rules see whole records; then each rule in
//! the order of the list; the first that drops a record decides; a rule sees what those before it masked.
//! (Datadog's documentation of advanced log collection; `pkg/logs` of the Agent.)

use std::borrow::Cow;

use regex::bytes::{NoExpand, Regex};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::boundary::Boundary;
use super::pattern;
use crate::Reason;
use crate::config::Report;

/// A record that an `exclude_at_match` rule dropped.
pub const EXCLUDED: Reason = "excluded";
/// A record that an `include_at_match` rule did not let pass.
pub const NOT_INCLUDED: Reason = "not_included";

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleKind {
    /// Drops records that match.
    ExcludeAtMatch,
    /// Drops records that do not match.
    IncludeAtMatch,
    /// Replaces what matches.
    MaskSequences,
    /// Joins lines to records.
    MultiLine,
}

impl RuleKind {
    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            RuleKind::ExcludeAtMatch => "exclude_at_match",
            RuleKind::IncludeAtMatch => "include_at_match",
            RuleKind::MaskSequences => "mask_sequences",
            RuleKind::MultiLine => "multi_line",
        }
    }
}

/// A rule as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// `exclude_at_match` drops the records in which the pattern matches, `include_at_match` those in which it does not,
    /// `mask_sequences` replaces what it matches, `multi_line` joins the lines behind one that it matches at its beginning.
    #[serde(rename = "type")]
    pub kind: RuleKind,
    /// Names the rule in errors.
    #[serde(default)]
    pub name: String,
    /// A regular expression (RE2). It matches anywhere in the record; that of `multi_line` at the beginning of a line.
    #[serde(default)]
    pub pattern: String,
    /// For `mask_sequences`: what stands instead. `$1` or `${1}` is the pattern's first group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace_placeholder: Option<String>,
}

/// What becomes of a record.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict<'t> {
    /// It stays, as it is or masked.
    Keep(Cow<'t, [u8]>),
    /// It is dropped.
    Drop(Reason),
}

/// A list of rules, ready for use.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    steps: Vec<Step>,
    boundary: Option<Boundary>,
}

#[derive(Clone, Debug)]
enum Step {
    Exclude(Regex),
    Include(Regex),
    Mask { pattern: Regex, placeholder: Vec<u8>, has_groups: bool },
}

impl Rules {
    /// The rules that stand at `path`, such as `log_processing_rules`. What cannot be used goes to the report.
    pub fn compile(rules: &[Rule], path: &str, report: &mut Report) -> Rules {
        let mut compiled = Rules::default();
        for (index, rule) in rules.iter().enumerate() {
            compiled.add(rule, &format!("{path}.{index}"), report);
        }
        compiled
    }

    /// Where records begin, by the `multi_line` rule. Of several the last counts.
    pub fn boundary(&self) -> Option<&Boundary> {
        self.boundary.as_ref()
    }

    /// True where no rule looks at whole records.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Applies the rules to a record. Nothing is copied unless something is masked.
    pub fn apply<'t>(&self, record: &'t [u8]) -> Verdict<'t> {
        let mut text = Cow::Borrowed(record);
        for step in &self.steps {
            match step {
                Step::Exclude(pattern) if pattern.is_match(&text) => return Verdict::Drop(EXCLUDED),
                Step::Include(pattern) if !pattern.is_match(&text) => return Verdict::Drop(NOT_INCLUDED),
                Step::Exclude(_) | Step::Include(_) => {}
                Step::Mask { pattern, placeholder, has_groups } => {
                    if let Some(masked) = mask(pattern, placeholder, *has_groups, &text) {
                        text = Cow::Owned(masked);
                    }
                }
            }
        }
        Verdict::Keep(text)
    }

    /// Masks a text beside the record's own, such as an attribute; `None` where nothing matches.
    pub fn mask(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut masked: Option<Vec<u8>> = None;
        for step in &self.steps {
            if let Step::Mask { pattern, placeholder, has_groups } = step {
                let next = mask(pattern, placeholder, *has_groups, masked.as_deref().unwrap_or(text));
                masked = next.or(masked);
            }
        }
        masked
    }

    fn add(&mut self, rule: &Rule, path: &str, report: &mut Report) {
        let at = |option: &str| format!("{path}.{option}");
        let kind = rule.kind.as_str();
        if rule.name.is_empty() {
            report.error(&at("name"), "all processing rules must have a name");
        }
        if rule.replace_placeholder.is_some() && rule.kind != RuleKind::MaskSequences {
            // At the kind: where that is misspelled, another stands for it, and the error is no news.
            report.error(&at("type"), format!("`{kind}` has no use for `replace_placeholder`"));
        }
        if rule.pattern.is_empty() {
            report.error(&at("pattern"), format!("no pattern provided for processing rule: {}", rule.name));
            return;
        }
        let failed = |error: crate::InvalidPattern, report: &mut Report| {
            report.error(&at("pattern"), format!("invalid pattern for processing rule {}: {error}", rule.name));
        };
        if rule.kind == RuleKind::MultiLine {
            match Boundary::start(&rule.pattern) {
                Ok(boundary) => {
                    if self.boundary.replace(boundary).is_some() {
                        report.warning(path, "of several `multi_line` rules only the last is used");
                    }
                }
                Err(error) => failed(error, report),
            }
            return;
        }
        let pattern = match pattern::compile(&rule.pattern) {
            Ok(pattern) => pattern,
            Err(error) => return failed(error, report),
        };
        self.steps.push(match (rule.kind, &rule.replace_placeholder) {
            (RuleKind::ExcludeAtMatch, _) => Step::Exclude(pattern),
            (RuleKind::IncludeAtMatch, _) => Step::Include(pattern),
            (_, Some(placeholder)) => Step::Mask {
                pattern,
                placeholder: placeholder.clone().into_bytes(),
                has_groups: placeholder.contains('$'),
            },
            (_, None) => {
                let help = "an empty text removes what matches: `replace_placeholder: \"\"`";
                report.error_with_help(&at("replace_placeholder"), format!("`{kind}` needs it"), help);
                return;
            }
        });
    }
}

/// The text with every match replaced; `None` where there is none.
fn mask(pattern: &Regex, placeholder: &[u8], has_groups: bool, text: &[u8]) -> Option<Vec<u8>> {
    // Looking for groups is slower and allocates, so first find out whether there is anything to replace.
    if !pattern.is_match(text) {
        return None;
    }
    let masked = if has_groups {
        pattern.replace_all(text, placeholder)
    } else {
        pattern.replace_all(text, NoExpand(placeholder))
    };
    Some(masked.into_owned())
}
