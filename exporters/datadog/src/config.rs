//! Settings.

use std::net::IpAddr;

use hornpipe_engine::component::{BuildContext, BuildError, ComponentType, Exporter, ExporterConfig};
use hornpipe_engine::config::{Duration, Report, Secret};
use hornpipe_engine::delivery::{DeliveryConfig, QueueConfig, RetryConfig};
use hornpipe_engine::http::{Compression, Endpoint, InvalidEndpoint, TlsConfig};
use hornpipe_engine::resource::{NO_HOST_NAME, is_host_name};
use hornpipe_model::Signal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::DatadogExporter;
use crate::key::Key;

/// Settings of the Datadog exporter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DatadogConfig {
    /// The account.
    pub api: ApiConfig,
    /// Where metrics, service checks and events go.
    pub metrics: MetricsConfig,
    /// Where logs go.
    pub logs: LogsConfig,
    /// The host of everything sent, whatever its resource says; a client's own `host:` tag still wins. What is no host name
    /// (RFC 1123) or `localhost` is ignored, with a warning. Default: the resource's `host.name`.
    pub hostname: Option<String>,
    /// Compression of requests: `zstd`, `gzip`, `deflate` or `none`. Change it only for a proxy that must read them.
    pub compression: Compression,
    /// How long one attempt may take, connecting included; 0 means without limit.
    pub timeout: Duration,
    /// TLS: a company's own authorities, a client certificate.
    pub tls: TlsConfig,
    /// The queue in front of Datadog.
    pub sending_queue: QueueConfig,
    /// Retries of failed requests.
    pub retry_on_failure: RetryConfig,
}

/// The Datadog account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ApiConfig {
    /// The API key (not an application key), best as `${env:DD_API_KEY}` or `${file:/run/secrets/dd_api_key}`. A file is read
    /// again every minute and when the key is refused. White space around the key is ignored.
    pub key: Secret,
    /// The site that the account lives on: `datadoghq.com`, `datadoghq.eu`, `us5.datadoghq.com`, `ddog-gov.com` or whatever
    /// else Datadog calls it.
    pub site: String,
}

/// Where metrics, service checks and events go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// Base URL of the intake, for a proxy or a test. Default: `https://api.<site>`, the host of the public API, which
    /// takes series, sketches, service checks and events alike. (The Agent's own `<version>-app.agent.<site>` names an Agent's
    /// version, which we have none of.)
    pub endpoint: Option<String>,
}

/// Where logs go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogsConfig {
    /// Base URL of the intake for logs, for a proxy or a test. Default: `https://http-intake.logs.<site>`.
    pub endpoint: Option<String>,
}

impl Default for DatadogConfig {
    fn default() -> Self {
        DatadogConfig {
            api: ApiConfig::default(),
            metrics: MetricsConfig::default(),
            logs: LogsConfig::default(),
            hostname: None,
            compression: Compression::Zstd,
            timeout: Duration::from_secs(15),
            tls: TlsConfig::default(),
            sending_queue: QueueConfig::default(),
            retry_on_failure: RetryConfig::default(),
        }
    }
}

impl Default for ApiConfig {
    fn default() -> Self {
        ApiConfig { key: Secret::default(), site: "datadoghq.com".to_owned() }
    }
}

impl ComponentType for DatadogConfig {
    const TYPE: &'static str = "datadog";
    const SIGNALS: &'static [Signal] = &[Signal::Metrics, Signal::Logs];
    const SUMMARY: &'static str = "sends metrics, service checks, logs and events to Datadog";
}

impl ExporterConfig for DatadogConfig {
    fn validate(&self, report: &mut Report) {
        self.validate_key(report);
        let is_domain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
        if self.api.site.is_empty() || !self.api.site.chars().all(is_domain) {
            report.error("api.site", "must be a domain such as datadoghq.com or datadoghq.eu, without https://");
        } else {
            validate_endpoint("metrics.endpoint", self.endpoint(), report);
            validate_endpoint("logs.endpoint", self.logs_endpoint(), report);
        }
        if self.hostname.as_deref().is_some_and(|name| !name.is_empty()) && self.hostname().is_none() {
            report.warning("hostname", format!("is ignored: it {NO_HOST_NAME}"));
        }
        self.tls.validate("tls", report);
        self.delivery().validate(report);
    }

    fn delivery(&self) -> DeliveryConfig {
        DeliveryConfig {
            sending_queue: self.sending_queue.clone(),
            retry_on_failure: self.retry_on_failure.clone(),
            timeout: self.timeout,
        }
    }

    fn build(&self, context: BuildContext) -> Result<Box<dyn Exporter>, BuildError> {
        Ok(Box::new(DatadogExporter::new(self, context)?))
    }
}

impl DatadogConfig {
    fn validate_key(&self, report: &mut Report) {
        let Some(problem) = Key::problem(&self.api.key) else { return };
        if self.api.key.reveal().trim().is_empty() {
            let help = "set the environment variable DD_API_KEY, or write the key here";
            report.error_with_help("api.key", problem, help);
        } else {
            report.error("api.key", problem);
        }
    }

    /// The host of everything sent, where one is set that can be one.
    pub(crate) fn hostname(&self) -> Option<&str> {
        self.hostname.as_deref().map(str::trim).filter(|name| is_host_name(name))
    }

    /// The base URL of the intake for all but logs.
    ///
    /// # Errors
    /// What is wrong with the one that was configured.
    pub(crate) fn endpoint(&self) -> Result<Endpoint, InvalidEndpoint> {
        self.endpoint_or(self.metrics.endpoint.as_deref(), "api")
    }

    /// The base URL of the intake for logs.
    ///
    /// # Errors
    /// What is wrong with the one that was configured.
    pub(crate) fn logs_endpoint(&self) -> Result<Endpoint, InvalidEndpoint> {
        self.endpoint_or(self.logs.endpoint.as_deref(), "http-intake.logs")
    }

    fn endpoint_or(&self, set: Option<&str>, host: &str) -> Result<Endpoint, InvalidEndpoint> {
        match set {
            None | Some("") => Endpoint::parse(&format!("https://{host}.{}", self.api.site)),
            Some(endpoint) => Endpoint::parse(endpoint),
        }
    }
}

fn validate_endpoint(option: &str, endpoint: Result<Endpoint, InvalidEndpoint>, report: &mut Report) {
    match endpoint {
        Ok(endpoint) if !endpoint.is_https() && !is_loopback(&endpoint) => {
            report.warning(option, "sends the API key unencrypted over the network; use https://");
        }
        Ok(_) => {}
        Err(error) => report.error(option, error.to_string()),
    }
}

fn is_loopback(endpoint: &Endpoint) -> bool {
    let host = endpoint.host().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use hornpipe_engine::config::{FixedEnvironment, Severity};
    use hornpipe_engine::testing::settings;

    use super::*;

    fn config(change: impl FnOnce(&mut DatadogConfig)) -> DatadogConfig {
        let mut config = DatadogConfig::default();
        config.api.key = "0123456789abcdef0123456789a1a2b3".into();
        change(&mut config);
        config
    }

    fn findings(config: &DatadogConfig) -> Vec<(Severity, String)> {
        let mut report = Report::new();
        config.validate(&mut report);
        report.problems().iter().map(|problem| (problem.severity, problem.path.clone())).collect()
    }

    #[test]
    fn a_key_is_all_that_is_needed() {
        let config = config(|_| {});
        assert_eq!(findings(&config), []);
        assert_eq!(config.endpoint().unwrap().to_string(), "https://api.datadoghq.com");
        assert_eq!(config.timeout, Duration::from_secs(15));
        assert_eq!(config.compression, Compression::Zstd);
    }

    #[test]
    fn each_mistake_is_found_where_it_is() {
        let error = |path: &str| vec![(Severity::Error, path.to_owned())];
        let warning = |path: &str| vec![(Severity::Warning, path.to_owned())];
        let endpoint = |url: &str| config(|config| config.metrics.endpoint = Some(url.to_owned()));
        let logs = |url: &str| config(|config| config.logs.endpoint = Some(url.to_owned()));
        let cases = [
            (config(|config| config.api.key = "".into()), error("api.key")),
            (config(|config| config.api.key = " \n".into()), error("api.key")),
            (config(|config| config.api.key = "0123\n4567".into()), error("api.key")),
            (config(|config| config.api.key = "schlüssel".into()), error("api.key")),
            (config(|config| config.api.key = "0123456789abcdef\n".into()), vec![]),
            (config(|config| config.api.site = String::new()), error("api.site")),
            (config(|config| config.api.site = "https://datadoghq.eu".to_owned()), error("api.site")),
            (config(|config| config.api.site = "uk1.datadoghq.com".to_owned()), vec![]),
            (endpoint(""), vec![]),
            (endpoint("https://proxy.corp/datadog"), vec![]),
            (endpoint("proxy.corp:8080"), error("metrics.endpoint")),
            (endpoint("http://proxy.corp:8080"), warning("metrics.endpoint")),
            (endpoint("http://localhost:8080"), vec![]),
            (endpoint("http://127.0.0.1:8080"), vec![]),
            (endpoint("http://[::1]:8080"), vec![]),
            (logs("https://proxy.corp/datadog"), vec![]),
            (logs("proxy.corp:8080"), error("logs.endpoint")),
            (logs("http://proxy.corp:8080"), warning("logs.endpoint")),
            (config(|config| config.hostname = Some("web1.example.com".to_owned())), vec![]),
            (config(|config| config.hostname = Some(String::new())), vec![]),
            (config(|config| config.hostname = Some("localhost".to_owned())), warning("hostname")),
            (config(|config| config.hostname = Some("web 1".to_owned())), warning("hostname")),
            (config(|config| config.tls.cert_file = Some("client.pem".into())), error("tls.cert_file")),
            (config(|config| config.retry_on_failure.multiplier = 0.5), error("retry_on_failure.multiplier")),
        ];
        for (config, expected) in cases {
            assert_eq!(findings(&config), expected, "{config:?}");
        }
    }

    #[test]
    fn every_option_has_the_name_that_the_readme_gives_it() {
        let text = "
api: {key: secret, site: datadoghq.eu}
metrics: {endpoint: http://localhost:8080}
logs: {endpoint: http://localhost:8081}
hostname: web1
compression: gzip
timeout: 30s
tls: {ca_file: ca.pem, include_system_ca_certs_pool: true, cert_file: c.pem, key_file: k.pem, insecure_skip_verify: true}
sending_queue: {max_bytes: 1MiB, on_full: drop_newest, max_age: 10m}
retry_on_failure:
  enabled: true
  initial_interval: 1s
  multiplier: 2
  max_interval: 60s
  randomization_factor: 0
  max_elapsed_time: 5m
";
        let config: DatadogConfig = settings(text, &FixedEnvironment::new()).unwrap();
        assert_eq!((config.api.key.reveal(), &*config.api.site), ("secret", "datadoghq.eu"));
        assert_eq!((config.compression, config.timeout), (Compression::Gzip, Duration::from_secs(30)));
        assert_eq!(config.sending_queue.max_age, Some(Duration::from_secs(600)));
        assert_eq!(findings(&config), []);
    }

    #[test]
    fn the_site_decides_the_host_and_an_endpoint_overrides_it() {
        let eu = config(|config| config.api.site = "datadoghq.eu".to_owned());
        assert_eq!(eu.endpoint().unwrap().to_string(), "https://api.datadoghq.eu");
        assert_eq!(eu.logs_endpoint().unwrap().to_string(), "https://http-intake.logs.datadoghq.eu");
        let own = config(|config| config.metrics.endpoint = Some("http://localhost:1/intake/".to_owned()));
        assert_eq!(
            own.endpoint().unwrap().join("/api/v2/series").to_string(),
            "http://localhost:1/intake/api/v2/series"
        );
    }

    #[test]
    fn a_hostname_that_is_none_does_not_count() {
        for (set, counts) in
            [("web1", Some("web1")), (" web1\n", Some("web1")), ("localhost", None), ("web 1", None), ("", None)]
        {
            assert_eq!(config(|config| config.hostname = Some(set.to_owned())).hostname(), counts, "{set:?}");
        }
    }

    #[test]
    fn the_key_is_never_shown() {
        let config = config(|_| {});
        let shown = format!("{config:?} {}", serde_json::to_string(&config).unwrap());
        assert!(!shown.contains("a1a2b3"), "{shown}");
    }
}
