//! What a start says: where it listens and for whom, who sends, where the data goes, and who is in the way.

use std::fs::File;
use std::io::Write;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Directory, Hornpipe, Process, free_address, hornpipe, metrics_pipeline};

/// One window for longer than any test: what is said at its end is not said.
const ENDLESS_WINDOW: &str = "    aggregation_interval: 1h\n";

fn configuration(statsd: SocketAddr) -> String {
    metrics_pipeline(statsd, ENDLESS_WINDOW, &[("debug", "{}".to_owned())])
}

fn run(directory: &Directory, configuration: &str) -> Command {
    let file = directory.write("pipeline.yaml", configuration);
    let mut command = hornpipe();
    command.args(["run", "--config"]).arg(file).env("HORNPIPE_STATE_DIR", directory.path().join("state"));
    command
}

#[test]
fn a_taken_port_names_address_option_holder_and_the_way_out() {
    let (statsd, directory, other) = (free_address(), Directory::new(), Directory::new());
    let holder = Hornpipe::start_command(&mut run(&directory, &configuration(statsd)), statsd);
    let every = SocketAddr::from(([0, 0, 0, 0], statsd.port()));
    for address in [statsd, every] {
        let output = run(&other, &configuration(address)).output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{words}");
        for part in [
            format!("udp address {address} is taken by "),
            "pipeline.yaml:3:15 (receivers.statsd.endpoint)".to_owned(),
            "choose another endpoint and point the clients there".to_owned(),
        ] {
            assert!(words.contains(&part), "{part:?} is not in:\n{words}");
        }
        if cfg!(target_os = "linux") {
            assert!(words.contains(&format!("taken by pid {} hornpipe;", holder.pid())), "{words}");
        }
    }
    holder.stop();
}

#[test]
#[cfg(target_os = "linux")]
fn as_many_files_as_the_system_allows_may_be_open() {
    let (statsd, directory) = (free_address(), Directory::new());
    let run = run(&directory, &configuration(statsd));
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -Sn 64; exec \"$0\" \"$@\""]).arg(run.get_program()).args(run.get_args()).env_clear();
    shell.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let hornpipe = Hornpipe::start_command(&mut shell, statsd);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", hornpipe.pid())).unwrap();
    let limit = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let mut soft_and_hard = limit.split_whitespace().skip(3);
    assert_eq!(soft_and_hard.next(), soft_and_hard.next(), "{limit}");
    hornpipe.stop();
}

/// The end of a pipe to write to, as soon as somebody reads it.
fn open_once_read(pipe: &Path) -> File {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        // Without waiting, since a reader that never comes would be waited for for ever.
        match File::options().write(true).custom_flags(libc::O_NONBLOCK).open(pipe) {
            Ok(writer) => return writer,
            Err(error) => assert!(Instant::now() < deadline, "nobody reads: {error}"),
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_reload_that_is_asked_for_while_the_configuration_is_read_follows() {
    let (statsd, directory) = (free_address(), Directory::new());
    // A pipe: it can be opened to write once it is being read.
    let pipe = directory.path().join("pipe.yaml");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut command = hornpipe();
    command.args(["run", "--config"]).arg(&pipe).env("HORNPIPE_STATE_DIR", directory.path().join("state"));
    let mut process = Process::start(&mut command);
    let mut writer = open_once_read(&pipe);
    process.signal("HUP");
    writer.write_all(configuration(statsd).as_bytes()).unwrap();
    drop(writer);
    process.wait_for_line("hornpipe runs");
    open_once_read(&pipe).write_all(configuration(statsd).as_bytes()).unwrap();
    process.wait_for_line("the new configuration runs");
    let (status, log) = process.terminate();
    assert!(status.success(), "{status}:\n{log}");
}

#[test]
fn each_source_is_announced_with_its_first_packet_and_not_at_the_windows_end() {
    let (statsd, directory) = (free_address(), Directory::new());
    let mut hornpipe = Hornpipe::start_command(&mut run(&directory, &configuration(statsd)), statsd);
    hornpipe.wait_for_line(&format!("StatsD on udp {statsd}; connect Gunicorn with --statsd-host {statsd}"));
    for _ in 0..2 {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let source = client.local_addr().unwrap();
        client.send_to(b"gunicorn.requests:1|c\ngunicorn.workers:2|g", statsd).unwrap();
        hornpipe.wait_for_line(&format!("first packet from {source}: gunicorn.requests"));
        client.send_to(b"orders:1|c", statsd).unwrap();
    }
    let log = hornpipe.stop_with_log();
    assert_eq!(log.matches("first packet").count(), 2, "{log}");
}

#[test]
fn the_exporters_and_the_host_name_are_said_with_what_decides_them() {
    let (statsd, directory) = (free_address(), Directory::new());
    let configured = format!(
        "receivers: {{statsd: {{endpoint: \"{statsd}\"}}}}\n\
         exporters:\n  debug:\n  otlp:\n\
         service:\n  hostname: ${{env:NAME:-}}\n  telemetry: {{metrics: {{level: none}}}}\n  pipelines:\n    \
         metrics: {{receivers: [statsd], exporters: \"${{env:TO:-[debug]}}\"}}\n"
    );
    for (variables, exporters, host) in [
        (
            [("DD_HOSTNAME", "web-1"), ("NAME", "")],
            "exporting to debug; also configured: otlp: switch on with TO='[debug, otlp]'",
            "host name: web-1 (from DD_HOSTNAME)",
        ),
        (
            [("TO", "[debug, otlp]"), ("NAME", "web-2")],
            "exporting to debug, otlp",
            "host name: web-2 (from service.hostname)",
        ),
    ] {
        let mut hornpipe = Hornpipe::start_command(run(&directory, &configured).envs(variables), statsd);
        for words in [exporters, host] {
            let line = hornpipe.wait_for_line(words);
            assert!(line.trim_end().ends_with(words), "{line}");
        }
        hornpipe.stop();
    }
}

#[test]
fn with_json_every_line_is_an_object_up_to_the_counters_at_the_end() {
    let (statsd, directory) = (free_address(), Directory::new());
    let json = configuration(statsd).replace("telemetry: {", "telemetry: {logs: {encoding: json}, ");
    let mut hornpipe = Hornpipe::start_command(&mut run(&directory, &json), statsd);
    hornpipe.send(["gunicorn.requests:1|c"]);
    hornpipe.wait_for_line("first packet from");
    let log = hornpipe.stop_with_log();
    for line in log.lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(
            object["message"].is_string() && object["level"] == "INFO" || object["final_counters"].is_object(),
            "{line}"
        );
    }
}
