//! Whom a point belongs to: its host, its other resources, and its tags.

use hornpipe_model::{Context, Tags};

/// Tags between a Datadog client and its Agent; they are not for the intake.
const INTERNAL: &str = "dd.internal.";
/// `dd.internal.resource:<type>:<name>` names a resource of the series.
const INTERNAL_RESOURCE: &str = "dd.internal.resource:";
/// `device:<name>` does too, of the type `device`.
const DEVICE: &str = "device:";
/// `host:<name>` is the host. The receiver takes out a client's own; what is left was set on the way (by `tagging`).
const HOST: &str = "host:";

/// Whether a tag may have a meaning of its own: most have not, and their first letter tells it.
fn may_be_special(tag: &str) -> bool {
    matches!(tag.as_bytes().first(), Some(b'd' | b'h'))
}

/// The host of a point: the last that its tags say, else the client's own (an empty one says "none"), else `host`. Empty
/// means that there is none.
pub(crate) fn host_of<'a>(context: &'a Context, host: &'a str) -> &'a str {
    let special = context.tags().iter().filter(|tag| may_be_special(tag));
    let tagged = special.filter_map(|tag| tag.strip_prefix(HOST)).last();
    tagged.or(context.host()).unwrap_or(host)
}

/// The resources of a series as type and name: first the host, then what its tags say, as the Agent has it.
pub(crate) fn resources<'a>(host: &'a str, tags: &'a Tags) -> impl Iterator<Item = (&'a str, &'a str)> {
    let host = Some(("host", host)).filter(|(_, name)| !name.is_empty());
    host.into_iter().chain(tags.iter().filter(|tag| may_be_special(tag)).filter_map(resource_of_tag))
}

fn resource_of_tag(tag: &str) -> Option<(&str, &str)> {
    let (kind, name) = match tag.strip_prefix(INTERNAL_RESOURCE) {
        Some(resource) => resource.split_once(':')?,
        None => ("device", tag.strip_prefix(DEVICE)?),
    };
    (!kind.is_empty() && !name.is_empty()).then_some((kind, name))
}

/// The tags that a series is sent with, less those that became its resources.
pub(crate) fn series_tags(tags: &Tags) -> impl Iterator<Item = &str> {
    let is_resource = |tag: &str| tag.starts_with(INTERNAL) || tag.starts_with(HOST) || tag.starts_with(DEVICE);
    tags.iter().filter(move |tag| !may_be_special(tag) || !is_resource(tag))
}

/// The tags that a sketch or a service check is sent with; those have no resources but the host, so `device:` stays.
pub(crate) fn point_tags(tags: &Tags) -> impl Iterator<Item = &str> {
    public_tags(tags).filter(|tag| !tag.starts_with(HOST))
}

/// The tags that a record is sent with.
pub(crate) fn public_tags(tags: &Tags) -> impl Iterator<Item = &str> {
    tags.iter().filter(|tag| !tag.starts_with(INTERNAL))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    #[test]
    fn the_clients_host_wins_and_an_empty_one_means_none() {
        for (own, expected) in [(None, "ours"), (Some("web2"), "web2"), (Some(""), "")] {
            let context = Context::with_unit("x", Tags::default(), own, Cow::Borrowed(""));
            assert_eq!(host_of(&context, "ours"), expected, "{own:?}");
        }
    }

    #[test]
    fn a_host_tag_is_the_host_and_no_tag_any_more() {
        for (tags, expected) in [(&["host:web3", "a:b"][..], "web3"), (&["host:"], ""), (&["hostname:x"], "web2")] {
            let tags: Tags = tags.iter().copied().collect();
            let context = Context::with_unit("x", tags.clone(), Some("web2"), Cow::Borrowed(""));
            assert_eq!(host_of(&context, "ours"), expected);
            assert!(!point_tags(&tags).any(|tag| tag.starts_with("host:")), "{tags:?}");
            assert!(!series_tags(&tags).any(|tag| tag.starts_with("host:")), "{tags:?}");
        }
    }

    #[test]
    fn tags_become_resources_as_in_the_agent() {
        let tags: Tags = [
            "dd.internal.card:low",
            "dd.internal.resource::no_type",
            "dd.internal.resource:aws_rds:db-1:2",
            "dd.internal.resource:no_name:",
            "dd.internal.resource:nothing",
            "device:eth0",
            "device",
            "env:prod",
        ]
        .into_iter()
        .collect();
        let expected = [("host", "web1"), ("aws_rds", "db-1:2"), ("device", "eth0")];
        assert_eq!(resources("web1", &tags).collect::<Vec<_>>(), expected);
        assert_eq!(resources("", &tags).collect::<Vec<_>>(), expected[1..]);
        assert_eq!(series_tags(&tags).collect::<Vec<_>>(), ["device", "env:prod"]);
        assert_eq!(public_tags(&tags).collect::<Vec<_>>(), ["device", "device:eth0", "env:prod"]);
    }

    #[test]
    fn an_empty_device_is_taken_out_without_a_resource() {
        let tags: Tags = ["device:"].into_iter().collect();
        assert_eq!(resources("", &tags).count(), 0);
        assert_eq!(series_tags(&tags).count(), 0);
    }
}
