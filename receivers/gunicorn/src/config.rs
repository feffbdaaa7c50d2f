//! Settings of the `gunicorn` receiver.

use std::time;

use hornpipe_engine::component::{BuildContext, BuildError, ComponentType, Receiver, ReceiverConfig};
use hornpipe_engine::config::{ByteSize, Duration, Report};
use hornpipe_model::Signal;
use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::receiver::GunicornReceiver;

/// The `proc_name` that stands for every application.
pub(crate) const EVERY_APP: &str = "*";

/// The shortest time between two collections; each takes a tenth of a second.
const SHORTEST_INTERVAL: time::Duration = time::Duration::from_secs(1);

/// Settings of the `gunicorn` receiver. `init_config` and `instances` are those of the Datadog Agent's `gunicorn.d/conf.yaml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GunicornConfig {
    /// What holds for all instances.
    pub init_config: InitConfig,
    /// The applications to look for. Empty: every application that runs, as with the one instance `proc_name: "*"`.
    pub instances: Vec<Instance>,
    /// How often the processes are looked at, at least `1s`; an instance's `min_collection_interval` goes before it.
    pub collection_interval: Duration,
    /// How long an application that `"*"` has found, and that is gone, is reported as critical. It is remembered while
    /// hornpipe runs.
    pub forget_after: Duration,
    /// Sends the further metrics below, of each application. Datadog may bill them as custom metrics.
    pub extra_metrics: bool,
    /// Tells the masters of an application apart: its `gunicorn.workers` are sent for each master, with the tag `pid`, or for
    /// each container, with `container_id`. Empty: they are added up, as the Agent does.
    pub master_tags: Vec<MasterTag>,
    /// Gunicorn's own control socket, of version 25.1 and newer.
    pub control_socket: ControlSocketConfig,
    /// How long the command that tells Gunicorn's version may take.
    pub version_timeout: Duration,
    /// Where Linux's process file system is mounted. In a container that has the host's at another place (`-v
    /// /proc:/host/proc:ro`), that place.
    pub procfs_path: String,
}

/// A tag of masters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MasterTag {
    /// The id of its process.
    Pid,
    /// The id of the container that it runs in; none where it runs in no container.
    ContainerId,
}

/// Gunicorn's own control socket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ControlSocketConfig {
    /// Asks each master for the numbers that it keeps itself, where this user may: how many workers there should be, how many were
    /// started and killed, their last signs of life. Nothing but commands that show something is sent.
    pub enabled: bool,
    /// How long a master may take for its answers.
    pub timeout: Duration,
}

impl Default for ControlSocketConfig {
    fn default() -> Self {
        ControlSocketConfig { enabled: true, timeout: Duration::from_millis(500) }
    }
}

/// What holds for all instances.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InitConfig {
    /// The command that tells Gunicorn's version when `--version` is added to it: a path, or words such as `docker exec web
    /// gunicorn`. It is split at spaces and run without a shell. Default: `gunicorn` on the `PATH`.
    pub gunicorn: Option<String>,
    /// Adds the tag `service:<value>` to all metrics and service checks.
    pub service: Option<String>,
}

/// An application to look for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Instance {
    /// The application's name: what stands in brackets in its master's title, `gunicorn: master [name]`. That is Gunicorn's
    /// `-n` or `--name`, else the application itself, such as `app:app`. `"*"` stands for every application that no other
    /// instance names. Required.
    pub proc_name: String,
    /// Tags for the metrics and service checks of this instance.
    pub tags: Vec<String>,
    /// Goes before the one in `init_config`.
    pub service: Option<String>,
    /// Goes before the one in `init_config`.
    pub gunicorn: Option<String>,
    /// Seconds between two collections of this instance, at least 1. Default: `collection_interval`.
    pub min_collection_interval: Option<f64>,
    /// Sends the metrics and service checks of this instance without a host.
    pub empty_default_hostname: bool,
    /// Which metrics are sent. Default: all.
    pub metric_patterns: MetricPatterns,
}

/// Regular expressions that are looked for in the names of metrics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MetricPatterns {
    /// Only metrics that one of these fits. Empty: all.
    pub include: Vec<String>,
    /// No metrics that one of these fits, whatever `include` says.
    pub exclude: Vec<String>,
}

impl Default for GunicornConfig {
    fn default() -> Self {
        GunicornConfig {
            init_config: InitConfig::default(),
            instances: Vec::new(),
            collection_interval: Duration::from_secs(15),
            forget_after: Duration::from_secs(24 * 3600),
            extra_metrics: false,
            master_tags: Vec::new(),
            control_socket: ControlSocketConfig::default(),
            version_timeout: Duration::from_secs(5),
            procfs_path: "/proc".to_owned(),
        }
    }
}

impl ComponentType for GunicornConfig {
    const TYPE: &'static str = "gunicorn";
    const SIGNALS: &'static [Signal] = &[Signal::Metrics];
    const SUMMARY: &'static str = "counts Gunicorn's workers and checks that its applications run, by their processes";
}

impl ReceiverConfig for GunicornConfig {
    /// With 1,000 processes to look at the whole process takes 6 MiB (`docs/benchmarks.md`).
    fn memory(&self) -> ByteSize {
        ByteSize::mib(4)
    }

    fn validate(&self, report: &mut Report) {
        if self.collection_interval.get() < SHORTEST_INTERVAL {
            report.error("collection_interval", "must be at least 1s");
        }
        let timeouts =
            [("version_timeout", self.version_timeout), ("control_socket.timeout", self.control_socket.timeout)];
        for (option, timeout) in timeouts {
            if timeout.is_zero() {
                report.error(option, "must be above 0s");
            }
        }
        if !self.procfs_path.starts_with('/') {
            report.error("procfs_path", "must be an absolute path, such as /proc or /host/proc");
        }
        for (index, instance) in self.instances.iter().enumerate() {
            instance.validate(&format!("instances[{index}]"), report);
            let name = &instance.proc_name;
            if self
                .instances
                .iter()
                .take(index)
                .any(|earlier| earlier.proc_name == *name && earlier.tags == instance.tags)
            {
                let message = format!(
                    "an instance above looks for {name:?} with the same tags: their points would overwrite each other"
                );
                report.error(&format!("instances[{index}].proc_name"), message);
            }
        }
    }

    fn build(&self, context: BuildContext) -> Result<Box<dyn Receiver>, BuildError> {
        Ok(Box::new(GunicornReceiver::new(self, context)?))
    }
}

impl Instance {
    /// The instance that stands for every application.
    pub(crate) fn every_app() -> Self {
        Instance { proc_name: EVERY_APP.to_owned(), ..Instance::default() }
    }

    fn validate(&self, at: &str, report: &mut Report) {
        let name = &self.proc_name;
        if name.is_empty() {
            let help = "write the name in brackets of `gunicorn: master [name]` (see `ps -ef`), or \"*\" for every application";
            report.error_with_help(&format!("{at}.proc_name"), "instance must specify: proc_name", help);
        } else if name.starts_with('<') && name.ends_with('>') {
            let help = "write the name in brackets of `gunicorn: master [name]` (see `ps -ef`)";
            report.error_with_help(&format!("{at}.proc_name"), "this is a placeholder", help);
        }
        if self.min_collection_interval.is_some_and(|seconds| !(1.0..=1e9).contains(&seconds)) {
            report.error(&format!("{at}.min_collection_interval"), "must be a number of seconds, at least 1");
        }
        if self.gunicorn.as_ref().is_some_and(|command| command.trim().is_empty()) {
            report.error(&format!("{at}.gunicorn"), "must be a command, such as /srv/app/venv/bin/gunicorn");
        }
        let MetricPatterns { include, exclude } = &self.metric_patterns;
        for (list, patterns) in [("include", include), ("exclude", exclude)] {
            for (number, pattern) in patterns.iter().enumerate() {
                if let Err(error) = Regex::new(pattern) {
                    report.error(&format!("{at}.metric_patterns.{list}[{number}]"), error.to_string());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(config: &GunicornConfig) -> Vec<(String, String)> {
        let mut report = Report::new();
        config.validate(&mut report);
        report.problems().iter().map(|problem| (problem.path.clone(), problem.message.clone())).collect()
    }

    fn with_instance(change: impl FnOnce(&mut Instance)) -> GunicornConfig {
        let mut instance = Instance { proc_name: "web1".to_owned(), ..Instance::default() };
        change(&mut instance);
        GunicornConfig { instances: vec![instance], ..GunicornConfig::default() }
    }

    #[test]
    fn nothing_set_means_the_defaults() {
        assert_eq!(serde_json::from_str::<GunicornConfig>("{}").unwrap(), GunicornConfig::default());
        assert_eq!(problems(&GunicornConfig::default()), []);
        assert_eq!(problems(&with_instance(|_| {})), []);
    }

    #[test]
    fn an_instance_must_name_its_application() {
        for name in ["", "<PROC_NAME>"] {
            let found = problems(&with_instance(|instance| instance.proc_name = name.to_owned()));
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].0, "instances[0].proc_name");
        }
        let missing = problems(&with_instance(|instance| instance.proc_name.clear()));
        assert_eq!(missing[0].1, "instance must specify: proc_name", "the Agent's words");
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let at = |config: &GunicornConfig| problems(config).into_iter().map(|(path, _)| path).collect::<Vec<_>>();
        let config = GunicornConfig::default;
        assert_eq!(
            at(&GunicornConfig { collection_interval: "500ms".parse().unwrap(), ..config() }),
            ["collection_interval"]
        );
        assert_eq!(at(&GunicornConfig { version_timeout: Duration::ZERO, ..config() }), ["version_timeout"]);
        assert_eq!(at(&GunicornConfig { procfs_path: "proc".to_owned(), ..config() }), ["procfs_path"]);
        for seconds in [0.0, 0.5, -1.0, f64::NAN, f64::INFINITY] {
            let found = at(&with_instance(|instance| instance.min_collection_interval = Some(seconds)));
            assert_eq!(found, ["instances[0].min_collection_interval"], "{seconds}");
        }
        let found = at(&with_instance(|instance| instance.gunicorn = Some(" ".to_owned())));
        assert_eq!(found, ["instances[0].gunicorn"]);
        let found = at(&with_instance(|instance| {
            instance.metric_patterns.include = vec!["fine".to_owned(), "(".to_owned()];
            instance.metric_patterns.exclude = vec!["[".to_owned()];
        }));
        assert_eq!(found, ["instances[0].metric_patterns.include[1]", "instances[0].metric_patterns.exclude[0]"]);
        let mut twice = with_instance(|_| {});
        twice.instances.push(twice.instances[0].clone());
        assert_eq!(at(&twice), ["instances[1].proc_name"]);
        twice.instances[1].tags = vec!["role:spare".to_owned()];
        assert_eq!(at(&twice), [""; 0]);
    }
}
