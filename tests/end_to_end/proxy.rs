//! OTLP through a company's proxy.

use hornpipe_engine::testing::FakeOtlp;

use crate::support::{Directory, Hornpipe, Proxy, free_address, hornpipe, metrics_pipeline};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_and_http_go_through_the_proxy_of_the_environment_but_not_to_this_host() {
    for (id, host, is_proxied) in [
        ("otlp", "https://otlp.example:4317", true),
        ("otlp_http", "https://otlp.example", true),
        ("otlp", "", false),
        ("otlp_http", "", false),
    ] {
        let backend = FakeOtlp::start().await;
        let (proxy, directory, statsd) = (Proxy::start(backend.address()).await, Directory::new(), free_address());
        let authority = directory.write("authority.pem", proxy.authority());
        let endpoint = if host.is_empty() { backend.url() } else { host.to_owned() };
        let settings = format!("{{endpoint: \"{endpoint}\", tls: {{ca_file: \"{}\"}}}}", authority.display());
        let config = directory.write("pipeline.yaml", &metrics_pipeline(statsd, "", &[(id, settings)]));
        let mut command = hornpipe();
        command.args(["run", "--config"]).arg(&config);
        command.env("HTTPS_PROXY", proxy.url_with("me:hunter2")).env("HTTP_PROXY", proxy.url());
        let hornpipe = Hornpipe::start_command(&mut command, statsd);
        hornpipe.send(["requests:1|c"]);
        let log = hornpipe.stop_with_log();
        assert!(!log.contains("hunter2"), "{log}");
        assert_eq!(backend.sum("requests", &[]), 1.0, "{id} {host}: {log}");
        let asked = proxy.requests();
        assert_eq!(!asked.is_empty(), is_proxied, "{id} {host}: {asked:?}");
        assert!(asked.iter().all(|line| line.starts_with("CONNECT otlp.example:")), "{asked:?}");
        // me:hunter2
        assert_eq!(proxy.credentials(), vec!["Basic bWU6aHVudGVyMg=="; asked.len()]);
    }
}
