//! Settings of the `tagging` processor.

use hornpipe_engine::MatchType;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// What an action does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// Adds a tag where its key is missing.
    Default,
    /// Adds a tag, next to others of its key.
    Add,
    /// Replaces every tag of a key with one.
    Set,
    /// Removes tags.
    Remove,
    /// Gives tags another key.
    Rename,
    /// Takes tags out of a metric's name.
    Extract,
}

impl ActionKind {
    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            ActionKind::Default => "default",
            ActionKind::Add => "add",
            ActionKind::Set => "set",
            ActionKind::Remove => "remove",
            ActionKind::Rename => "rename",
            ActionKind::Extract => "extract",
        }
    }
}

/// Where a value comes from, other than from the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ValueFrom {
    /// The name of the host that hornpipe runs on.
    Host,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// `default` adds a tag where its key is missing, `add` adds one more, `set` replaces every tag of the key, `remove`
    /// removes, `rename` changes a key, `extract` takes tags out of a metric's name.
    pub action: ActionKind,
    /// The tag's key. For `remove`: every tag of this key; for `extract`: the key of a tag to add.
    #[serde(default)]
    pub tag: String,
    /// The tag's value. Empty (a variable that is not set): the action does nothing. Left out: a bare tag; for `remove` every
    /// value; for `extract` `$1`, the first group of `pattern`.
    #[serde(default, deserialize_with = "given_text")]
    pub value: Option<String>,
    /// Takes the value from elsewhere: `host` is the name of the host that hornpipe runs on.
    #[serde(default)]
    pub value_from: Option<ValueFrom>,
    /// For `rename`: the key that tags have.
    #[serde(default)]
    pub from: String,
    /// For `rename`: the key that they get.
    #[serde(default)]
    pub to: String,
    /// A regular expression. For `remove`: matches whole tags (`debug_.*`, `url:http:.*`); for `extract`: the whole name of the
    /// metric. Each named group, `(?<worker>\d+)`, becomes a tag.
    #[serde(default)]
    pub pattern: String,
    /// For `extract`: the metric's new name, in which `$1` is the first group of `pattern`. Left out: the name stays.
    #[serde(default)]
    pub name: String,
    /// For `extract`: the unit of the renamed metric as a UCUM code (`ms`, `By`, `{request}`). Left out: the one that Datadog's
    /// Gunicorn integration gives to the new name, else the unit stays.
    #[serde(default)]
    pub unit: String,
    /// Does it for the metrics that one of these patterns names, and for no logs. Empty: for all.
    #[serde(default)]
    pub metrics: Vec<String>,
}

/// Settings of the `tagging` processor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TaggingConfig {
    /// What to do, in order: each action sees what those before it made.
    pub actions: Vec<Action>,
    /// Does anything at all only for the metrics that one of these patterns names, and for no logs. Empty: for all.
    pub metrics: Vec<String>,
    /// How the patterns of `metrics` are written, here and in actions: `wildcard` (`*` is anything without a dot, `**` anything)
    /// or `regex`.
    pub match_type: MatchType,
    /// Before the actions, adds `env`, `service`, `version` and other tags where their keys are missing, from `DD_ENV`,
    /// `DD_SERVICE`, `DD_VERSION`, `DD_TAGS`, `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`.
    pub from_environment: bool,
}

/// Text where the option is given, so that an empty text (a variable that is not set) differs from none.
fn given_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}
