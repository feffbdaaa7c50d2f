//! What the operator is told when the pipeline runs: a line for each thing worth knowing. (Receivers tell where they
//! listen.)

use std::collections::BTreeSet;
use std::net::SocketAddr;

use hornpipe_engine::config::{ComponentId, NodePath, Plan};
use hornpipe_engine::resource::HostName;

/// Logs the lines. `exporters` is what [`exporters`] says, `own_metrics` where our own metrics are served.
pub fn announce(host: &HostName, exporters: &str, own_metrics: &[SocketAddr]) {
    tracing::info!("host name: {host}");
    tracing::info!("{exporters}");
    for url in metrics_urls(own_metrics) {
        tracing::info!("own metrics: {url}");
    }
}

/// Which exporters are on, and how the others that are configured are switched on.
pub fn exporters(plan: &Plan) -> String {
    let on: Vec<&str> = plan.exporters.iter().map(|planned| planned.id.as_str()).collect();
    let configured = configured(plan);
    let off: Vec<&str> = configured.iter().map(String::as_str).filter(|id| !on.contains(id)).collect();
    let mut line = format!("exporting to {}", on.join(", "));
    if !off.is_empty() {
        let switch = match variable(plan) {
            Some(variable) => format!("switch on with {variable}='[{}]'", configured.join(", ")),
            None => "name them in service.pipelines.<id>.exporters".to_owned(),
        };
        line.push_str(&format!("; also configured: {}: {switch}", off.join(", ")));
    }
    line
}

/// The ids under `exporters`; none where they come from outside the file, which is never printed.
fn configured(plan: &Plan) -> Vec<String> {
    let section = plan.root.get("exporters").filter(|section| section.origin().is_none());
    let entries = section.map(|section| section.entries()).unwrap_or_default();
    entries.iter().filter_map(|entry| Some(ComponentId::parse(&entry.key).ok()?.to_string())).collect()
}

/// The environment variable that names the exporters of every pipeline, if there is one.
fn variable(plan: &Plan) -> Option<&str> {
    let variable_of = |id: &str| plan.root.find(&NodePath::of(["service", "pipelines", id, "exporters"]))?.variable();
    let first = variable_of(&plan.pipelines.first()?.id)?;
    plan.pipelines.iter().all(|pipeline| variable_of(&pipeline.id) == Some(first)).then_some(first)
}

/// Where a browser on this machine finds the metrics: once a port, however many addresses it has.
fn metrics_urls(addresses: &[SocketAddr]) -> BTreeSet<String> {
    let url = |address: &SocketAddr| {
        let ip = address.ip();
        let host = if ip.is_loopback() || ip.is_unspecified() {
            format!("localhost:{}", address.port())
        } else {
            address.to_string()
        };
        format!("http://{host}/metrics")
    };
    addresses.iter().map(url).collect()
}

#[cfg(test)]
mod tests {
    use hornpipe_engine::config::{FixedEnvironment, Source, load};

    use super::*;
    use crate::components::registry;

    fn line(exporters: &str, environment: &FixedEnvironment) -> String {
        let text = format!(
            "receivers: {{statsd: }}\n\
             exporters: {{debug: , otlp/eu: , otlp: }}\n\
             service: {{pipelines: {{metrics: {{receivers: [statsd], exporters: {exporters}}}}}}}\n"
        );
        let (plan, diagnostics) = load(&[Source::new("pipeline.yaml", text, 0)], environment, &registry());
        super::exporters(&plan.unwrap_or_else(|| panic!("{diagnostics}")))
    }

    #[test]
    fn exporters_that_are_off_are_named_with_how_to_switch_them_on() {
        let unset = FixedEnvironment::new();
        let set = FixedEnvironment::new().with_variable("TO", "[otlp, debug]");
        for (exporters, environment, expected) in [
            (
                "\"${env:TO:-[debug]}\"",
                &unset,
                "exporting to debug; also configured: otlp/eu, otlp: switch on with TO='[debug, otlp/eu, otlp]'",
            ),
            (
                "\"${TO}\"",
                &set,
                "exporting to debug, otlp; also configured: otlp/eu: switch on with TO='[debug, otlp/eu, otlp]'",
            ),
            (
                "[debug]",
                &unset,
                "exporting to debug; also configured: otlp/eu, otlp: name them in service.pipelines.<id>.exporters",
            ),
            ("[debug, otlp/eu, otlp]", &unset, "exporting to debug, otlp/eu, otlp"),
        ] {
            assert_eq!(line(exporters, environment), expected);
        }
    }

    #[test]
    fn own_metrics_have_one_address_for_people() {
        let urls = |addresses: &[&str]| -> Vec<String> {
            let addresses: Vec<SocketAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
            metrics_urls(&addresses).into_iter().collect()
        };
        assert_eq!(urls(&["127.0.0.1:8888", "[::1]:8888"]), ["http://localhost:8888/metrics"]);
        assert_eq!(urls(&["0.0.0.0:1"]), ["http://localhost:1/metrics"]);
        assert_eq!(urls(&["10.0.0.7:1"]), ["http://10.0.0.7:1/metrics"]);
        assert_eq!(urls(&[]), [""; 0]);
    }
}
