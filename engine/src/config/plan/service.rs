//! The `service` section, but for its pipelines and extensions.

use super::super::decode;
use super::super::diagnostic::{Diagnostic, Diagnostics};
use super::super::node::Node;
use super::super::path::NodePath;
use super::super::report::Report;
use super::super::values::{ByteSize, Duration};
use super::top;
use crate::telemetry::TelemetryConfig;

/// The keys of `service`.
pub(super) const KEYS: [&str; 6] =
    ["pipelines", "extensions", "telemetry", "shutdown_timeout", "hostname", "memory_limit"];

/// The longest name that a host can have (RFC 1123).
const LONGEST_HOSTNAME: usize = 255;

/// What concerns the whole process.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceConfig {
    /// How long a shutdown may take, flushing and sending included. Default 8s: below the 10s of `docker stop`.
    pub shutdown_timeout: Duration,
    /// The name of the host, for everything that names none itself. Default: `DD_HOSTNAME`, else `host.name` in
    /// `OTEL_RESOURCE_ATTRIBUTES`, else `K8S_NODE_NAME`, else the operating system's name; in a container that has a
    /// name of its own none, since each new container would count as a new host. An empty one stands for the default.
    pub hostname: Option<String>,
    /// Most memory that the process is meant to take. Receivers and queues with a `max_bytes` have what they ask for; the
    /// other queues share what is left, each at most 32MiB, and a durable queue keeps the rest on disk. Default: three quarters of
    /// the container's memory; without a container each queue has 32MiB.
    pub memory_limit: Option<ByteSize>,
    /// What hornpipe tells about itself.
    pub telemetry: TelemetryConfig,
}

impl Default for ServiceConfig {
    fn default() -> Self {
        ServiceConfig {
            shutdown_timeout: Duration::from_secs(8),
            hostname: None,
            memory_limit: None,
            telemetry: TelemetryConfig::default(),
        }
    }
}

pub(super) fn read(node: Option<&Node>, diagnostics: &mut Diagnostics) -> ServiceConfig {
    let mut config = ServiceConfig::default();
    let path = NodePath::of(["service"]);
    let Some(node) = node.filter(|node| top::check_mapping(node, &path, diagnostics)) else { return config };
    top::check_keys(node, &path, &KEYS, diagnostics);
    let given = |key: &str| node.get(key).filter(|value| !value.is_null());
    if let Some(timeout) = given("shutdown_timeout") {
        config.shutdown_timeout = decode(timeout, "service.shutdown_timeout", diagnostics).unwrap_or_default();
    }
    if let Some(hostname) = given("hostname") {
        config.hostname = decode(hostname, "service.hostname", diagnostics).unwrap_or_default();
        check_hostname(hostname, config.hostname.as_deref(), diagnostics);
    }
    if let Some(limit) = given("memory_limit") {
        config.memory_limit = decode(limit, "service.memory_limit", diagnostics);
    }
    if let Some(telemetry) = given("telemetry") {
        config.telemetry = decode(telemetry, "service.telemetry", diagnostics).unwrap_or_default();
        let mut report = Report::new();
        config.telemetry.validate(&mut report);
        report.into_diagnostics(telemetry, "service.telemetry", diagnostics);
    }
    config
}

/// A name that no host can have would make a host of its own in every backend.
fn check_hostname(node: &Node, name: Option<&str>, diagnostics: &mut Diagnostics) {
    let is_name =
        |text: &str| text.len() <= LONGEST_HOSTNAME && !text.contains(|c: char| c.is_whitespace() || c.is_control());
    if name.is_some_and(|name| !is_name(name.trim())) {
        let error = Diagnostic::error(format!("not a host name: spaces, or more than {LONGEST_HOSTNAME} bytes"));
        let help = "write the machine's name, such as web-1.example.com";
        diagnostics.push(error.at(node.location()).about(NodePath::of(["service", "hostname"])).with_help(help));
    }
}
