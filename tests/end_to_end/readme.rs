//! What the README tells a newcomer to do works as it is printed there.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use hornpipe_engine::testing::{FakeDatadog, FakeOtlp};

use crate::support::{Directory, Hornpipe, free_address, shipped_pipeline};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const README: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));

/// The commands of the README's shell block that has `words` in it.
fn shell_block(words: &str) -> &'static str {
    let blocks = README.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("```"));
    let found = blocks.map(|(block, _)| block).find(|block| block.contains(words));
    found.unwrap_or_else(|| panic!("the README has no shell block with {words:?}"))
}

/// The example application from a copy, since it makes its virtual environment beside itself. The copy stays between
/// runs: the environment is made once.
fn start_example(statsd: SocketAddr, rounds: usize) -> Child {
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("example");
    std::fs::create_dir_all(&copy).unwrap();
    for name in ["app.py", "gunicorn.conf.py", "requirements.txt", "run", "traffic.py"] {
        std::fs::copy(Path::new(ROOT).join("examples/gunicorn").join(name), copy.join(name)).unwrap();
    }
    let mut command = Command::new(copy.join("run"));
    command.args(["--rounds", &rounds.to_string()]).env("PORT", free_address().port().to_string());
    command.env("STATSD_HOST", statsd.to_string()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Whether the table that `netstat -nup` prints has an established row from a client to `server`.
fn has_netstat_row(server: SocketAddr) -> bool {
    // The kernel prints the address as a number of this machine's byte order; 01 is ESTABLISHED.
    let remote = format!("{:08X}:{:04X}", u32::from_le_bytes([127, 0, 0, 1]), server.port());
    let table = std::fs::read_to_string("/proc/net/udp").unwrap();
    table.lines().any(|row| {
        let fields: Vec<&str> = row.split_whitespace().collect();
        fields.get(2) == Some(&remote.as_str()) && fields.get(3) == Some(&"01")
    })
}

/// The sum of a count over the lines that the debug exporter printed.
fn printed_count(output: &str, metric: &str) -> f64 {
    let rows = output.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.get(1) == Some(&"count") && row.get(2) == Some(&metric))
        .map(|row| row[3].parse::<f64>().unwrap())
        .sum()
}

#[test]
fn the_two_commands_are_the_first_that_the_readme_shows_and_ci_runs_the_tests_with_the_second() {
    let commands: Vec<&str> =
        shell_block("").lines().map(|line| line.split('#').next().unwrap_or_default().trim()).collect();
    assert_eq!(commands, ["cargo run --release", "cargo test --workspace"]);
    let ci = std::fs::read_to_string(Path::new(ROOT).join(".ci/run")).unwrap();
    assert!(ci.lines().any(|line| line.starts_with("cargo test --workspace")), "{ci}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shipped_pipeline_shows_the_example_application() {
    let (statsd, directory) = (free_address(), Directory::new());
    let hornpipe = Hornpipe::start_command(&mut shipped_pipeline(&directory, statsd, ""), statsd);
    #[cfg_attr(not(target_os = "linux"), expect(unused_mut))]
    let mut example = start_example(statsd, 2);
    // The first time, a virtual environment is made before Gunicorn starts, which takes as long as it takes.
    #[cfg(target_os = "linux")]
    let is_shown = loop {
        match (has_netstat_row(statsd), example.try_wait().unwrap()) {
            (false, None) => tokio::time::sleep(std::time::Duration::from_millis(2)).await,
            (is_shown, _) => break is_shown,
        }
    };
    let example = example.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&example.stdout);
    assert!(example.status.success(), "{said}{}", String::from_utf8_lossy(&example.stderr));
    #[cfg(target_os = "linux")]
    assert!(is_shown, "netstat showed no row for Gunicorn");
    assert!(said.contains("14 requests answered: 10 with 200, 2 with 404, 2 with 500"), "{said}");
    hornpipe.stop();
    let output = std::fs::read_to_string(directory.path().join("output.txt")).unwrap();
    for (metric, expected) in [
        ("gunicorn.requests", 14.0),
        ("gunicorn.request.status.200", 10.0),
        ("gunicorn.request.status.404", 2.0),
        ("gunicorn.request.status.500", 2.0),
        ("gunicorn.log.exception", 2.0),
    ] {
        assert_eq!(printed_count(&output, metric), expected, "{metric} in\n{output}");
    }
    assert!(output.contains("distribution  gunicorn.request.duration  max="), "{output}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_backends_at_once_need_the_variables_that_the_readme_shows() {
    let shown = shell_block("DD_SITE=datadoghq.eu \\\nOTEL");
    let (datadog, otlp) = (FakeDatadog::start().await, FakeOtlp::start().await);
    let (statsd, directory) = (free_address(), Directory::new());
    // Only the test's own intake is laid over the shipped file: Datadog's follows from the site.
    let intake = format!("exporters: {{datadog: {{metrics: {{endpoint: \"{}\"}}}}}}\n", datadog.url());
    let overlay = directory.write("intake.yaml", &intake);
    let arguments = format!("--config pipeline.yaml --config {}", overlay.display());
    let mut command = shipped_pipeline(&directory, statsd, &arguments);
    for (variable, value) in [
        ("DD_API_KEY", FakeDatadog::API_KEY),
        ("DD_SITE", "datadoghq.eu"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url().as_str()),
        ("HORNPIPE_EXPORTERS", "[datadog, otlp]"),
    ] {
        assert!(shown.contains(&format!("{variable}=")), "{variable} is not in\n{shown}");
        command.env(variable, value);
    }
    assert!(shown.contains("HORNPIPE_EXPORTERS='[datadog, otlp]'"), "{shown}");
    let hornpipe = Hornpipe::start_command(&mut command, statsd);
    hornpipe.send((0..20).map(|_| "gunicorn.requests:1|c|@1.0"));
    hornpipe
        .send((1..=20).map(|value| ["gunicorn.request.duration:1|ms", "gunicorn.request.duration:20|ms"][value % 2]));
    hornpipe.stop();
    assert_eq!(datadog.sum_as_count("gunicorn.requests", &[]), 20.0);
    assert_eq!(datadog.sum_as_count("gunicorn.request.duration.count", &[]), 20.0);
    assert_eq!(otlp.sum("gunicorn.requests", &[]), 20.0);
    assert_eq!(otlp.histogram("gunicorn.request.duration", &[]).count, 20);
}
