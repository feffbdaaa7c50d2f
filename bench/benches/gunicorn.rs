//! What a collection of the `gunicorn` receiver costs on a machine of 1,000 processes, beside one plain pass over
//! `/proc/*/{stat,cmdline}` and beside the `sysinfo` crate; and whether 10,000 collections leave anything behind.
//!
//! Figures are processor time of this whole process, so that waiting between the two looks at the workers does not count and
//! everything else does. The three take turns; medians of several rounds.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on has nothing better to do")]

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::io::{self, Write};
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command, Stdio};
    use std::sync::Arc;
    use std::time::Duration;

    use hornpipe_engine::component::{BuildContext, Outputs, ReceiverConfig};
    use hornpipe_engine::config;
    use hornpipe_engine::telemetry::{ComponentKind, ComponentTelemetry};
    use hornpipe_engine::testing::{FakeClock, build_context};
    use hornpipe_engine::{Clock, Output, Shutdown, ShutdownTrigger};
    use hornpipe_gunicorn_receiver::{GunicornConfig, InitConfig};
    use hornpipe_model::Signal;
    use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};
    use tokio::task::JoinHandle;

    const PROCESSES: usize = 1_000;
    const ROUNDS: usize = 7;
    const COLLECTIONS: u64 = 3;
    const MANY: u64 = 10_000;

    pub fn run() -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut out = io::stdout().lock();
        {
            let _processes = Processes::start();
            let mut system = System::new().ok();
            let mut rows: [(&str, Vec<f64>); 3] = Default::default();
            for _ in 0..ROUNDS {
                for (row, (name, cost)) in rows.iter_mut().zip([
                    ("plain pass", of_each(COLLECTIONS, plain_pass)),
                    ("collection", runtime.block_on(collections())),
                    ("sysinfo", of_each(COLLECTIONS, || sysinfo(system.as_mut()))),
                ]) {
                    row.0 = name;
                    row.1.push(cost);
                }
            }
            let plain = median(&mut rows[0].1);
            writeln!(out, "{} processes\n\n| | ms | × plain pass |\n|---|---|---|", processes())?;
            for (name, costs) in &mut rows {
                let cost = median(costs);
                writeln!(out, "| {name} | {cost:.2} | {:.2} |", cost / plain)?;
            }
        }
        let (early, late) = runtime.block_on(growth());
        writeln!(out, "\nmemory after {} collections {early} KiB, after {MANY} {late} KiB", MANY / 10)
    }

    /// Sleeping processes, among them an application of Gunicorn's shape.
    struct Processes(Vec<Child>);

    impl Processes {
        fn start() -> Self {
            let mut children = Vec::with_capacity(PROCESSES);
            let script = "for i in 1 2 3 4; do (exec -a 'gunicorn: worker [bench]' sleep 300) & done; wait";
            children.push(quiet(Command::new("bash").arg0("gunicorn: master [bench]").args(["-c", script])));
            while processes() < PROCESSES {
                children.push(quiet(Command::new("sleep").arg("300")));
            }
            Processes(children)
        }
    }

    fn quiet(command: &mut Command) -> Child {
        command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
    }

    impl Drop for Processes {
        fn drop(&mut self) {
            let master = self.0[0].id();
            let workers = fs::read_to_string(format!("/proc/{master}/task/{master}/children")).unwrap_or_default();
            let _ = Command::new("kill").args(workers.split_whitespace()).status();
            for child in &mut self.0 {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }

    fn processes() -> usize {
        pids().count()
    }

    fn pids() -> impl Iterator<Item = fs::DirEntry> {
        let is_process =
            |entry: &fs::DirEntry| entry.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok());
        fs::read_dir("/proc").unwrap().flatten().filter(is_process)
    }

    fn plain_pass() {
        for entry in pids() {
            for file in ["stat", "cmdline"] {
                let _ = std::hint::black_box(fs::read(entry.path().join(file)));
            }
        }
    }

    fn sysinfo(system: Option<&mut System>) {
        let kind = ProcessRefreshKind::nothing().with_cpu().with_cmd(UpdateKind::Always).without_tasks();
        system.unwrap().refresh_processes_specifics(ProcessesToUpdate::All, true, kind);
    }

    /// Milliseconds of processor time that each of several runs takes.
    fn of_each(times: u64, mut act: impl FnMut()) -> f64 {
        act();
        let before = cpu();
        for _ in 0..times {
            act();
        }
        (cpu() - before) / times as f64
    }

    /// Processor time of this process in milliseconds.
    fn cpu() -> f64 {
        let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
        let nanoseconds = |task: fs::DirEntry| -> Option<f64> {
            fs::read_to_string(task.path().join("schedstat")).ok()?.split(' ').next()?.parse().ok()
        };
        tasks.filter_map(nanoseconds).sum::<f64>() / 1e6
    }

    struct Receiver {
        telemetry: Arc<ComponentTelemetry>,
        stop: ShutdownTrigger,
        task: JoinHandle<Result<(), String>>,
    }

    impl Receiver {
        fn start(context: BuildContext) -> Self {
            let config = GunicornConfig {
                init_config: InitConfig { gunicorn: Some("true".to_owned()), service: None },
                collection_interval: config::Duration::from_secs(1),
                ..GunicornConfig::default()
            };
            let telemetry = Arc::clone(&context.telemetry);
            let output = Output::new(Signal::Metrics, Arc::clone(&telemetry), Vec::new());
            let (stop, shutdown) = Shutdown::new();
            let receiver = config.build(context).unwrap();
            let task = tokio::spawn(receiver.run(Outputs { metrics: Some(output), logs: None }, shutdown));
            Receiver { telemetry, stop, task }
        }

        fn points(&self) -> u64 {
            self.telemetry.signal(Signal::Metrics).passed.get()
        }

        async fn stop(self) {
            self.stop.request();
            self.task.await.unwrap().unwrap();
        }
    }

    /// Milliseconds of processor time of a collection, from the end of one to the end of a later one.
    async fn collections() -> f64 {
        let context = BuildContext {
            clock: Clock::system(),
            ..build_context(ComponentKind::Receiver, "gunicorn", &FakeClock::new())
        };
        let receiver = Receiver::start(context);
        let until = async |points: u64| {
            while receiver.points() < points {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            // The application's version was asked for in the first one.
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        until(1).await;
        let (first, before) = (receiver.points(), cpu());
        until(first * (COLLECTIONS + 1)).await;
        let cost = (cpu() - before) / COLLECTIONS as f64;
        receiver.stop().await;
        cost
    }

    /// Resident memory in KiB after a tenth of many collections, and after all of them.
    async fn growth() -> (u64, u64) {
        let time = FakeClock::new();
        let receiver = Receiver::start(build_context(ComponentKind::Receiver, "gunicorn", &time));
        let mut early = 0;
        // An application is there all the time, so that there is something to remember.
        let mut application = Command::new("bash");
        application.arg0("gunicorn: master [bench]").args(["-c", "exec -a 'gunicorn: master [bench]' sleep 300"]);
        let mut application = quiet(&mut application);
        let mut collected = 0;
        while collected < MANY {
            let before = receiver.points();
            time.advance(Duration::from_millis(1_000)).await;
            // Where Gunicorns of others run, the second look at their workers waits for time to go on.
            for polls in 1.. {
                if receiver.points() != before {
                    break;
                }
                tokio::time::sleep(Duration::from_micros(200)).await;
                if polls % 50 == 0 {
                    time.advance(Duration::from_millis(100)).await;
                }
            }
            collected += 1;
            if collected == MANY / 10 {
                early = resident();
            }
        }
        let late = resident();
        receiver.stop().await;
        let _ = application.kill();
        let _ = application.wait();
        (early, late)
    }

    fn resident() -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().split(' ').next().unwrap().parse().unwrap()
    }

    fn median(values: &mut [f64]) -> f64 {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    }
}

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    linux::run()
}

#[cfg(not(target_os = "linux"))]
fn main() {}
