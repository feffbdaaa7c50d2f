//! What an item's tags say about its resource.

use hornpipe_model::{LogSource, Resource, Tags};

/// What an item's resource has instead of the batch's own; `None` where it has that. An empty text takes the attribute
/// away.
///
/// The tags are Datadog's unified service tags, which its own OTLP intake makes of the same attributes again. A tag counts
/// where it stands once and with a value: `env:a` beside `env:b` says nothing about the resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Owner<'a> {
    service: Option<&'a str>,
    version: Option<&'a str>,
    environment: Option<&'a str>,
    source: Option<&'a str>,
    host: Option<&'a str>,
}

impl<'a> Owner<'a> {
    /// The owner of a metric point.
    pub(super) fn of_point(tags: &'a Tags, host: Option<&'a str>) -> Self {
        Owner::of_tags(tags).at(host)
    }

    /// The owner of a source's log records.
    pub(super) fn of_source(source: &'a LogSource) -> Self {
        let set = |text: &'a str| Some(text).filter(|text| !text.is_empty());
        let tagged = Owner::of_tags(&source.tags);
        Owner { service: set(&source.service).or(tagged.service), source: set(&source.source), ..tagged }
    }

    /// The same on another host.
    pub(super) fn at(self, host: Option<&'a str>) -> Self {
        Owner { host, ..self }
    }

    fn of_tags(tags: &'a Tags) -> Self {
        let [mut service, mut version, mut environment] = [Said::Nothing; 3];
        for tag in tags.iter() {
            match tag.as_bytes().first() {
                Some(b's') => service.hear(tag.strip_prefix("service:")),
                Some(b'v') => version.hear(tag.strip_prefix("version:")),
                Some(b'e') => environment.hear(tag.strip_prefix("env:")),
                _ => {}
            }
        }
        Owner { service: service.once(), version: version.once(), environment: environment.once(), ..Owner::default() }
    }

    /// The attributes that replace the batch's.
    pub(super) fn attributes(self) -> impl Iterator<Item = (&'static str, &'a str)> {
        let all = [
            (Resource::SERVICE_NAME, self.service),
            (Resource::SERVICE_VERSION, self.version),
            (Resource::DEPLOYMENT_ENVIRONMENT_NAME, self.environment),
            (Resource::LOG_SOURCE, self.source),
            (Resource::HOST_NAME, self.host),
        ];
        all.into_iter().filter_map(|(key, value)| Some((key, value?)))
    }
}

/// How often a tag stands, and with which value.
#[derive(Clone, Copy)]
enum Said<'a> {
    Nothing,
    Once(&'a str),
    Differently,
}

impl<'a> Said<'a> {
    fn hear(&mut self, value: Option<&'a str>) {
        *self = match (*self, value) {
            (before, None | Some("")) => before,
            (Said::Nothing, Some(value)) => Said::Once(value),
            _ => Said::Differently,
        };
    }

    fn once(self) -> Option<&'a str> {
        match self {
            Said::Once(value) => Some(value),
            Said::Nothing | Said::Differently => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The attributes that tags, separated by spaces, replace: `key=value`, separated by spaces.
    fn shown(tags: &str, host: Option<&str>) -> String {
        let tags = tags.split_whitespace().collect();
        let attributes: Vec<_> =
            Owner::of_point(&tags, host).attributes().map(|(key, value)| format!("{key}={value}")).collect();
        attributes.join(" ")
    }

    #[test]
    fn a_tag_says_something_where_it_stands_once_with_a_value() {
        let table = [
            ("", ""),
            (
                "env:prod service:shop version:1.4",
                "service.name=shop service.version=1.4 deployment.environment.name=prod",
            ),
            ("env:prod env:test service:shop", "service.name=shop"),
            ("env env: env-x:1 env:prod", "deployment.environment.name=prod"),
            ("environment:prod services:a versions:2", ""),
            ("service:a:b", "service.name=a:b"),
            ("service version:", ""),
        ];
        for (tags, expected) in table {
            assert_eq!(shown(tags, None), expected, "{tags}");
        }
    }

    #[test]
    fn the_host_stands_last_and_may_be_taken_away() {
        assert_eq!(shown("service:shop", Some("")), "service.name=shop host.name=");
    }
}
