use hornpipe_engine::config::{FixedEnvironment, Severity};
use hornpipe_engine::testing::settings;
use hornpipe_model::Temporality;

use super::*;
use crate::variables;

fn config(yaml: &str) -> OtlpConfig {
    settings(yaml, &FixedEnvironment::new()).expect("valid options")
}

/// What a check finds: severity, option and message.
fn found(config: &OtlpConfig, environment: &FixedEnvironment) -> Vec<(Severity, String, String)> {
    let mut report = Report::new();
    config.check(environment, &mut report);
    report.problems().iter().map(|problem| (problem.severity, problem.path.clone(), problem.message.clone())).collect()
}

fn resolved(config: &OtlpConfig, environment: &FixedEnvironment) -> Settings {
    Settings::resolve(config, environment).expect("usable settings")
}

/// The protocol, the endpoint and the temporality that come out.
fn essence(config: &OtlpConfig, environment: &FixedEnvironment) -> (Protocol, String, Temporality) {
    let settings = resolved(config, environment);
    (settings.metrics.protocol, settings.metrics.endpoint.to_string(), settings.temporality)
}

const VARIABLES: [&str; 9] = [
    variables::ENDPOINT,
    variables::HEADERS,
    variables::PROTOCOL,
    variables::COMPRESSION,
    variables::TIMEOUT,
    variables::INSECURE,
    variables::CERTIFICATE,
    variables::CLIENT_CERTIFICATE,
    variables::CLIENT_KEY,
];

fn environment(variables: &[(&str, &str)]) -> FixedEnvironment {
    variables.iter().fold(FixedEnvironment::new(), |all, (name, value)| all.with_variable(name, value))
}

#[test]
fn nothing_set_means_a_collector_on_this_host() {
    let nothing = environment(&[]);
    let expected = (Protocol::Grpc, "http://localhost:4317".to_owned(), Temporality::Cumulative);
    assert_eq!(essence(&OtlpConfig::default(), &nothing), expected);
    let expected = (Protocol::HttpProtobuf, "http://localhost:4318/v1/metrics".to_owned(), Temporality::Cumulative);
    assert_eq!(essence(&OtlpHttpConfig::default().as_otlp(), &nothing), expected);
    assert_eq!(found(&OtlpConfig::default(), &nothing), []);
}

#[test]
fn the_environment_gives_the_defaults() {
    let environment = environment(&[
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://otlp.example/base/"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=abc"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "LowMemory"),
    ]);
    let expected = (Protocol::HttpProtobuf, "https://otlp.example/base/v1/metrics".to_owned(), Temporality::Delta);
    assert_eq!(essence(&OtlpConfig::default(), &environment), expected);
    assert!(resolved(&OtlpConfig::default(), &environment).logs.headers.contains_key("api-key"));
}

#[test]
fn an_option_wins_over_its_variable() {
    let environment = environment(&[
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "nonsense"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "nonsense"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "nonsense"),
    ]);
    let config = config("{protocol: grpc, endpoint: 'collector:4317', headers: {}, temporality: delta}");
    assert_eq!(found(&config, &environment), []);
    let expected = (Protocol::Grpc, "https://collector:4317".to_owned(), Temporality::Delta);
    assert_eq!(essence(&config, &environment), expected);
}

#[test]
fn each_signal_has_an_endpoint_of_its_own() {
    const METRICS: (&str, &str) = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://m:1/own");
    const LOGS: (&str, &str) = ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://l:1/own");
    const ALL: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:1/base");
    let http = |yaml: &str| OtlpConfig { protocol: Some(Protocol::HttpProtobuf), ..config(yaml) };
    let endpoints = |config: &OtlpConfig, variables: &[(&str, &str)]| {
        let settings = resolved(config, &environment(variables));
        (settings.metrics.endpoint.to_string(), settings.logs.endpoint.to_string())
    };
    let cases = [
        ("{}", &[][..], ("http://localhost:4318/v1/metrics", "http://localhost:4318/v1/logs")),
        ("{}", &[ALL][..], ("http://all:1/base/v1/metrics", "http://all:1/base/v1/logs")),
        ("{}", &[ALL, LOGS][..], ("http://all:1/base/v1/metrics", "http://l:1/own")),
        ("{}", &[METRICS, LOGS][..], ("http://m:1/own", "http://l:1/own")),
        ("{endpoint: 'http://set:1'}", &[ALL, METRICS, LOGS], ("http://set:1/v1/metrics", "http://set:1/v1/logs")),
        ("{logs_endpoint: 'http://set:1/x'}", &[ALL, LOGS], ("http://all:1/base/v1/metrics", "http://set:1/x")),
        ("{metrics_endpoint: 'http://set:1/x'}", &[LOGS], ("http://set:1/x", "http://l:1/own")),
        (
            "{endpoint: '', metrics_endpoint: '', logs_endpoint: ''}",
            &[METRICS, LOGS],
            ("http://m:1/own", "http://l:1/own"),
        ),
    ];
    for (yaml, variables, (metrics, logs)) in cases {
        assert_eq!(endpoints(&http(yaml), variables), (metrics.to_owned(), logs.to_owned()), "{yaml} {variables:?}");
    }
    let grpc = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:1"), ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://logs:1")];
    let expected = ("http://all:1".to_owned(), "http://logs:1".to_owned());
    assert_eq!(endpoints(&OtlpConfig::default(), &grpc), expected);
    let expected = ("https://all:1".to_owned(), "http://logs:1".to_owned());
    assert_eq!(endpoints(&config("{endpoint: 'all:1', logs_endpoint: 'http://logs:1'}"), &grpc), expected);
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let names = ["", "METRICS_", "LOGS_"].iter().flat_map(|signal| VARIABLES.map(|name| format!("{signal}{name}")));
    let names = names.map(|name| format!("OTEL_EXPORTER_OTLP_{name}")).chain([variables::TEMPORALITY.to_owned()]);
    let empty = names.fold(FixedEnvironment::new(), |all, name| all.with_variable(&name, " "));
    let shown = |environment| format!("{:?}", resolved(&OtlpConfig::default(), environment));
    assert_eq!(shown(&empty), shown(&environment(&[])));
}

#[test]
fn all_that_is_wrong_is_reported_at_once_and_no_value_is_repeated() {
    let environment = environment(&[("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "hunter2")]);
    let config = config(
        "{endpoint: 'hunter2', metrics_endpoint: 'hunter2', headers: {a b: hunter2}, compression: deflate, max_size: 2, \
         max_streams: 0, tls: {key_file: k, server_name_override: ' '}, keepalive: {time: 0s}, protocol: grpc}",
    );
    let found = found(&config, &environment);
    assert!(found.iter().all(|(severity, _, message)| *severity == Severity::Error && !message.contains("hunter2")));
    let options: Vec<_> = found.iter().map(|(_, option, _)| option.as_str()).collect();
    let expected = [
        "tls.key_file",
        "tls.server_name_override",
        "keepalive.time",
        "max_streams",
        "max_size",
        "temporality",
        "compression",
        "metrics_endpoint",
        "headers",
        "endpoint",
    ];
    assert_eq!(options, expected);
}

#[test]
fn each_variable_can_be_set_for_one_signal() {
    let of = |name: &str, value: &str, own: &str| {
        let (all, logs) = (format!("OTEL_EXPORTER_OTLP_{name}"), format!("OTEL_EXPORTER_OTLP_LOGS_{name}"));
        let more = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:1"), ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/key.pem")];
        let more = more.into_iter().filter(|(other, _)| name.starts_with("CLIENT") || !other.ends_with("KEY"));
        let variables: Vec<_> = more.chain([(all.as_str(), value), (logs.as_str(), own)]).collect();
        let settings = resolved(&OtlpConfig::default(), &environment(&variables));
        [settings.metrics, settings.logs]
    };
    let text = |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| path.display().to_string());

    let found = of(variables::PROTOCOL, "grpc", "http/protobuf");
    assert_eq!(found.map(|signal| signal.protocol), [Protocol::Grpc, Protocol::HttpProtobuf]);
    let found = of(variables::COMPRESSION, "none", "gzip");
    assert_eq!(found.map(|signal| signal.compression), [Compression::None, Compression::Gzip]);
    let found = of(variables::TIMEOUT, "1500", "60000");
    assert_eq!(found.map(|signal| signal.timeout.as_millis()), [1500, 60_000]);
    let found = of(variables::HEADERS, "a=1", "b=2");
    assert_eq!(
        found.map(|signal| (signal.headers.contains_key("a"), signal.headers.contains_key("b"))),
        [(true, false), (false, true)]
    );
    let found = of(variables::CERTIFICATE, "/all.pem", "/logs.pem");
    assert_eq!(
        found.map(|signal| text(&signal.tls.ca_file)),
        [Some("/all.pem".to_owned()), Some("/logs.pem".to_owned())]
    );
    let found = of(variables::CLIENT_CERTIFICATE, "/all.pem", "/logs.pem");
    let expected = ["/all.pem", "/logs.pem"].map(|file| (Some(file.to_owned()), Some("/key.pem".to_owned())));
    assert_eq!(found.map(|signal| (text(&signal.tls.cert_file), text(&signal.tls.key_file))), expected);
}

#[test]
fn options_win_over_every_variable() {
    let variables = environment(&[
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "nonsense"),
        ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "nonsense"),
        ("OTEL_EXPORTER_OTLP_INSECURE", "nonsense"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/other.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/other.pem"),
    ]);
    let config = config(
        "{endpoint: 'c:1', compression: zstd, timeout: 1s, tls: {ca_file: /ca.pem, cert_file: /c.pem, key_file: /k.pem}}",
    );
    assert_eq!(found(&config, &variables), []);
    let logs = resolved(&config, &variables).logs;
    assert_eq!((logs.endpoint.to_string(), logs.compression), ("https://c:1".to_owned(), Compression::Zstd));
    assert_eq!((logs.timeout, logs.tls), (time::Duration::from_secs(1), config.tls));
}

#[test]
fn the_headers_of_the_environment_are_for_the_backend_that_the_environment_names() {
    const HEADERS: (&str, &str) = ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=hunter2");
    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://vendor.example:4317");
    const LOGS: (&str, &str) = ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://logs.example:4317");
    let cases = [
        ("{}", &[HEADERS][..], [true, true]),
        ("{}", &[HEADERS, ENDPOINT, LOGS], [true, true]),
        ("{endpoint: 'https://vendor.example:4317/'}", &[HEADERS, ENDPOINT], [true, true]),
        ("{endpoint: 'vendor.example:4317'}", &[HEADERS, ENDPOINT], [true, true]),
        ("{endpoint: 'http://vendor.example:4317'}", &[HEADERS, ENDPOINT], [false, false]),
        ("{endpoint: 'https://vendor.example:4318'}", &[HEADERS, ENDPOINT], [false, false]),
        ("{endpoint: 'https://other.example:4317'}", &[HEADERS, ENDPOINT], [false, false]),
        ("{endpoint: 'https://other.example:4317'}", &[HEADERS], [false, false]),
        ("{endpoint: 'https://vendor.example:4317'}", &[HEADERS, ENDPOINT, LOGS], [true, false]),
        ("{metrics_endpoint: 'https://other.example:4317'}", &[HEADERS, ENDPOINT], [false, true]),
    ];
    for (yaml, variables, expected) in cases {
        let (config, environment) = (config(yaml), environment(variables));
        let settings = resolved(&config, &environment);
        let sent = [&settings.metrics, &settings.logs].map(|signal| signal.headers.contains_key("api-key"));
        assert_eq!(sent, expected, "{yaml} {variables:?}");
        let warnings = found(&config, &environment);
        assert_eq!(warnings.len(), usize::from(expected != [true, true]), "{warnings:?}");
        assert!(
            warnings.iter().all(|(severity, option, _)| (*severity, option.as_str()) == (Severity::Warning, "headers"))
        );
        assert!(!format!("{warnings:?}").contains("hunter2"));
    }
    let without = config("{endpoint: 'https://other.example:4317', headers: {}}");
    assert_eq!(found(&without, &environment(&[HEADERS])), [], "said that none are wanted");
}

#[test]
fn the_environment_can_say_that_its_endpoint_is_reached_without_tls() {
    let endpoint = |insecure: &str| {
        let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", "c:1"), ("OTEL_EXPORTER_OTLP_METRICS_INSECURE", insecure)];
        let settings = resolved(&OtlpConfig::default(), &environment(&variables));
        [settings.metrics, settings.logs].map(|signal| signal.endpoint.to_string())
    };
    assert_eq!(endpoint("True"), ["http://c:1", "https://c:1"]);
    assert_eq!(endpoint("false"), ["https://c:1", "https://c:1"]);
}

#[test]
fn a_signal_with_less_time_than_the_other_is_bounded_by_the_exporter() {
    let variables = environment(&[("OTEL_EXPORTER_OTLP_TIMEOUT", "1000"), ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "3000")]);
    let settings = resolved(&OtlpConfig::default(), &variables);
    assert_eq!(settings.delivery.timeout, Duration::from_secs(3));
    let unlimited = environment(&[("OTEL_EXPORTER_OTLP_TIMEOUT", "1000"), ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "0")]);
    assert!(resolved(&OtlpConfig::default(), &unlimited).delivery.timeout.is_zero());
}

#[test]
fn a_variable_that_cannot_be_used_is_named() {
    for (name, value, option) in [
        ("ENDPOINT", "collector", "endpoint"),
        ("METRICS_ENDPOINT", "collector", "endpoint"),
        ("LOGS_ENDPOINT", "collector", "endpoint"),
        ("HEADERS", "api-key", "headers"),
        ("PROTOCOL", "http/json", "protocol"),
        ("LOGS_PROTOCOL", "http/json", "protocol"),
        ("COMPRESSION", "snappy", "compression"),
        ("TIMEOUT", "5s", "timeout"),
        ("INSECURE", "yes", "tls.insecure"),
        ("CLIENT_CERTIFICATE", "/c.pem", "tls.key_file"),
        ("METRICS_CLIENT_KEY", "/k.pem", "tls.cert_file"),
        ("METRICS_TEMPORALITY_PREFERENCE", "sometimes", "temporality"),
    ] {
        let name = format!("OTEL_EXPORTER_OTLP_{name}");
        let found = found(&OtlpConfig::default(), &environment(&[(&name, value)]));
        let [(Severity::Error, path, message)] = &found[..] else { panic!("{name}: {found:?}") };
        assert_eq!(path, option);
        assert!(message.starts_with(&name), "{message}");
    }
}

#[test]
fn queue_and_retry_options_are_checked_too() {
    let config = config("{sending_queue: {max_bytes: 0}, retry_on_failure: {multiplier: 0.5}}");
    let found = found(&config, &environment(&[]));
    let options: Vec<_> = found.iter().map(|(_, option, _)| option.as_str()).collect();
    assert_eq!(options, ["sending_queue.max_bytes", "retry_on_failure.multiplier"]);
}

#[test]
fn another_kind_of_histogram_is_not_sent_and_that_is_said() {
    for (value, is_said) in
        [("explicit_bucket_histogram", true), ("base2_exponential_bucket_histogram", false), ("", false)]
    {
        let settings = resolved(&OtlpConfig::default(), &environment(&[(variables::HISTOGRAMS, value)]));
        let warnings = settings.warnings();
        assert_eq!(warnings.len(), usize::from(is_said), "{value}: {warnings:?}");
        assert!(warnings.iter().all(|warning| warning.message.contains(variables::HISTOGRAMS)));
    }
}

#[test]
fn datadogs_own_intake_wants_delta_over_http() {
    let warnings = |yaml: &str| {
        let found = found(&config(yaml), &environment(&[]));
        assert!(found.iter().all(|(severity, ..)| *severity == Severity::Warning), "{found:?}");
        found.into_iter().map(|(_, option, _)| option).collect::<Vec<_>>()
    };
    assert_eq!(warnings("{protocol: http/protobuf, endpoint: 'https://otlp.datadoghq.eu'}"), ["temporality"]);
    assert_eq!(warnings("{endpoint: 'otlp.us5.datadoghq.com:443'}"), ["temporality", "protocol"]);
    assert!(
        warnings("{protocol: http/protobuf, endpoint: 'https://otlp.datadoghq.eu', temporality: delta}").is_empty()
    );
    assert!(warnings("{endpoint: 'https://collector:4317'}").is_empty());
}

#[test]
fn a_level_is_one_of_the_compressions() {
    let level = |yaml: &str| {
        let config = config(yaml);
        let problems = found(&config, &environment(&[]));
        match &problems[..] {
            [] => Ok(resolved(&config, &environment(&[])).logs.level),
            [(Severity::Error, option, _)] => Err(option.clone()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(level("{}"), Ok(None));
    assert_eq!(level("{compression_params: {level: 9}}"), Ok(Some(9)), "of gzip");
    assert_eq!(level("{compression: zstd, compression_params: {level: 11}}"), Ok(Some(11)));
    let wrong = Err("compression_params.level".to_owned());
    assert_eq!(level("{compression_params: {level: 10}}"), wrong);
    assert_eq!(level("{compression: zstd, compression_params: {level: 23}}"), wrong);
    assert_eq!(level("{compression: none, compression_params: {level: 1}}"), wrong);
}

#[test]
fn timeouts_are_the_collectors() {
    let timeout = |config: &OtlpConfig| resolved(config, &environment(&[])).delivery.timeout;
    assert_eq!(timeout(&OtlpConfig::default()), Duration::from_secs(5));
    assert_eq!(timeout(&OtlpHttpConfig::default().as_otlp()), Duration::from_secs(30));
    assert_eq!(timeout(&config("{timeout: 1m}")), Duration::from_secs(60));
}

#[test]
fn options_are_the_collectors_and_unknown_ones_are_refused() {
    let yaml = "
endpoint: https://otlp.example:4317
headers: {api-key: abc, x-tenant: 7}
tls:
  {insecure: false, ca_pem: '-', cert_file: /c.pem, key_file: /k.pem, server_name_override: x, reload_interval: 1h,
   min_version: '1.3', include_system_ca_certs_pool: true}
keepalive: {time: 10s, timeout: 10s, permit_without_stream: true}
compression: zstd
compression_params: {level: 3}
timeout: 10s
sending_queue: {max_bytes: 8MiB}
retry_on_failure: {enabled: true, initial_interval: 1s, max_interval: 10s, max_elapsed_time: 0}
";
    let grpc: OtlpConfig = settings(yaml, &FixedEnvironment::new()).expect("options");
    let http: OtlpHttpConfig = settings(yaml, &FixedEnvironment::new()).expect("options");
    assert_eq!(http.0, grpc);
    assert_eq!(grpc.headers.as_ref().map(|headers| headers.0.len()), Some(2));
    assert_eq!(found(&grpc, &environment(&[])), []);
    let version = |yaml: &str| config(yaml).tls.min_version;
    assert_eq!(version("{tls: {min_version: 1.2}}"), version("{tls: {min_version: '1.2'}}"), "not a number");
    for unknown in
        ["{endpont: x}", "{tls: {ca: x}}", "{protocol: http/json}", "{compression: snappy}", "{temporality: lowmemory}"]
    {
        assert!(settings::<OtlpConfig>(unknown, &FixedEnvironment::new()).is_err(), "{unknown}");
        assert!(settings::<OtlpHttpConfig>(unknown, &FixedEnvironment::new()).is_err(), "{unknown}");
    }
}

#[test]
fn headers_are_never_shown() {
    let config = config("{headers: {api-key: hunter2}}");
    let settings = resolved(&config, &environment(&[]));
    assert!(!format!("{config:?} {settings:?}").contains("hunter2"));
}
