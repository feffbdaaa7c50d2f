//! A report as text: one line for each thing that somebody asks about, with what is wrong on the line of what it is about.

use std::collections::BTreeMap;
use std::fmt;

use hornpipe_model::Signal;

use super::Phase;
use super::report::{
    CheckReport, ComponentStatus, Health, HostStatus, LeftQueueStatus, QueueStatus, SignalStatus, StatusReport,
};
use crate::config::Duration;

impl fmt::Display for StatusReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match self.phase {
            Phase::Starting => "starting, ",
            Phase::Running => "",
            Phase::Stopping => "stopping, ",
        };
        let StatusReport { version, pid, status, .. } = self;
        writeln!(f, "hornpipe {version} [{}]  {phase}pid {pid}, up {}", status.as_str(), span(self.uptime_seconds))?;
        writeln!(f)?;
        self.fmt_process(f)?;
        writeln!(f, "\nPipelines")?;
        for pipeline in &self.pipelines {
            writeln!(f, "  {}: {pipeline}", pipeline.id)?;
        }
        if !self.checks.is_empty() {
            writeln!(f, "\nChecks")?;
            self.checks.iter().try_for_each(|check| check.fmt(f))?;
        }
        for (title, components) in [
            ("Receivers", &self.receivers),
            ("Processors", &self.processors),
            ("Exporters", &self.exporters),
            ("Extensions", &self.extensions),
        ] {
            if components.is_empty() {
                continue;
            }
            writeln!(f, "\n{title}")?;
            components.iter().try_for_each(|component| component.fmt(f))?;
        }
        Ok(())
    }
}

impl StatusReport {
    /// Events alone are logs, too: the pipelines say what is on.
    fn logs(&self) -> String {
        let pipelines = self.pipelines.iter().filter(|pipeline| pipeline.signal == Signal::Logs);
        let ids: Vec<&str> = pipelines.map(|pipeline| pipeline.id.as_str()).collect();
        if ids.is_empty() { "off: no pipeline for logs is enabled".to_owned() } else { ids.join(", ") }
    }

    fn fmt_process(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, "configuration", &self.config_files.join(", "))?;
        if let Some(reload) = &self.last_reload {
            let ago = span(reload.age_seconds);
            match &reload.error {
                None => line(f, "last reload", &format!("[OK] {ago} ago"))?,
                Some(error) => {
                    line(f, "last reload", &format!("[ERROR] {ago} ago; the configuration before it runs on"))?;
                    for text in error.lines() {
                        writeln!(f, "{}", printable(&format!("    {text}")).trim_end())?;
                    }
                }
            }
        }
        line(f, "host name", &host(&self.host))?;
        line(f, "logs", &self.logs())?;
        match &self.state_directory.problem {
            None => line(f, "state directory", &self.state_directory.path)?,
            Some(problem) => line(f, "state directory", &format!("[WARNING] {problem}"))?,
        }
        self.warnings.iter().try_for_each(|warning| line(f, "warning", warning))?;
        self.left_queues.iter().try_for_each(|queue| line(f, "left queue", &format!("[WARNING] {queue}")))
    }
}

impl fmt::Display for ComponentStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pipeline = self.pipeline.as_ref().map(|pipeline| format!(" in {pipeline}")).unwrap_or_default();
        write!(f, "  {}{pipeline} [{}]", self.id, self.status.as_str())?;
        match &self.message {
            Some(message) => writeln!(f, ": {}", clean(message))?,
            None => writeln!(f)?,
        }
        // The last error of a component that has one now stands in its first line.
        if let Some(error) = self.last_error.as_ref().filter(|_| self.status != Health::Error) {
            writeln!(f, "    last error {} ago: {}", span(error.age_seconds), clean(&error.text))?;
        }
        // A warning stands in the first line, where nothing is worse.
        let is_said = |text: &String| self.message.as_ref().is_some_and(|message| message.ends_with(text));
        for (name, text) in self.facts.iter().filter(|(_, text)| !is_said(text)) {
            writeln!(f, "    {name}: {}", clean(text))?;
        }
        if let Some(waiting) = &self.waiting {
            let (exporters, age) = (waiting.exporters.join(", "), span(waiting.age_seconds));
            writeln!(
                f,
                "    waits for {age}: no room in the queues of {exporters}; what is not read is kept where it is"
            )?;
        }
        for (signal, counters) in &self.signals {
            writeln!(f, "    {signal}: {counters}")?;
        }
        if let Some(queue) = &self.queue {
            writeln!(f, "    queue: {queue}")?;
        }
        let numbers: Vec<String> = self
            .numbers
            .iter()
            .filter(|(_, value)| **value > 0)
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        if !numbers.is_empty() {
            writeln!(f, "    {}", numbers.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {}", self.name)?;
        match &self.version {
            Some(version) => writeln!(f, " ({})", clean(version))?,
            None => writeln!(f, " (version unknown)")?,
        }
        for (number, instance) in self.instances.iter().enumerate() {
            write!(f, "    instance #{number} [{}]", instance.status.as_str())?;
            match &instance.message {
                Some(message) => writeln!(f, ": '{}'", clean(message))?,
                None => writeln!(f)?,
            }
            instance.details.iter().try_for_each(|line| writeln!(f, "      {}", clean(line)))?;
        }
        let count = |number: u64, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
        let (metrics, events) = (count(self.metrics, "metric"), count(self.events, "event"));
        writeln!(f, "    Collected {metrics}, {events} & {}", count(self.service_checks, "service check"))?;
        let dependencies: Vec<String> =
            self.dependencies.iter().map(|(name, version)| format!("{name}: {version}")).collect();
        if !dependencies.is_empty() {
            writeln!(f, "    Dependencies: {}", dependencies.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for SignalStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SignalStatus { received, recovered, split, emitted, dropped, held, .. } = self;
        write!(f, "{received} in, ")?;
        if *recovered > 0 {
            write!(f, "{recovered} from disk, ")?;
        }
        if *split > 0 {
            write!(f, "{split} more by splitting, ")?;
        }
        write!(f, "{emitted} out, {} dropped", dropped.values().sum::<u64>())?;
        if !dropped.is_empty() {
            write!(f, " ({})", by_reason(dropped))?;
        }
        write!(f, ", {held} held")
    }
}

impl fmt::Display for LeftQueueStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LeftQueueStatus { exporter, path, items, bytes: count, age_seconds } = self;
        write!(
            f,
            "{items} undelivered items ({}, last written {} ago) of exporter {exporter}, which no pipeline has with this \
             storage, lie in {path}: name it in a pipeline again to have them sent, or delete that folder",
            bytes(*count),
            span(*age_seconds)
        )
    }
}

impl fmt::Display for QueueStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", bytes(self.bytes), bytes(self.capacity_bytes))?;
        match self.oldest_age_seconds {
            Some(age) => write!(f, ", oldest {}", span(age)),
            None => Ok(()),
        }
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, text: &str) -> fmt::Result {
    writeln!(f, "  {:<17}{}", format!("{name}:"), clean(text))
}

fn host(host: &HostStatus) -> String {
    let mut text = host.name.clone().unwrap_or_else(|| "none".to_owned());
    if !host.source.is_empty() {
        text.push_str(&format!(" (from {})", host.source));
    }
    if let Some(advice) = &host.advice {
        text.push_str(&format!("; {advice}"));
    }
    text
}

fn by_reason(dropped: &BTreeMap<String, u64>) -> String {
    dropped.iter().map(|(reason, items)| format!("{reason} {items}")).collect::<Vec<_>>().join(", ")
}

/// Whole seconds in the form in which the configuration takes them.
fn span(seconds: u64) -> String {
    Duration::from_secs(seconds).to_string()
}

/// In the greatest unit of which there is a whole one, with one decimal where it says something.
fn bytes(count: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match UNITS.into_iter().find(|(_, scale)| count >= *scale) {
        None => format!("{count} B"),
        Some((unit, scale)) if count.is_multiple_of(scale) => format!("{} {unit}", count / scale),
        Some((unit, scale)) => format!("{:.1} {unit}", count as f64 / scale as f64),
    }
}

/// The words alone, fit for a line of their own.
fn clean(text: &str) -> String {
    printable(text.trim())
}

/// Without what could steer a terminal or break the line: errors quote what others sent.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
