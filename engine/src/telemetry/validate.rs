//! What the types cannot say about `service.telemetry`.

use super::{
    Milliseconds, OtlpConfig, PrometheusConfig, PullExporter, PushExporter, ReaderConfig, TelemetryConfig, otlp,
};
use crate::config::Report;

impl TelemetryConfig {
    /// Checks the options; opens nothing.
    pub fn validate(&self, report: &mut Report) {
        for (index, reader) in self.metrics.readers.iter().enumerate() {
            let path = format!("metrics.readers[{index}]");
            match reader {
                ReaderConfig::Pull(pull) => {
                    let PullExporter::Prometheus(prometheus) = &pull.exporter;
                    prometheus.validate(&format!("{path}.pull.exporter.prometheus"), report);
                }
                ReaderConfig::Periodic(periodic) => {
                    positive(periodic.interval, &format!("{path}.periodic.interval"), report);
                    positive(periodic.timeout, &format!("{path}.periodic.timeout"), report);
                    let PushExporter::Otlp(otlp) = &periodic.exporter;
                    otlp.validate(&format!("{path}.periodic.exporter.otlp"), report);
                }
            }
        }
        if self.resource.contains_key("") {
            report.error("resource", "an attribute has an empty name");
        }
    }
}

impl PrometheusConfig {
    fn validate(&self, path: &str, report: &mut Report) {
        if self.host.trim().is_empty() {
            report.error_with_help(
                &format!("{path}.host"),
                "must name a host",
                "write localhost, or 0.0.0.0 for every interface",
            );
        }
        if !self.without_units {
            report.error_with_help(
                &format!("{path}.without_units"),
                "unit suffixes are not available: the names hold their unit where it matters",
                "take the option out",
            );
        }
    }
}

impl OtlpConfig {
    fn validate(&self, path: &str, report: &mut Report) {
        positive(self.timeout, &format!("{path}.timeout"), report);
        if let Some(endpoint) = &self.endpoint
            && let Err(error) = otlp::url(endpoint, self)
        {
            report.error(&format!("{path}.endpoint"), error);
        }
        if let Err(error) = otlp::header_map(self) {
            report.error(&format!("{path}.headers"), error);
        }
    }
}

fn positive(time: Milliseconds, path: &str, report: &mut Report) {
    if time.0 == 0 {
        report.error_with_help(path, "must be more than 0", "write a number of milliseconds, such as 10000");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(metrics: serde_json::Value) -> Vec<(String, String)> {
        let config: TelemetryConfig = serde_json::from_value(metrics).unwrap();
        let mut report = Report::default();
        config.validate(&mut report);
        report.problems().iter().map(|problem| (problem.path.clone(), problem.message.clone())).collect()
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(problems(serde_json::json!({})), []);
        let periodic = serde_json::json!({"metrics": {"readers": [{"periodic": {}}]}});
        assert_eq!(problems(periodic), []);
    }

    #[test]
    fn every_mistake_is_reported_with_its_path() {
        let otlp = serde_json::json!({"endpoint": "ftp://backend", "headers": {"api key": "a"}, "timeout": 0});
        let found = problems(serde_json::json!({
            "metrics": {"readers": [
                {"pull": {"exporter": {"prometheus": {"host": " ", "without_units": false}}}},
                {"periodic": {"interval": 0, "timeout": 0, "exporter": {"otlp": otlp}}},
            ]},
            "resource": {"": "a"},
        }));
        let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "metrics.readers[0].pull.exporter.prometheus.host",
                "metrics.readers[0].pull.exporter.prometheus.without_units",
                "metrics.readers[1].periodic.interval",
                "metrics.readers[1].periodic.timeout",
                "metrics.readers[1].periodic.exporter.otlp.timeout",
                "metrics.readers[1].periodic.exporter.otlp.endpoint",
                "metrics.readers[1].periodic.exporter.otlp.headers",
                "resource",
            ]
        );
    }
}
