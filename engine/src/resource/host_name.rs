//! The name of the host, and where it came from.

use std::fmt;

use hornpipe_model::Resource;

use super::container::Signs;
use super::{Lookup, attribute, non_empty};

/// The host's name, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName {
    /// The name; nothing where there is none to trust.
    pub name: Option<String>,
    /// Where it came from, or why there is none.
    pub source: HostNameSource,
}

/// Where a host name came from, or why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostNameSource {
    /// The option `service.hostname`.
    Option,
    /// The variable `DD_HOSTNAME`.
    DatadogVariable,
    /// `host.name` in the variable `OTEL_RESOURCE_ATTRIBUTES`.
    ResourceAttributes,
    /// The variable `K8S_NODE_NAME`.
    NodeName,
    /// The operating system.
    System,
    /// None: the operating system's name is a container's.
    Container,
    /// None: the operating system has no name.
    Nameless,
}

impl HostNameSource {
    /// The place where the name stands; empty where there is no name.
    pub const fn as_str(self) -> &'static str {
        match self {
            HostNameSource::Option => "service.hostname",
            HostNameSource::DatadogVariable => "DD_HOSTNAME",
            HostNameSource::ResourceAttributes => "OTEL_RESOURCE_ATTRIBUTES",
            HostNameSource::NodeName => "K8S_NODE_NAME",
            HostNameSource::System => "the operating system",
            HostNameSource::Container | HostNameSource::Nameless => "",
        }
    }
}

impl HostName {
    /// The first that is set of the option (`service.hostname`), `DD_HOSTNAME`, `host.name` in
    /// `OTEL_RESOURCE_ATTRIBUTES`, `K8S_NODE_NAME`, and the operating system's name.
    ///
    /// The operating system's name does not count in a container that has one of its own: a backend that bills by host
    /// would take each new container for a new host.
    pub fn detect(option: Option<&str>, environment: Lookup<'_>) -> HostName {
        choose(option, environment, system_name, || Signs::read(environment).names_a_container())
    }
}

impl HostName {
    /// What to do where there is no name.
    pub fn advice(&self) -> Option<String> {
        let why = match (&self.name, self.source) {
            (Some(_), _) => return None,
            (None, HostNameSource::Container) => "a container's own name would count as a new host at every start",
            (None, _) => "the operating system has none",
        };
        Some(format!("{why}; set service.hostname, DD_HOSTNAME or K8S_NODE_NAME to the name of the machine"))
    }
}

impl fmt::Display for HostName {
    /// `web-1 (from DD_HOSTNAME)`, or why there is none and what to do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} (from {})", self.source.as_str()),
            None => write!(f, "none: {}", self.advice().unwrap_or_default()),
        }
    }
}

/// The name that the operating system tells.
pub(super) fn system_name() -> Option<String> {
    non_empty(sysinfo::System::host_name().ok())
}

fn choose(
    option: Option<&str>,
    environment: Lookup<'_>,
    system: impl FnOnce() -> Option<String>,
    names_a_container: impl FnOnce() -> bool,
) -> HostName {
    let attributes = environment("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let given = [
        (option.map(str::to_owned), HostNameSource::Option),
        (environment("DD_HOSTNAME"), HostNameSource::DatadogVariable),
        (attribute(&attributes, Resource::HOST_NAME), HostNameSource::ResourceAttributes),
        (environment("K8S_NODE_NAME"), HostNameSource::NodeName),
    ];
    for (name, source) in given {
        if let Some(name) = non_empty(name) {
            return HostName { name: Some(name), source };
        }
    }
    if names_a_container() {
        return HostName { name: None, source: HostNameSource::Container };
    }
    match system() {
        Some(name) => HostName { name: Some(name), source: HostNameSource::System },
        None => HostName { name: None, source: HostNameSource::Nameless },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATADOG: (&str, &str) = ("DD_HOSTNAME", "datadog");
    const ATTRIBUTES: (&str, &str) = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=x, host.name=otel%2Done ,other=y");
    const NODE: (&str, &str) = ("K8S_NODE_NAME", "node");

    fn detect(option: Option<&str>, variables: &[(&str, &str)], system: Option<&str>, in_container: bool) -> HostName {
        let environment = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        choose(option, &environment, || system.map(str::to_owned), || in_container)
    }

    #[test]
    fn the_host_name_is_the_first_that_is_set() {
        for (option, variables, expected, source) in [
            (Some("option"), &[DATADOG, ATTRIBUTES, NODE][..], "option", HostNameSource::Option),
            (Some(" "), &[DATADOG, ATTRIBUTES, NODE], "datadog", HostNameSource::DatadogVariable),
            (None, &[("DD_HOSTNAME", ""), ATTRIBUTES, NODE], "otel-one", HostNameSource::ResourceAttributes),
            (None, &[("OTEL_RESOURCE_ATTRIBUTES", "host.id=a"), NODE], "node", HostNameSource::NodeName),
            (None, &[], "system", HostNameSource::System),
        ] {
            let found = detect(option, variables, Some("system"), false);
            assert_eq!(found, HostName { name: Some(expected.to_owned()), source });
        }
    }

    #[test]
    fn in_a_container_only_a_name_that_somebody_set_counts() {
        let found = detect(None, &[], Some("3dc2a4f0b1c9"), true);
        assert_eq!(found, HostName { name: None, source: HostNameSource::Container });
        assert_eq!(detect(None, &[NODE], Some("3dc2a4f0b1c9"), true).name.as_deref(), Some("node"));
        assert_eq!(detect(None, &[], None, false), HostName { name: None, source: HostNameSource::Nameless });
    }

    #[test]
    fn it_says_where_the_name_came_from_or_how_to_set_one() {
        assert_eq!(detect(None, &[DATADOG], None, false).to_string(), "datadog (from DD_HOSTNAME)");
        for in_container in [true, false] {
            let words = detect(None, &[], None, in_container).to_string();
            assert!(words.starts_with("none: ") && words.contains("set service.hostname"), "{words}");
        }
    }
}
