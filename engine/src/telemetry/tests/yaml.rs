//! As users write it: YAML, and what is printed about mistakes.

use super::*;
use crate::config::{Diagnostics, FixedEnvironment, Source, decode, parse, substitute};

fn read(text: &str) -> Result<TelemetryConfig, String> {
    let mut diagnostics = Diagnostics::new();
    let node = parse(&Source::new("pipeline.yaml", text, 0), &mut diagnostics).expect("YAML");
    let node = substitute(node, &FixedEnvironment::new().with_variable("API_KEY", "se-cret-123"));
    let config = decode(&node, "", &mut diagnostics);
    if diagnostics.is_empty() { Ok(config.expect("a value")) } else { Err(diagnostics.to_string()) }
}

const COLLECTOR: &str = "
metrics:
  level: detailed
  readers:
    - pull:
        exporter:
          prometheus:
            host: 0.0.0.0
            port: 8889
    - periodic:
        interval: 10000
        exporter:
          otlp:
            protocol: http/protobuf
            endpoint: https://backend:4318
            headers:
              - name: api-key
                value: ${env:API_KEY}
logs:
  level: DEBUG
resource:
  service.instance.id: null
  deployment.environment.name: staging
";

#[test]
fn a_collectors_yaml_loads_unchanged() {
    let config = read(COLLECTOR).unwrap();
    let [ReaderConfig::Pull(_), ReaderConfig::Periodic(periodic)] = &config.metrics.readers[..] else {
        panic!("{config:?}");
    };
    let PushExporter::Otlp(otlp) = &periodic.exporter;
    assert_eq!(std::time::Duration::from(periodic.interval), std::time::Duration::from_secs(10));
    assert_eq!(otlp.headers.0, [("api-key".to_owned(), "se-cret-123".into())]);
    assert_eq!(config.logs.level, LogLevel::Debug);
    assert_eq!(config.resource["service.instance.id"], None);
    assert_eq!(config.resource["deployment.environment.name"].as_deref(), Some("staging"));
}

#[test]
fn all_mistakes_are_found_at_once_and_show_no_secret() {
    let mut text = COLLECTOR.to_owned();
    for (right, wrong) in [
        ("level: detailed", "level: loud"),
        ("port: 8889", "port: 88890"),
        ("interval:", "intervall:"),
        ("protocol: http/protobuf", "protocol: http/json"),
        ("value: ${env:API_KEY}", r#"value: ["${env:API_KEY}"]"#),
        ("level: DEBUG", "level: chatty"),
    ] {
        text = text.replace(right, wrong);
    }
    let printed = read(&text).unwrap_err();
    for expected in [
        "(metrics.level)",
        "valid values: none, basic, normal, detailed",
        "(metrics.readers[0].pull.exporter.prometheus.port)",
        "did you mean `interval`?",
        "valid values: http/protobuf, grpc",
        "(metrics.readers[1].periodic.exporter.otlp.headers[0].value)",
        "(logs.level)",
        "valid values: debug, info, warn, error",
        "6 errors",
    ] {
        assert!(printed.contains(expected), "{expected}\n---\n{printed}");
    }
    assert!(!printed.contains("se-cret-123"), "{printed}");
}

#[test]
fn a_key_without_a_value_has_the_defaults() {
    for text in ["metrics:", "metrics: {readers: [{pull: {exporter: {prometheus: }}}]}", "logs: {level: }"] {
        assert_eq!(read(text), Ok(TelemetryConfig::default()), "{text}");
    }
}
