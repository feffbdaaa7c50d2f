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
    /// Whether `DD_HOSTNAME` is set to something that is no host name, and so does not count.
    pub variable_ignored: bool,
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
    /// would take each new container for a new host. Nor does `localhost`, there or in `DD_HOSTNAME`, which is every
    /// machine's.
    pub fn detect(option: Option<&str>, environment: Lookup<'_>) -> HostName {
        choose(option, environment, system_name, || Signs::read(environment).names_a_container())
    }
}

impl HostName {
    /// What to do where there is no name, or one does not count.
    pub fn advice(&self) -> Option<String> {
        let advice =
            [self.missing(), self.variable_ignored.then(|| format!("DD_HOSTNAME is ignored: it {NO_HOST_NAME}"))];
        let advice: Vec<String> = advice.into_iter().flatten().collect();
        (!advice.is_empty()).then(|| advice.join("; "))
    }

    fn missing(&self) -> Option<String> {
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
            Some(name) => write!(f, "{name} (from {})", self.source.as_str())?,
            None => f.write_str("none")?,
        }
        match (&self.name, self.advice()) {
            (_, None) => Ok(()),
            (None, Some(advice)) => write!(f, ": {advice}"),
            (Some(_), Some(advice)) => write!(f, "; {advice}"),
        }
    }
}

/// The name that the operating system tells.
pub(super) fn system_name() -> Option<String> {
    non_empty(sysinfo::System::host_name().ok())
}

/// What a text is that [`is_host_name`] refuses, as the end of a sentence.
pub const NO_HOST_NAME: &str = "is no host name: labels of letters, digits and hyphens with dots between them, at most 255 bytes, and not localhost";

/// Whether a text can be the name of a host (RFC 1123), by the Agent's rule, which leaves `localhost` out.
pub fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let ends_well = |end: Option<char>| end.is_some_and(|end| end.is_ascii_alphanumeric());
        ends_well(label.chars().next())
            && ends_well(label.chars().last())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    text.len() <= 255 && !is_localhost(text) && text.split('.').all(is_label)
}

/// The names under which every machine knows itself (the Agent's list).
fn is_localhost(name: &str) -> bool {
    ["localhost", "localhost.localdomain", "localhost6.localdomain6", "ip6-localhost"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

fn choose(
    option: Option<&str>,
    environment: Lookup<'_>,
    system: impl FnOnce() -> Option<String>,
    names_a_container: impl FnOnce() -> bool,
) -> HostName {
    let attributes = environment("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let variable = non_empty(environment("DD_HOSTNAME"));
    let variable_ignored = variable.as_ref().is_some_and(|name| !is_host_name(name));
    let found = |name, source| HostName { name, source, variable_ignored };
    let given = [
        (option.map(str::to_owned), HostNameSource::Option),
        (variable.filter(|_| !variable_ignored), HostNameSource::DatadogVariable),
        (attribute(&attributes, Resource::HOST_NAME), HostNameSource::ResourceAttributes),
        (environment("K8S_NODE_NAME"), HostNameSource::NodeName),
    ];
    for (name, source) in given {
        if let Some(name) = non_empty(name) {
            return found(Some(name), source);
        }
    }
    if names_a_container() {
        return found(None, HostNameSource::Container);
    }
    match system().filter(|name| !is_localhost(name)) {
        Some(name) => found(Some(name), HostNameSource::System),
        None => found(None, HostNameSource::Nameless),
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
            assert_eq!(found, HostName { name: Some(expected.to_owned()), source, variable_ignored: false });
        }
    }

    #[test]
    fn in_a_container_only_a_name_that_somebody_set_counts() {
        let found = detect(None, &[], Some("3dc2a4f0b1c9"), true);
        assert_eq!((found.name, found.source), (None, HostNameSource::Container));
        assert_eq!(detect(None, &[NODE], Some("3dc2a4f0b1c9"), true).name.as_deref(), Some("node"));
        for system in [None, Some("localhost"), Some("LOCALHOST.localdomain")] {
            let found = detect(None, &[], system, false);
            assert_eq!((found.name, found.source), (None, HostNameSource::Nameless), "{system:?}");
        }
    }

    #[test]
    fn a_variable_that_is_no_host_name_does_not_count_and_is_said() {
        for name in ["localhost", "web 1", "web_1", "-web", "a..b", "http://web"] {
            let found = detect(None, &[("DD_HOSTNAME", name)], Some("system"), false);
            assert_eq!((found.name.as_deref(), found.source), (Some("system"), HostNameSource::System), "{name}");
            let words = found.to_string();
            assert!(
                words.starts_with("system (from the operating system); DD_HOSTNAME is ignored: it is no"),
                "{words}"
            );
        }
        let found = detect(None, &[("DD_HOSTNAME", "localhost")], None, false).to_string();
        assert!(found.starts_with("none: ") && found.contains("; DD_HOSTNAME is ignored"), "{found}");
    }

    #[test]
    fn host_names_are_those_of_rfc_1123_without_localhost() {
        let long = format!("{}.example", "x".repeat(247));
        for name in ["web-1", "web1.example.com", "1", "A-b.C", "localhost.example", &long] {
            assert!(is_host_name(name), "{name}");
        }
        for name in [
            "",
            ".",
            "a.",
            ".a",
            "a b",
            "a_b",
            "web-",
            "größe",
            "ip6-localhost",
            "localhost6.localdomain6",
            &(long.clone() + "x"),
        ] {
            assert!(!is_host_name(name), "{name}");
        }
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
