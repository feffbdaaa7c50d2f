//! How each program is told which files to read and where to send their lines.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::subject::{Subject, otelcol_command};

/// What a program is to do.
#[derive(Debug)]
pub struct Setup<'a> {
    /// Where its configuration and its state may be.
    pub directory: &'a Path,
    /// The folder whose files it reads, all of them, where it reads any.
    pub files: Option<&'a Path>,
    /// Whether it begins at the beginning of files that are there already.
    pub from_beginning: bool,
    /// Where it takes StatsD, where it does.
    pub statsd: Option<SocketAddr>,
    /// Datadog's intake.
    pub datadog: Option<SocketAddr>,
    /// An OTLP backend.
    pub otlp: Option<SocketAddr>,
    /// Whether its queues of logs are on disk, as they are unless told otherwise.
    pub durable: bool,
}

impl Setup<'_> {
    /// The command line of a program, with its configuration written.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn command(&self, subject: Subject, program: &Path) -> io::Result<Command> {
        if subject == Subject::Otelcol {
            return Ok(otelcol_command(program, &self.write("otelcol.yaml", &self.otelcol())?));
        }
        let mut command = Command::new(program);
        command.args(["run", "--config"]).arg(self.write("hornpipe.yaml", &self.hornpipe())?);
        command.env("HORNPIPE_STATE_DIR", self.directory.join("state")).env("DD_HOSTNAME", "bench");
        Ok(command)
    }

    fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.directory.join(name);
        fs::write(&path, text)?;
        Ok(path)
    }

    fn start_at(&self) -> &'static str {
        if self.from_beginning { "beginning" } else { "end" }
    }

    /// Everything is as it is by default, but for OTLP's compression, which is gzip.
    fn hornpipe(&self) -> String {
        let queue = if self.durable { "" } else { ", sending_queue: {storage: none, on_full: block}" };
        let (mut receivers, mut exporters, mut names, mut pipelines) =
            (String::new(), String::new(), Vec::new(), String::new());
        if let Some(address) = self.datadog {
            let url = format!("{{endpoint: \"http://{address}\"}}");
            exporters.push_str(&format!("  datadog: {{api: {{key: bench}}, metrics: {url}, logs: {url}{queue}}}\n"));
            names.push("datadog");
        }
        if let Some(address) = self.otlp {
            exporters.push_str(&format!(
                "  otlp: {{endpoint: \"http://{address}\", protocol: http/protobuf, compression: zstd{queue}}}\n"
            ));
            names.push("otlp");
        }
        let names = names.join(", ");
        if let Some(files) = self.files {
            receivers.push_str(&format!(
                "  filelog: {{include: [\"{}/*.log\"], start_at: {}, service: shop, source: gunicorn}}\n",
                files.display(),
                self.start_at()
            ));
            pipelines.push_str(&format!("    logs: {{receivers: [filelog], exporters: [{names}]}}\n"));
        }
        if let Some(address) = self.statsd {
            receivers.push_str(&format!("  statsd: {{endpoint: \"{address}\"}}\n"));
            pipelines.push_str(&format!(
                "    metrics: {{receivers: [statsd], processors: [percentiles], exporters: [{names}]}}\n"
            ));
        }
        format!(
            "receivers:\n{receivers}processors:\n  percentiles:\nexporters:\n{exporters}\
             service:\n  telemetry: {{metrics: {{level: none}}}}\n  pipelines:\n{pipelines}"
        )
    }

    /// A full queue holds the files back, since nothing may be lost. Its queue makes batches, without which it sends a hundred
    /// lines a request. With a queue on disk go checkpoints on disk, and `fdatasync` after each.
    fn otelcol(&self) -> String {
        let files = self.files.map(Path::display).map_or_else(String::new, |path| path.to_string());
        let endpoint = self.otlp.map_or_else(String::new, |address| address.to_string());
        let storage = self.directory.join("storage");
        let (option, extension, extensions) = match self.durable {
            false => ("", String::new(), ""),
            true => (
                ", storage: file_storage",
                format!(
                    "extensions:\n  file_storage: {{directory: \"{}\", create_directory: true, fsync: true}}\n",
                    storage.display()
                ),
                "file_storage",
            ),
        };
        format!(
            "receivers:\n  filelog: {{include: [\"{files}/*.log\"], start_at: {}, include_file_path: true{option}}}\n\
             exporters:\n  otlphttp:\n    endpoint: \"http://{endpoint}\"\n    compression: zstd\n    \
             sending_queue: {{enabled: true, block_on_overflow: true, batch: {{flush_timeout: 200ms, min_size: 8192, sizer: items}}{option}}}\n\
             {extension}\
             service:\n  extensions: [{extensions}]\n  telemetry: {{metrics: {{level: none}}, logs: {{level: error}}}}\n  \
             pipelines: {{logs: {{receivers: [filelog], exporters: [otlphttp]}}}}\n",
            self.start_at()
        )
    }
}
