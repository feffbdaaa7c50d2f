//! What a series is called: from a line's name and tags to its [`Context`].
//!
//! In the Agent's order: the mapper renames it and adds tags, the namespace goes before the name, the lists decide whether
//! it is wanted, and tags that are not are taken out. All of it is done once, when a spelling is seen for the first time; a
//! line whose spelling is known costs nothing.

mod filter;
mod mapper;

use std::borrow::Cow;

use hornpipe_engine::Reason;
use hornpipe_engine::config::Report;
use hornpipe_model::{Context, Tags, catalogue};

use crate::config::StatsdConfig;
use crate::parse::{Kind, Sample};
use crate::reason;
use crate::tags::{HOST, TagSection};
use filter::{NameList, TagFilter};
pub use filter::{TagAction, TagFilterConfig};
use mapper::Mapper;
pub use mapper::{MapperMatchType, MapperProfile, Mapping};

/// Names that Datadog's own integrations use, which a namespace leaves alone: the Agent's list.
pub(crate) const NAMES_WITHOUT_NAMESPACE: [&str; 21] = [
    "datadog.agent",
    "datadog.dogstatsd",
    "datadog.process",
    "datadog.trace_agent",
    "datadog.tracer",
    "activemq",
    "activemq_58",
    "airflow",
    "cassandra",
    "confluent",
    "hazelcast",
    "hive",
    "ignite",
    "jboss",
    "jvm",
    "kafka",
    "presto",
    "sidekiq",
    "solr",
    "tomcat",
    "runtime",
];

/// The rules for names, with what one reader remembers of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Naming {
    mapper: Mapper,
    /// With its dot; empty for none.
    namespace: String,
    outside_namespace: NameList,
    blocked: NameList,
    /// Without it every name is allowed.
    allowed: Option<NameList>,
    tag_filters: Vec<TagFilter>,
    adds_metric_type: bool,
}

impl Naming {
    /// The rules that the settings ask for. What cannot be used is left out and reported.
    pub(crate) fn compile(config: &StatsdConfig, report: &mut Report) -> Self {
        let by_prefix = config.metric_list_match_prefix;
        let allowed = &config.metric_allowlist;
        Naming {
            mapper: Mapper::compile(&config.mapper_profiles, report),
            namespace: match config.namespace.as_str() {
                "" => String::new(),
                given if given.ends_with('.') => given.to_owned(),
                given => format!("{given}."),
            },
            outside_namespace: NameList::new(&config.namespace_exclude, true),
            blocked: NameList::new(&config.metric_blocklist, by_prefix),
            allowed: (!allowed.is_empty()).then(|| NameList::new(allowed, by_prefix)),
            tag_filters: TagFilter::compile(&config.metric_tag_filterlist, report),
            adds_metric_type: config.enable_metric_type,
        }
    }

    /// The series that a line belongs to.
    ///
    /// # Errors
    /// [`reason::FILTERED`] for a name that the lists do not let through.
    pub(crate) fn context(&mut self, sample: &Sample<'_>) -> Result<Context, Reason> {
        let written = String::from_utf8_lossy(sample.name);
        let TagSection { tags, mut host } = TagSection::parse(sample.tags);
        let mut name = written;
        let mut added = Vec::new();
        if let Some(mapped) = self.mapper.map(&name) {
            name = Cow::Owned(mapped.name.clone());
            for tag in &mapped.tags {
                match tag.strip_prefix(HOST) {
                    // As in the Agent, which maps before it reads the tags: the last one wins.
                    Some(named) => host = Some(named.to_owned()),
                    None => added.push(tag.clone()),
                }
            }
        }
        if !self.namespace.is_empty() && !self.outside_namespace.contains(&name) {
            name = Cow::Owned(format!("{}{name}", self.namespace));
        }
        if self.blocked.contains(&name) || self.allowed.as_ref().is_some_and(|allowed| !allowed.contains(&name)) {
            return Err(reason::FILTERED);
        }
        if self.adds_metric_type {
            added.push(format!("metric_type:{}", type_name(sample.kind)));
        }
        let tags = self.tags(&name, tags, &added);
        let default_unit = if sample.kind == Kind::Timing { "ms" } else { "" };
        let unit = catalogue::find(&name).map_or(default_unit, |known| known.ucum);
        Ok(Context::with_unit(&name, tags, host.as_deref(), Cow::Borrowed(unit)))
    }

    fn tags(&self, name: &str, tags: Tags, added: &[String]) -> Tags {
        let mut filters = self.tag_filters.iter().filter(|filter| filter.is_for(name)).peekable();
        if added.is_empty() && filters.peek().is_none() {
            return tags;
        }
        let filters: Vec<&TagFilter> = filters.collect();
        let all = tags.iter().chain(added.iter().map(String::as_str));
        all.filter(|tag| filters.iter().all(|filter| filter.keeps(tag))).collect()
    }
}

/// The Collector's `metric_type` attribute.
fn type_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Timing => "timing",
        Kind::Histogram => "histogram",
        Kind::Distribution => "distribution",
        Kind::Set => "set",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    fn naming(json: &str) -> Naming {
        let mut report = Report::new();
        let naming = Naming::compile(&serde_json::from_str(json).unwrap(), &mut report);
        assert!(report.is_empty(), "{:?}", report.problems());
        naming
    }

    /// Name and tags of a line's series, or why there is none.
    fn series(naming: &mut Naming, line: &str) -> Result<String, Reason> {
        let context = naming.context(&parse::sample(line.as_bytes(), &mut Vec::new()).unwrap())?;
        let tags: Vec<&str> = context.tags().iter().collect();
        Ok(format!("{} {}", context.name(), tags.join(",")).trim_end().to_owned())
    }

    #[test]
    fn without_rules_a_series_is_called_as_it_was_written() {
        let mut naming = Naming::default();
        assert_eq!(series(&mut naming, "a.b:1|c|#x:1,y").unwrap(), "a.b x:1,y");
    }

    #[test]
    fn the_mapper_goes_before_the_namespace_and_that_before_the_lists() {
        let mut naming = naming(
            r#"{"mapper_profiles": [{"name": "web", "prefix": "web.", "mappings":
                    [{"match": "web.*.hits", "name": "hits", "tags": {"page": "$1"}}]}],
                "namespace": "shop", "metric_blocklist": ["shop.noise"], "enable_metric_type": true}"#,
        );
        assert_eq!(series(&mut naming, "web.cart.hits:1|c|#b").unwrap(), "shop.hits b,metric_type:counter,page:cart");
        assert_eq!(series(&mut naming, "load:1|g").unwrap(), "shop.load metric_type:gauge");
        assert_eq!(series(&mut naming, "noise:1|g"), Err(reason::FILTERED));
        assert_eq!(series(&mut naming, "noisy:1|ms").unwrap(), "shop.noisy metric_type:timing");
        for name in NAMES_WITHOUT_NAMESPACE {
            assert_eq!(series(&mut naming, &format!("{name}.x:1|c")).unwrap(), format!("{name}.x metric_type:counter"));
        }
    }

    #[test]
    fn a_list_of_allowed_names_lets_nothing_else_through() {
        let mut exact = naming(r#"{"metric_allowlist": ["app"], "metric_blocklist": ["app.debug"]}"#);
        assert_eq!(series(&mut exact, "app:1|c").unwrap(), "app");
        assert_eq!(series(&mut exact, "app.hits:1|c"), Err(reason::FILTERED));
        let mut prefixes = naming(
            r#"{"metric_allowlist": ["app."], "metric_blocklist": ["app.debug"], "metric_list_match_prefix": true}"#,
        );
        assert_eq!(series(&mut prefixes, "app.hits:1|c").unwrap(), "app.hits");
        assert_eq!(series(&mut prefixes, "app.debug.x:1|c"), Err(reason::FILTERED));
        assert_eq!(series(&mut prefixes, "other:1|c"), Err(reason::FILTERED));
    }

    #[test]
    fn tags_are_taken_out_by_metric_and_the_host_stays() {
        let mut naming = naming(
            r#"{"namespace": "a.", "metric_tag_filterlist": [
                {"metric_name": "a.hits", "action": "exclude", "tags": ["user", "bare"]},
                {"metric_name": "a.load.*", "action": "include", "tags": ["env"]}]}"#,
        );
        assert_eq!(series(&mut naming, "hits:1|c|#user:1,user:2,users:3,bare,env:p").unwrap(), "a.hits env:p,users:3");
        assert_eq!(series(&mut naming, "load.one:1|g|#user:1,env:p,env:q,bare").unwrap(), "a.load.one env:p,env:q");
        assert_eq!(series(&mut naming, "load.one.two:1|g|#user:1").unwrap(), "a.load.one.two user:1");
        let sample = parse::sample(b"load.one:1|g|#host:web1,user:1", &mut Vec::new()).unwrap();
        let context = naming.context(&sample).unwrap();
        assert_eq!((context.host(), context.tags().len()), (Some("web1"), 0));
    }

    #[test]
    fn a_host_that_the_mapper_finds_in_a_name_is_the_series_host() {
        let mut naming = naming(
            r#"{"mapper_profiles": [{"name": "p", "prefix": "*", "mappings":
                [{"match": "*.load", "name": "load", "tags": {"host": "$1", "kind": "avg"}}]}]}"#,
        );
        let sample = parse::sample(b"web1.load:1|g|#host:proxy,env:p", &mut Vec::new()).unwrap();
        let context = naming.context(&sample).unwrap();
        assert_eq!((context.name(), context.host()), ("load", Some("web1")));
        assert_eq!(context.tags().iter().collect::<Vec<_>>(), ["env:p", "kind:avg"]);
    }

    #[test]
    fn a_metric_of_the_catalogue_brings_its_unit_under_its_new_name() {
        let mut naming = naming(
            r#"{"mapper_profiles": [{"name": "g", "prefix": "*", "mappings":
                [{"match": "gunicorn.request.status.*", "name": "gunicorn.requests", "tags": {"code": "$1"}}]}]}"#,
        );
        let sample = parse::sample(b"gunicorn.request.status.200:1|c", &mut Vec::new()).unwrap();
        assert_eq!(naming.context(&sample).unwrap().unit(), "{request}");
    }
}
