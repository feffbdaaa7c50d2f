//! The programs that are compared: how each is found, and how it is started for a measurement.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;

use crate::backend::Backend;
use crate::send::Target;
use crate::sink::BUFFER;

/// A program that takes StatsD.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Subject {
    /// This program's own `sink` command.
    Sink,
    /// hornpipe.
    Hornpipe,
    /// An OpenTelemetry Collector with `statsdreceiver` and `nopexporter`.
    Otelcol,
    /// gostatsd.
    Gostatsd,
    /// Prometheus' statsd_exporter.
    StatsdExporter,
    /// Etsy's statsd for Node.js.
    Etsy,
    /// collectd with its statsd plugin.
    Collectd,
}

/// What a program is to do.
#[derive(Debug)]
pub struct Task<'a> {
    /// Where to listen.
    pub target: &'a Target,
    /// How often to flush, in whole seconds.
    pub interval: u64,
    /// Where its files may be.
    pub directory: &'a Path,
    /// Where it sends on to: Datadog's intake and an OTLP backend, or nowhere.
    pub backends: &'a [Backend],
}

impl Subject {
    /// What it is called in tables.
    pub fn name(self) -> &'static str {
        match self {
            Subject::Sink => "bare sink",
            Subject::Hornpipe => "hornpipe",
            Subject::Otelcol => "otelcol",
            Subject::Gostatsd => "gostatsd",
            Subject::StatsdExporter => "statsd_exporter",
            Subject::Etsy => "etsy statsd",
            Subject::Collectd => "collectd",
        }
    }

    /// The variable that says where it is.
    pub fn variable(self) -> &'static str {
        match self {
            Subject::Sink => "HORNPIPE_BENCH_SINK",
            Subject::Hornpipe => "HORNPIPE_BENCH_HORNPIPE",
            Subject::Otelcol => "HORNPIPE_BENCH_OTELCOL",
            Subject::Gostatsd => "HORNPIPE_BENCH_GOSTATSD",
            Subject::StatsdExporter => "HORNPIPE_BENCH_STATSD_EXPORTER",
            Subject::Etsy => "HORNPIPE_BENCH_ETSY",
            Subject::Collectd => "HORNPIPE_BENCH_COLLECTD",
        }
    }

    /// Where it is: where its variable says, beside this program (our own), or on the `PATH`.
    pub fn find(self) -> Option<PathBuf> {
        if let Some(path) = env::var_os(self.variable()) {
            return Some(PathBuf::from(path)).filter(|path| path.is_file());
        }
        let beside = |name| Some(env::current_exe().ok()?.with_file_name(name)).filter(|path| path.is_file());
        match self {
            Subject::Sink => env::current_exe().ok(),
            Subject::Hornpipe => beside("hornpipe").or_else(|| on_path("hornpipe")),
            Subject::Otelcol => on_path("otelcol"),
            Subject::Gostatsd => on_path("gostatsd"),
            Subject::StatsdExporter => on_path("statsd_exporter"),
            Subject::Etsy => on_path("statsd"),
            Subject::Collectd => on_path("collectd"),
        }
    }

    /// False where it refuses lines with tags; then they are left out of what it is sent.
    pub fn takes_tags(self) -> bool {
        !matches!(self, Subject::Etsy | Subject::Collectd)
    }

    /// False where it has no Unix datagram sockets.
    pub fn takes_unix_datagrams(self) -> bool {
        self.takes_tags()
    }

    /// The command line, with its configuration written.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn command(self, program: &Path, task: &Task<'_>) -> io::Result<Command> {
        let mut command = Command::new(program);
        match self {
            Subject::Sink => {
                command.args(["sink", "--target", &endpoint(task.target)]);
            }
            Subject::Hornpipe => {
                command.args(["run", "--config"]).arg(write(task, "hornpipe.yaml", &hornpipe_config(task))?);
                command.env("HORNPIPE_STATE_DIR", task.directory.join("state")).env("DD_HOSTNAME", "bench");
            }
            Subject::Otelcol => {
                command = otelcol_command(program, &write(task, "otelcol.yaml", &otelcol_config(task))?);
            }
            Subject::Gostatsd => {
                command.args(["--backends", "null", "--web-addr", "", "--metrics-addr", &endpoint(task.target)]);
                command.args(["--flush-interval", &format!("{}s", task.interval)]);
            }
            Subject::StatsdExporter => {
                let (udp, unix) = match task.target {
                    Target::Udp(address) => (address.to_string(), String::new()),
                    Target::Unix(path) => (String::new(), path.display().to_string()),
                };
                command.args(["--statsd.listen-tcp=", "--web.listen-address=127.0.0.1:0", "--log.level=error"]);
                command.arg(format!("--statsd.read-buffer={BUFFER}"));
                command.arg(format!("--statsd.listen-udp={udp}")).arg(format!("--statsd.listen-unixgram={unix}"));
            }
            Subject::Etsy => {
                command.arg(write(task, "etsy.js", &etsy_config(task))?);
            }
            Subject::Collectd => {
                command.args(["-f", "-C"]).arg(write(task, "collectd.conf", &collectd_config(program, task))?);
            }
        }
        Ok(command)
    }
}

/// An OpenTelemetry Collector with that configuration.
pub fn otelcol_command(program: &Path, config: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("--config").arg(config);
    command
}

/// A program on the `PATH`.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn write(task: &Task<'_>, name: &str, text: &str) -> io::Result<PathBuf> {
    let path = task.directory.join(name);
    fs::write(&path, text)?;
    Ok(path)
}

fn endpoint(target: &Target) -> String {
    match target {
        Target::Udp(address) => address.to_string(),
        Target::Unix(path) => path.display().to_string(),
    }
}

fn transport(target: &Target) -> &'static str {
    match target {
        Target::Udp(_) => "udp",
        Target::Unix(_) => "unixgram",
    }
}

fn port(target: &Target) -> u16 {
    match target {
        Target::Udp(address) => address.port(),
        Target::Unix(_) => 0,
    }
}

/// The pipeline that is shipped, with an exporter that needs no backend where there is none.
fn hornpipe_config(task: &Task<'_>) -> String {
    let (exporters, names) = match task.backends {
        [datadog, otlp] => (
            format!(
                "  datadog: {{api: {{key: bench}}, metrics: {{endpoint: \"http://{}\"}}}}\n  \
                 otlp: {{endpoint: \"http://{}\", protocol: http/protobuf}}\n",
                datadog.address, otlp.address
            ),
            "datadog, otlp",
        ),
        _ => ("  debug: {verbosity: basic}\n".to_owned(), "debug"),
    };
    format!(
        "receivers:\n  statsd: {{endpoint: \"{}\", transport: {}, aggregation_interval: {}s}}\n\
         processors:\n  percentiles:\n\
         exporters:\n{exporters}\
         service:\n  telemetry: {{metrics: {{level: none}}}}\n  pipelines:\n    \
         metrics: {{receivers: [statsd], processors: [percentiles], exporters: [{names}]}}\n",
        endpoint(task.target),
        transport(task.target),
        task.interval
    )
}

/// Timers become histograms: its default, a gauge, keeps one value of a window.
fn otelcol_config(task: &Task<'_>) -> String {
    format!(
        "receivers:\n  statsd:\n    endpoint: \"{}\"\n    transport: {}\n    aggregation_interval: {}s\n    \
         socket_buffer_size: {BUFFER}\n    timer_histogram_mapping: [{{statsd_type: timing, observer_type: histogram}}]\n\
         exporters:\n  nop:\n\
         service:\n  telemetry: {{metrics: {{level: none}}, logs: {{level: error}}}}\n  \
         pipelines: {{metrics: {{receivers: [statsd], exporters: [nop]}}}}\n",
        endpoint(task.target),
        transport(task.target),
        task.interval
    )
}

fn etsy_config(task: &Task<'_>) -> String {
    format!(
        "{{ port: {}, address: '127.0.0.1', mgmt_port: 0, mgmt_address: '127.0.0.1', backends: [], \
         flushInterval: {}, dumpMessages: false }}\n",
        port(task.target),
        task.interval * 1_000
    )
}

/// Its plugins lie beside it, whether it is installed or only unpacked.
fn collectd_config(program: &Path, task: &Task<'_>) -> String {
    let root = program.parent().and_then(Path::parent).unwrap_or(Path::new("/usr"));
    format!(
        "Interval {}\nBaseDir \"{directory}\"\nPIDFile \"{directory}/collectd.pid\"\n\
         PluginDir \"{root}/lib/collectd\"\nTypesDB \"{root}/share/collectd/types.db\"\nLoadPlugin statsd\n\
         <Plugin statsd>\n  Host \"127.0.0.1\"\n  Port \"{}\"\n  TimerPercentile 95\n</Plugin>\n",
        task.interval,
        port(task.target),
        directory = task.directory.display(),
        root = root.display(),
    )
}
