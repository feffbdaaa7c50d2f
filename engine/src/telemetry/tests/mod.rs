//! The metrics as they leave the process.

mod otlp;
mod prometheus;
mod yaml;

use hornpipe_model::{Resource, Signal};

use super::*;

const STOP: std::time::Duration = std::time::Duration::from_secs(5);

fn component(kind: ComponentKind, id: &str, pipeline: Option<&str>) -> ComponentIdentity {
    ComponentIdentity { kind, id: id.to_owned(), pipeline: pipeline.map(str::to_owned) }
}

/// One receiver, one processor and one exporter in a metrics pipeline; nothing counted yet.
fn one_pipeline() -> Telemetry {
    let telemetry = Telemetry::default();
    telemetry.set_pipelines(vec![PipelineTopology {
        id: "metrics".to_owned(),
        signal: Signal::Metrics,
        receivers: vec!["statsd".to_owned()],
        processors: vec!["percentiles".to_owned()],
        exporters: vec!["datadog/eu".to_owned()],
    }]);
    telemetry.component(component(ComponentKind::Receiver, "statsd", None));
    telemetry.component(component(ComponentKind::Processor, "percentiles", Some("metrics")));
    telemetry.component(component(ComponentKind::Exporter, "datadog/eu", None));
    telemetry
}

fn identity() -> Resource {
    let mut resource = Resource::default();
    resource.set(Resource::HOST_NAME, "web-1");
    resource.set(Resource::SERVICE_INSTANCE_ID, "one");
    resource
}

fn with_reader(reader: ReaderConfig) -> TelemetryConfig {
    let metrics = MetricsConfig { level: MetricsLevel::Normal, readers: vec![reader] };
    TelemetryConfig { metrics, ..TelemetryConfig::default() }
}
