//! Settings of the `filter` processor.

use hornpipe_engine::config::Report;
use hornpipe_engine::logs::{Rule, RuleKind, Rules};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A mask that needs no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReadyMask {
    /// `Authorization` headers, bearer tokens, JSON Web Tokens.
    BearerTokens,
    /// Values of `api_key=`, `password:` and the like, and keys of known form.
    ApiKeys,
    /// E-mail addresses.
    EmailAddresses,
    /// Numbers of payment cards, by form, brand and check digit.
    CardNumbers,
    /// `user:password@` in URLs.
    UrlCredentials,
}

/// Settings of the `filter` processor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FilterConfig {
    /// Rules as in the Agent's `log_processing_rules`, in order. Each sees what those before it masked; the first that drops
    /// a record decides.
    pub rules: Vec<Rule>,
    /// Masks that need no pattern, after the rules: `bearer_tokens`, `api_keys`, `email_addresses`, `card_numbers`,
    /// `url_credentials`. What they find becomes `[masked]`.
    pub masks: Vec<ReadyMask>,
}

impl FilterConfig {
    /// The rules, ready for use; problems go to the report.
    pub(crate) fn rules(&self, report: &mut Report) -> Rules {
        for (index, rule) in self.rules.iter().enumerate() {
            if rule.kind == RuleKind::MultiLine {
                let help =
                    "put a `multiline` processor in front of this one, or set `multiline` in the `filelog` receiver";
                report.error_with_help(&format!("rules.{index}.type"), "lines are not joined here", help);
            }
        }
        Rules::compile(&self.rules, "rules", report)
    }
}
