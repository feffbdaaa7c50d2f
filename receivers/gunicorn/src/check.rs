//! The check: what became of each application, by the Datadog Agent's rules and in its words (its `gunicorn` check, 4.x).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use hornpipe_engine::Clock;
use hornpipe_model::CheckStatus;

use crate::config::{ControlSocketConfig, EVERY_APP, GunicornConfig};
use crate::control::{self, Exact};
use crate::discover::Master;
use crate::process::ProcessId;
use crate::scanner::{Found, Scanner, Scope};
use crate::title::UPGRADE;

/// Between the two looks at the workers' CPU times, as in the Agent.
const CPU_SPAN: Duration = Duration::from_millis(100);

/// An application as one collection found it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct App {
    pub name: String,
    /// Its masters, none where it does not run.
    pub masters: Vec<Master>,
    /// Workers that used CPU time.
    pub working: u64,
    /// Workers that used none.
    pub idle: u64,
    /// What the service check says.
    pub status: CheckStatus,
    /// Its message, empty where there is nothing to say.
    pub message: String,
}

/// What one collection found for an instance.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InstanceOutcome {
    /// The instance's place in the configuration.
    pub instance: usize,
    /// Its applications: one, or with `"*"` any number.
    pub apps: Vec<App>,
}

/// What one collection found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Collection {
    pub outcomes: Vec<InstanceOutcome>,
    /// How many processes there are.
    pub seen: u64,
    /// How many could not be read.
    pub unreadable: u64,
}

impl Collection {
    /// What could not be read, for people; nothing where all could.
    pub(crate) fn unread(&self) -> Option<String> {
        let Collection { seen, unreadable, .. } = self;
        (*unreadable > 0).then(|| format!("{unreadable} of {seen} processes could not be read"))
    }
}

/// The check with what it remembers from one collection to the next.
pub(crate) struct Check {
    /// The names of the instances.
    instances: Vec<String>,
    scanner: Scanner,
    clock: Clock,
    forget_after: Duration,
    control_socket: ControlSocketConfig,
    /// When `"*"` last saw an application, by its name.
    remembered: BTreeMap<String, Duration>,
}

impl Check {
    /// A check of these instances.
    pub(crate) fn new(config: &GunicornConfig, instances: Vec<String>, clock: Clock) -> Self {
        let procfs = config.procfs_path.clone().into();
        Check {
            instances,
            scanner: Scanner::new(Scope { procfs, is_extra: config.extra_metrics }),
            clock,
            forget_after: config.forget_after.get(),
            control_socket: config.control_socket.clone(),
            remembered: BTreeMap::new(),
        }
    }

    /// Runs it for some instances.
    ///
    /// # Errors
    /// The process table cannot be read now.
    pub(crate) async fn run(&mut self, due: &[usize]) -> Result<Collection, String> {
        let Found { masters, seen, unreadable } = self.scanner.look().await?;
        let mut apps = self.apps(masters);
        self.remember(&apps);
        let mut outcomes = Vec::with_capacity(due.len());
        for &instance in due {
            let found = self.of_instance(instance, &mut apps);
            outcomes.push(InstanceOutcome { instance, apps: found });
        }
        self.look_closer(&mut outcomes).await?;
        Ok(Collection { outcomes, seen, unreadable })
    }

    /// The masters by the application that they belong to.
    fn apps(&self, masters: Vec<Master>) -> BTreeMap<String, Vec<Master>> {
        let mut apps: BTreeMap<String, Vec<Master>> = BTreeMap::new();
        for master in masters {
            apps.entry(self.app_of(&master.name.text).to_owned()).or_default().push(master);
        }
        apps
    }

    /// A master's application. One that `SIGUSR2` started keeps the `.2` of its title for a moment after the old master has
    /// gone.
    fn app_of<'a>(&self, name: &'a str) -> &'a str {
        let is_known = |name: &str| self.is_named(name) || self.remembered.contains_key(name);
        match name.strip_suffix(UPGRADE) {
            Some(base) if is_known(base) && !is_known(name) => base,
            _ => name,
        }
    }

    /// Whether an instance names this application.
    fn is_named(&self, app: &str) -> bool {
        self.instances.iter().any(|name| name == app)
    }

    /// Notes the applications that only `"*"` stands for. What has neither title nor workers is starting, and may soon have
    /// another name.
    fn remember(&mut self, apps: &BTreeMap<String, Vec<Master>>) {
        let now = self.clock.monotonic();
        for (app, masters) in apps {
            let is_sure = masters.iter().any(|master| master.is_titled || !master.workers.is_empty());
            if is_sure || self.remembered.contains_key(app) {
                self.remembered.insert(app.clone(), now);
            }
        }
        self.remembered.retain(|_, seen| now.saturating_sub(*seen) < self.forget_after);
    }

    fn of_instance(&self, instance: usize, apps: &mut BTreeMap<String, Vec<Master>>) -> Vec<App> {
        let name = self.instances.get(instance).map(String::as_str).unwrap_or_default();
        if name != EVERY_APP {
            let masters = apps.get(name).cloned().unwrap_or_default();
            let doubtful = if masters.is_empty() { self.doubtful(apps) } else { Vec::new() };
            return vec![App::new(name, masters, &doubtful)];
        }
        let names: BTreeSet<&String> = self.remembered.keys().filter(|app| !self.is_named(app)).collect();
        names.into_iter().map(|app| App::new(app, apps.get(app).cloned().unwrap_or_default(), &[])).collect()
    }

    /// Untitled masters that could be of any name, and are of none that an instance has.
    fn doubtful(&self, apps: &BTreeMap<String, Vec<Master>>) -> Vec<u32> {
        let unnamed = apps.iter().filter(|(app, _)| !self.is_named(app)).flat_map(|(_, masters)| masters);
        unnamed.filter(|master| !master.name.is_certain).map(|master| master.id.pid).collect()
    }

    /// Looks at the workers again to say which work, and asks the masters meanwhile.
    async fn look_closer(&self, outcomes: &mut [InstanceOutcome]) -> Result<(), String> {
        let masters: Vec<&Master> =
            outcomes.iter().flat_map(|outcome| &outcome.apps).flat_map(|app| &app.masters).collect();
        let (exact, cpu) = tokio::join!(self.ask(&masters), self.cpu_later(&masters));
        let cpu = cpu?;
        let apps = outcomes.iter_mut().flat_map(|outcome| &mut outcome.apps);
        for app in apps {
            for master in &mut app.masters {
                master.exact = exact.get(&master.id).cloned();
                for worker in &master.workers {
                    // One that is gone by now counts for neither.
                    match cpu.get(&worker.id) {
                        Some(cpu) if *cpu == worker.cpu => master.idle += 1,
                        Some(_) => master.working += 1,
                        None => {}
                    }
                }
            }
            app.judge();
        }
        Ok(())
    }

    /// The CPU times of the workers a moment later.
    async fn cpu_later(&self, masters: &[&Master]) -> Result<BTreeMap<ProcessId, Duration>, String> {
        let workers: BTreeSet<ProcessId> =
            masters.iter().flat_map(|master| &master.workers).map(|worker| worker.id).collect();
        if workers.is_empty() {
            return Ok(BTreeMap::new());
        }
        self.clock.sleep(CPU_SPAN).await;
        let workers: Vec<ProcessId> = workers.into_iter().collect();
        let cpu = self.scanner.cpu(workers.clone()).await?;
        Ok(workers.into_iter().zip(cpu).filter_map(|(id, cpu)| Some((id, cpu?))).collect())
    }

    /// What the masters say about themselves, all asked at once.
    async fn ask(&self, masters: &[&Master]) -> BTreeMap<ProcessId, Exact> {
        let ControlSocketConfig { enabled, timeout } = self.control_socket;
        let masters: BTreeMap<ProcessId, &Master> =
            masters.iter().filter(|_| enabled).map(|master| (master.id, *master)).collect();
        let answers = masters.iter().map(|(id, master)| async move {
            Some((*id, control::ask(id.pid, &master.facts, timeout.get(), &self.clock).await?))
        });
        join_all(answers).await.into_iter().flatten().collect()
    }
}

impl App {
    fn new(name: &str, masters: Vec<Master>, doubtful: &[u32]) -> Self {
        let mut app = App {
            name: name.to_owned(),
            masters,
            working: 0,
            idle: 0,
            status: CheckStatus::Critical,
            message: format!("No gunicorn process with name {name} found, skipping worker metrics"),
        };
        if !doubtful.is_empty() {
            app.status = CheckStatus::Unknown;
            app.message = format!(
                "gunicorn runs without process titles (master {}) under a name that its command line does not tell, which may \
                 be {name}: the setproctitle package is missing in its environment",
                pids(doubtful)
            );
        }
        app
    }

    /// Adds up the workers that were counted, and decides on the status.
    fn judge(&mut self) {
        if self.masters.is_empty() {
            return;
        }
        self.working = self.masters.iter().map(|master| master.working).sum();
        self.idle = self.masters.iter().map(|master| master.idle).sum();
        let App { name, working, idle, .. } = self;
        if *working + *idle == 0 {
            self.status = CheckStatus::Critical;
            self.message = format!("{working} working and {idle} idle workers for {name}");
            return;
        }
        self.status = CheckStatus::Ok;
        let untitled = self.untitled();
        self.message = if untitled.is_empty() {
            String::new()
        } else {
            format!(
                "{} runs without process titles (master {}): the setproctitle package is missing in its environment",
                self.name,
                pids(&untitled)
            )
        };
    }

    /// Masters that run without a title, where titles are to be had. (On macOS Gunicorn sets none.)
    pub(crate) fn untitled(&self) -> Vec<u32> {
        let untitled = |master: &&Master| !master.is_titled && !master.workers.is_empty() && !cfg!(target_os = "macos");
        self.masters.iter().filter(untitled).map(|master| master.id.pid).collect()
    }
}

/// `PID 6`, `PIDs 6, 7`.
pub(crate) fn pids(pids: &[u32]) -> String {
    let list: Vec<String> = pids.iter().map(u32::to_string).collect();
    format!("{} {}", if list.len() == 1 { "PID" } else { "PIDs" }, list.join(", "))
}
