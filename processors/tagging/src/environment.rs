//! Tags from the environment: Datadog's variables and OpenTelemetry's.

use std::collections::BTreeMap;

use hornpipe_engine::config::Environment;
use hornpipe_engine::resource::attributes;
use hornpipe_model::Resource;

use crate::labels::{key_of, tag};
use crate::operation::Operation;

const OTEL_RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// Attributes that have a tag of Datadog's unified service tagging.
const UNIFIED: [(&str, &str); 3] =
    [("deployment.environment.name", "env"), (Resource::SERVICE_NAME, "service"), ("service.version", "version")];
/// What the conventions called `deployment.environment.name` before.
const OLD_ENVIRONMENT: (&str, &str) = ("deployment.environment", "env");
/// Attributes that say which host and process this is; receivers put them on the resource.
const IDENTITY: [&str; 2] = [Resource::HOST_NAME, Resource::SERVICE_INSTANCE_ID];

/// The variables' tags as defaults, one a key. The first source that knows a key has it: `DD_ENV`, `DD_SERVICE` and
/// `DD_VERSION`, then `DD_TAGS`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`.
///
/// # Errors
/// A variable that cannot be used.
pub(crate) fn defaults(environment: &dyn Environment) -> Result<Vec<Operation>, String> {
    let variable = |name: &str| match environment.variable(name) {
        Ok(value) => Ok(value.unwrap_or_default().trim().to_owned()),
        Err(why) => Err(format!("cannot use `{name}`: {why}")),
    };
    let mut unified = Vec::new();
    for (name, key) in [("DD_ENV", "env"), ("DD_SERVICE", "service"), ("DD_VERSION", "version")] {
        unified.extend(non_empty_tag(key, &variable(name)?));
    }
    let datadog_tags = split_tags(&variable("DD_TAGS")?);
    let service = non_empty_tag("service", &variable("OTEL_SERVICE_NAME")?).into_iter().collect();
    let [known, old, others] = attribute_tags(&variable(OTEL_RESOURCE_ATTRIBUTES)?);

    let mut by_key: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in [unified, datadog_tags, service, known, old, others] {
        let mut of_source: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for tag in source {
            of_source.entry(key_of(&tag).to_owned()).or_default().push(tag);
        }
        for (key, tags) in of_source {
            by_key.entry(key).or_insert(tags);
        }
    }
    Ok(by_key.into_iter().map(|(key, tags)| Operation::Default { key, tags }).collect())
}

/// `DD_TAGS`: tags separated by spaces or commas. A host is no matter of tags: `DD_HOSTNAME` says it.
fn split_tags(text: &str) -> Vec<String> {
    let tags = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|tag| !tag.is_empty());
    tags.filter(|tag| key_of(tag) != "host").map(str::to_owned).collect()
}

/// The attributes with a name of their own among tags, the old name of one of these, and all others.
fn attribute_tags(list: &str) -> [Vec<String>; 3] {
    let mut tags: [Vec<String>; 3] = Default::default();
    let [known, old, others] = &mut tags;
    let by_key: BTreeMap<&str, String> = attributes(list).collect();
    for (attribute, value) in &by_key {
        if let Some((_, key)) = UNIFIED.iter().find(|(name, _)| name == attribute) {
            known.extend(non_empty_tag(key, value));
        } else if *attribute == OLD_ENVIRONMENT.0 {
            old.extend(non_empty_tag(OLD_ENVIRONMENT.1, value));
        } else if !IDENTITY.contains(attribute) && !attribute.is_empty() {
            others.extend(non_empty_tag(attribute, value));
        }
    }
    tags
}

fn non_empty_tag(key: &str, value: &str) -> Option<String> {
    (!value.is_empty()).then(|| tag(key, value))
}
