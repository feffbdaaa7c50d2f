//! The Datadog exporter as an account meets it: its hosts, its keys, and a company's proxy.

use std::path::Path;
use std::process::Command;

use hornpipe_engine::Clock;
use hornpipe_engine::testing::{FakeDatadog, eventually};

use crate::support::{Directory, Hornpipe, Proxy, free_address, hornpipe, metrics_pipeline};

const OTHER_KEY: &str = "ffffffffffffffffffffffffff01a2b3";
/// Short pauses and windows, so that a test does not wait for the real ones.
const RETRY: &str = "retry_on_failure: {initial_interval: 50ms, max_interval: 100ms}";
const WINDOW: &str = "    aggregation_interval: 1s\n";

fn run(config: &Path) -> Command {
    let mut command = hornpipe();
    command.args(["run", "--config"]).arg(config).env("HORNPIPE_STATE_DIR", config.with_file_name("state"));
    command
}

/// What `hornpipe status` shows of the exporters.
fn status(config: &Path) -> String {
    let state = config.with_file_name("state");
    let output = hornpipe().arg("status").env("HORNPIPE_STATE_DIR", state).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_organisation_is_a_second_exporter_with_a_key_and_errors_of_its_own() {
    let (us, eu) = (FakeDatadog::start().await, FakeDatadog::start().await);
    eu.set_key(OTHER_KEY);
    let (statsd, directory) = (free_address(), Directory::new());
    let exporters = [
        (
            "datadog",
            format!("{{api: {{key: {}}}, metrics: {{endpoint: \"{}\"}}, {RETRY}}}", FakeDatadog::API_KEY, us.url()),
        ),
        (
            "datadog/eu",
            format!(
                "{{api: {{key: {OTHER_KEY}, site: datadoghq.eu}}, metrics: {{endpoint: \"{}\"}}, {RETRY}}}",
                eu.url()
            ),
        ),
    ];
    let config = directory.write("pipeline.yaml", &metrics_pipeline(statsd, WINDOW, &exporters));
    let hornpipe = Hornpipe::start(&config, statsd);
    hornpipe.send((0..10).map(|_| "gunicorn.requests:1|c"));
    let both = || [&us, &eu].map(|intake| intake.sum_as_count("gunicorn.requests", &[]));
    eventually("the data at both", || both() == [10.0, 10.0]).await;
    for (intake, key) in [(&us, FakeDatadog::API_KEY), (&eu, OTHER_KEY)] {
        assert!(intake.requests().iter().all(|request| request.headers["dd-api-key"] == key));
        assert!(intake.validations().iter().all(|headers| headers["dd-api-key"] == key));
        intake.assert_clean();
    }

    // The key of one is revoked: the other goes on, and nothing is lost.
    eu.set_key("revoked");
    hornpipe.send((0..10).map(|_| "gunicorn.requests:1|c"));
    eventually("the data at the other", || us.sum_as_count("gunicorn.requests", &[]) == 20.0).await;
    let error =
        "datadog/eu [ERROR]: datadog/eu: API key ending 1a2b3 refused by datadoghq.eu: check DD_API_KEY and DD_SITE";
    eventually("the error", || status(&config).contains(error)).await;
    assert!(status(&config).contains("  datadog [OK]\n"), "{}", status(&config));
    eu.set_key(OTHER_KEY);
    eventually("what was kept", || eu.sum_as_count("gunicorn.requests", &[]) == 20.0).await;
    hornpipe.stop_without_drops();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_key_shows_before_any_data_and_a_new_one_in_its_file_sends_what_was_kept() {
    let (datadog, statsd, directory) = (FakeDatadog::start().await, free_address(), Directory::new());
    let key_file = directory.write("key", OTHER_KEY);
    let settings = format!(
        "{{api: {{key: \"${{file:{}}}\"}}, metrics: {{endpoint: \"{}\"}}, {RETRY}}}",
        key_file.display(),
        datadog.url()
    );
    let config = directory.write("pipeline.yaml", &metrics_pipeline(statsd, WINDOW, &[("datadog", settings)]));
    let hornpipe = Hornpipe::start(&config, statsd);
    eventually("the error", || {
        status(&config).contains("  datadog [ERROR]: datadog: API key ending 1a2b3 refused by datadoghq.com")
    })
    .await;
    assert_eq!(datadog.request_count(), 0);
    hornpipe.send((0..10).map(|_| "gunicorn.requests:1|c"));
    datadog.wait_for_requests(2).await;
    assert_eq!(datadog.sum_as_count("gunicorn.requests", &[]), 0.0);
    directory.write("key", &format!("{}\n", FakeDatadog::API_KEY));
    eventually("what was kept", || datadog.sum_as_count("gunicorn.requests", &[]) == 10.0).await;
    eventually("no error", || status(&config).contains("  datadog [OK]\n")).await;
    let log = hornpipe.stop_with_log();
    assert!(!log.contains(OTHER_KEY) && !log.contains(FakeDatadog::API_KEY), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_intake_is_too_late_for_is_dropped_and_counted_and_the_rest_delivered() {
    let (datadog, statsd, directory) = (FakeDatadog::start().await, free_address(), Directory::new());
    let settings = format!("{{api: {{key: {}}}, metrics: {{endpoint: \"{}\"}}}}", FakeDatadog::API_KEY, datadog.url());
    let config = directory.write("pipeline.yaml", &metrics_pipeline(statsd, "", &[("datadog", settings)]));
    let hornpipe = Hornpipe::start(&config, statsd);
    let minutes_ago = |minutes: u64| Clock::system().unix().as_secs() - minutes * 60;
    let (hour, half, quarter) = (minutes_ago(60), minutes_ago(30), minutes_ago(15));
    hornpipe.send([
        format!("old:1|c|T{hour}\nlate:1|c|T{half}\nnow:1|c").as_str(),
        format!("_sc|old|0|d:{quarter}\n_sc|now|0").as_str(),
    ]);
    let counters = hornpipe.stop();
    let exporter = counters.components.iter().find(|component| component.id == "datadog").unwrap();
    assert_eq!(exporter.dropped, [("too_old".to_owned(), 2)].into());
    assert_eq!(datadog.metrics(), ["late".to_owned(), "now".to_owned()].into());
    assert_eq!((datadog.checks("old").len(), datadog.checks("now").len()), (0, 1));
    datadog.assert_clean();
}

/// Metrics, a service check, an event and what the key's validation asks, to hosts that follow from the site.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_goes_to_the_hosts_of_the_site_through_the_agents_proxy() {
    let datadog = FakeDatadog::start().await;
    let (proxy, unused) = (Proxy::start(datadog.address()).await, Proxy::start(datadog.address()).await);
    let (statsd, directory) = (free_address(), Directory::new());
    let authority = directory.write("authority.pem", proxy.authority());
    let (key, window) = (FakeDatadog::API_KEY, "aggregation_interval: 1s");
    let configuration = format!(
        "receivers: {{statsd: {{endpoint: \"{statsd}\", {window}}}}}\n\
         exporters:\n  datadog: {{api: {{key: {key}, site: us5.datadoghq.com}}, tls: {{ca_file: \"{}\"}}}}\n\
         service:\n  telemetry: {{metrics: {{level: none}}}}\n  pipelines:\n    \
         metrics: {{receivers: [statsd], exporters: [datadog]}}\n    \
         logs: {{receivers: [statsd], exporters: [datadog]}}\n",
        authority.display()
    );
    let config = directory.write("pipeline.yaml", &configuration);
    let mut command = run(&config);
    command.env("DD_PROXY_HTTPS", proxy.url_with("agent:hunter%402")).env("HTTPS_PROXY", unused.url());
    let hornpipe = Hornpipe::start_command(&mut command, statsd);
    hornpipe.send(["requests:1|c\nsize:1|d\n_sc|up|0", "_e{6,2}:deploy|v2"]);
    eventually("the validation", || datadog.validations().len() == 1).await;
    let log = hornpipe.stop_with_log();
    assert!(!log.contains("hunter"), "{log}");
    let mut routes: Vec<_> = datadog.requests().into_iter().map(|request| request.route).collect();
    routes.sort();
    assert_eq!(routes, ["/api/beta/sketches", "/api/v1/check_run", "/api/v1/events", "/api/v2/series"]);
    let asked = proxy.requests();
    assert!(!asked.is_empty() && asked.iter().all(|line| line == "CONNECT api.us5.datadoghq.com:443"), "{asked:?}");
    // agent:hunter@2
    assert_eq!(proxy.credentials(), vec!["Basic YWdlbnQ6aHVudGVyQDI="; asked.len()]);
    assert_eq!(unused.requests(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http_endpoint_has_a_proxy_of_its_own_and_a_host_may_have_none() {
    // Everybody's variables do not lead to this host; the Agent's do.
    let intake = "http://intake.example";
    for (variables, host, is_proxied) in [
        (&["DD_PROXY_HTTP"][..], "", true),
        (&["HTTP_PROXY"], intake, true),
        (&["http_proxy"], intake, true),
        (&["HTTP_PROXY"], "", false),
        (&["DD_PROXY_HTTPS", "HTTPS_PROXY"], "", false),
        (&["DD_PROXY_HTTP", "DD_PROXY_NO_PROXY"], "", false),
        (&["DD_PROXY_HTTP", "NO_PROXY"], "", false),
    ] {
        let datadog = FakeDatadog::start().await;
        let proxy = Proxy::start(datadog.address()).await;
        let (statsd, directory) = (free_address(), Directory::new());
        let endpoint = if host.is_empty() { datadog.url() } else { host.to_owned() };
        let settings = format!("{{api: {{key: {}}}, metrics: {{endpoint: \"{endpoint}\"}}}}", FakeDatadog::API_KEY);
        let config = directory.write("pipeline.yaml", &metrics_pipeline(statsd, "", &[("datadog", settings)]));
        let mut command = run(&config);
        for variable in variables {
            let value = if variable.ends_with("NO_PROXY") { "example.com 127.0.0.1" } else { &proxy.url() };
            command.env(variable, if *variable == "NO_PROXY" { value.replace(' ', ",") } else { value.to_owned() });
        }
        let hornpipe = Hornpipe::start_command(&mut command, statsd);
        hornpipe.send(["requests:1|c"]);
        hornpipe.stop_without_drops();
        assert_eq!(datadog.sum_as_count("requests", &[]), 1.0, "{variables:?}");
        let through = proxy.requests();
        assert_eq!(!through.is_empty(), is_proxied, "{variables:?}: {through:?}");
        assert!(through.iter().all(|line| line.contains(&endpoint)), "{variables:?}: {through:?}");
    }
}
