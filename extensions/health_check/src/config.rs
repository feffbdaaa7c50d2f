//! Settings of the `health_check` extension.

use hornpipe_engine::config::Report;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answer::{LIVE, READY};

/// Settings of the `health_check` extension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HealthCheckConfig {
    /// Where to listen, as `host:port`. `localhost` means every loopback address of the machine. Probes that come over the
    /// network, as those of Kubernetes do, need `0.0.0.0:13133`.
    pub endpoint: String,
    /// A further path that answers as `/readyz` does; the Collector's probes ask here. Starts with `/`.
    pub path: String,
    /// Whether an exporter whose backend fails or refuses makes the answer 503. Leave it off where a failed check stops or
    /// restarts something: hornpipe keeps the data meanwhile, and a restart mends no backend.
    pub backends: bool,
}

impl Default for HealthCheckConfig {
    fn default() -> Self {
        HealthCheckConfig { endpoint: "localhost:13133".to_owned(), path: "/".to_owned(), backends: false }
    }
}

impl HealthCheckConfig {
    pub(crate) fn check(&self, report: &mut Report) {
        let port = self.endpoint.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        if port.is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
            let help = "write host:port, such as localhost:13133, 0.0.0.0:13133 or [::1]:13133";
            report.error_with_help("endpoint", "is not a host and a port", help);
        }
        if !self.path.starts_with('/') || self.path.contains(['?', '#']) {
            report.error_with_help("path", "is not a path", "write one that starts with /, such as / or /health");
        }
        if self.path == LIVE || self.path == READY {
            report.error_with_help("path", "is answered already", "remove the option, or write another path");
        }
    }
}
