//! Measures all programs in turn, several times, and prints the medians side by side.

use std::fs;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use super::lines::AccessLines;
use super::subject::Setup;
use super::table;
use super::verify::Verifier;
use super::writer::{self, Appender};
use crate::backend::Backend;
use crate::compare::median;
use crate::corpus::Corpus;
use crate::load::{Load, Packing, Recipe};
use crate::process::{Memory, Process};
use crate::send::{Pace, Sender, Target};
use crate::subject::Subject;

const SEED: u64 = 134;
/// Lines and datagrams a second of the steady workloads.
pub(super) const STEADY_LINES: u64 = 10_000;
pub(super) const STEADY_DATAGRAMS: u64 = 30_000;
/// Files that nobody writes to.
pub(super) const IDLE_FILES: usize = 1_000;
/// How long a steady workload runs before it is measured.
const WARM_UP: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);
/// A program that delivers nothing for so long has lost what is missing.
const PATIENCE: Duration = Duration::from_secs(30);
/// A program that is this much slower reads a backlog that is this much shorter.
const SLOW: u64 = 10;
/// How long repeated lines are waited for.
const AFTERMATH: Duration = Duration::from_secs(1);

/// What is written, and who reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// A file that is there already, as fast as it goes.
    Backlog,
    /// The same, to two backends, one of which is down.
    Outage,
    /// A file that grows by 10,000 lines a second, one write each.
    Steady,
    /// The same beside 30,000 StatsD datagrams a second, and these alone; to two backends.
    BesideStatsd,
    /// 1,000 files that nobody writes to.
    Idle,
}

/// How to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    /// In this order.
    pub workloads: Vec<Workload>,
    /// Whom to compare.
    pub subjects: Vec<Subject>,
    /// How often each is measured.
    pub rounds: usize,
    /// How long one measurement of a steady workload takes.
    pub seconds: u64,
    /// Lines of a backlog.
    pub lines: u64,
}

/// A program and what it is to do: a row of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) subject: Subject,
    pub(super) to: To,
    /// Whether its queue is on disk.
    pub(super) durable: bool,
    pub(super) takes_logs: bool,
    pub(super) takes_statsd: bool,
}

/// Where lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    Datadog,
    Otlp,
    Both,
    /// Nobody listens where the OTLP backend should be.
    DatadogWhileOtlpIsDown,
}

/// One measurement, or the median of several.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Figures {
    /// Processor time in cores.
    pub(super) cores: f64,
    /// Lines a second.
    pub(super) rate: f64,
    pub(super) memory: Memory,
    /// The worst of all rounds and backends.
    pub(super) verdict: Verdict,
    /// Lines in a request.
    pub(super) lines_a_request: f64,
}

/// What was not as it should be.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Verdict {
    pub(super) lost: u64,
    pub(super) repeated: u64,
    pub(super) out_of_order: u64,
    pub(super) foreign: u64,
}

pub(super) type Outcome = Result<Figures, String>;

impl Workload {
    pub(super) fn rows(self) -> Vec<Row> {
        let row = |to| Row { subject: Subject::Hornpipe, to, durable: true, takes_logs: true, takes_statsd: false };
        let in_memory = Row { durable: false, ..row(To::Otlp) };
        let otelcol = Row { subject: Subject::Otelcol, ..in_memory };
        let alone = Row { takes_logs: false, takes_statsd: true, ..row(To::Both) };
        match self {
            Workload::Backlog | Workload::Steady => {
                vec![
                    row(To::Datadog),
                    row(To::Otlp),
                    row(To::Both),
                    in_memory,
                    otelcol,
                    Row { durable: true, ..otelcol },
                ]
            }
            Workload::Outage => vec![row(To::DatadogWhileOtlpIsDown)],
            Workload::BesideStatsd => vec![alone, Row { takes_logs: true, ..alone }],
            Workload::Idle => vec![row(To::Datadog), otelcol],
        }
    }
}

impl Row {
    /// A Collector whose queue is on disk.
    fn is_slow(&self) -> bool {
        self.subject == Subject::Otelcol && self.durable
    }
}

/// The folder of a file of so many lines that is there before anybody reads it.
fn backlog(directory: &Path, lines: u64) -> PathBuf {
    directory.join(format!("backlog-{lines}"))
}

/// Carries out a plan, with its files in `directory`. A program that cannot be measured is named with the reason.
///
/// # Errors
/// Files cannot be written, or the output is closed.
pub fn run(plan: &Plan, directory: &Path, out: &mut impl Write) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let mut found = Vec::new();
    for &subject in &plan.subjects {
        match subject.find() {
            Some(program) => found.push((subject, program)),
            None => writeln!(out, "{} is absent: not on the PATH, nor at ${}", subject.name(), subject.variable())?,
        }
    }
    let lines = AccessLines::new(SEED);
    if plan.workloads.iter().any(|workload| matches!(workload, Workload::Backlog | Workload::Outage)) {
        for count in [plan.lines, plan.lines / SLOW] {
            let backlog = backlog(directory, count);
            fs::create_dir_all(&backlog)?;
            writer::write(&backlog.join("access.log"), lines, count)?;
        }
    }
    for &workload in &plan.workloads {
        let rows: Vec<(Row, &Path)> = workload
            .rows()
            .into_iter()
            .filter_map(|row| {
                let (_, program) = found.iter().find(|(subject, _)| *subject == row.subject)?;
                Some((row, program.as_path()))
            })
            .collect();
        let mut runs: Vec<Result<Vec<Figures>, String>> = rows.iter().map(|_| Ok(Vec::new())).collect();
        // Rounds go round all programs, so that what else the machine does hits them alike.
        for _ in 0..plan.rounds.max(1) {
            for ((row, program), run) in rows.iter().zip(&mut runs) {
                let Ok(figures) = run else { continue };
                let bench = Bench { plan, workload, row, program, directory, lines };
                match bench.measure() {
                    Ok(measured) => figures.push(measured),
                    Err(error) => *run = Err(error.to_string()),
                }
            }
        }
        let outcomes: Vec<Outcome> = runs.into_iter().map(|run| run.map(|figures| medians(&figures))).collect();
        let rows: Vec<(Row, Outcome)> = rows.into_iter().map(|(row, _)| row).zip(outcomes).collect();
        table::write(plan, workload, &rows, out)?;
        out.flush()?;
    }
    Ok(())
}

/// One measurement.
struct Bench<'a> {
    plan: &'a Plan,
    workload: Workload,
    row: &'a Row,
    program: &'a Path,
    directory: &'a Path,
    lines: AccessLines,
}

/// A program that runs and the backends that it sends to.
struct Running {
    process: Process,
    verifiers: Vec<Arc<Verifier>>,
    _backends: Vec<Backend>,
}

impl Bench<'_> {
    fn measure(&self) -> io::Result<Figures> {
        let work = self.directory.join("work");
        if work.exists() {
            fs::remove_dir_all(&work)?;
        }
        fs::create_dir_all(work.join("files"))?;
        let figures = match self.workload {
            Workload::Backlog | Workload::Outage => self.backlog(&work),
            Workload::Steady | Workload::BesideStatsd => self.steady(&work),
            Workload::Idle => self.idle(&work),
        };
        fs::remove_dir_all(&work)?;
        figures
    }

    fn backlog(&self, work: &Path) -> io::Result<Figures> {
        let lines = if self.row.is_slow() { self.plan.lines / SLOW } else { self.plan.lines };
        let started = Instant::now();
        let running = self.start(work, &backlog(self.directory, lines), None)?;
        running.wait_for(lines)?;
        let took = started.elapsed().as_secs_f64();
        let figures = Figures {
            cores: running.process.cpu_time()?.as_secs_f64() / took,
            rate: lines as f64 / took,
            ..Figures::default()
        };
        running.stop(lines, figures)
    }

    fn steady(&self, work: &Path) -> io::Result<Figures> {
        let files = work.join("files");
        let statsd = self.row.takes_statsd.then(free_udp_address).transpose()?;
        let mut appender = Appender::create(&files.join("access.log"), self.lines)?;
        let running = self.start(work, &files, statsd)?;
        running.process.wait_for_rest()?;
        let span = WARM_UP + Duration::from_secs(self.plan.seconds);
        let (cores, lines) = thread::scope(|scope| {
            let sending = statsd.map(|address| scope.spawn(move || send_statsd(address, span)));
            let appending = self.row.takes_logs.then(|| {
                scope.spawn(|| -> io::Result<u64> {
                    appender.append(STEADY_LINES, span)?;
                    Ok(appender.lines())
                })
            });
            thread::sleep(WARM_UP);
            let (cpu, started) = (running.process.cpu_time()?, Instant::now());
            thread::sleep(Duration::from_secs(self.plan.seconds));
            let cores = (running.process.cpu_time()? - cpu).as_secs_f64() / started.elapsed().as_secs_f64();
            sending.map_or(Ok(()), joined)?;
            io::Result::Ok((cores, appending.map_or(Ok(0), joined)?))
        })?;
        running.wait_for(lines)?;
        running.stop(lines, Figures { cores, rate: lines as f64 / span.as_secs_f64(), ..Figures::default() })
    }

    fn idle(&self, work: &Path) -> io::Result<Figures> {
        let files = work.join("files");
        for number in 0..IDLE_FILES {
            writer::write(&files.join(format!("{number}.log")), self.lines, 10)?;
        }
        let running = self.start(work, &files, None)?;
        running.process.wait_for_rest()?;
        thread::sleep(WARM_UP);
        let (cpu, started) = (running.process.cpu_time()?, Instant::now());
        thread::sleep(Duration::from_secs(self.plan.seconds));
        let cores = (running.process.cpu_time()? - cpu).as_secs_f64() / started.elapsed().as_secs_f64();
        running.stop(0, Figures { cores, ..Figures::default() })
    }

    fn start(&self, work: &Path, files: &Path, statsd: Option<SocketAddr>) -> io::Result<Running> {
        let Row { to, durable, takes_logs, .. } = *self.row;
        let (mut verifiers, mut backends) = (Vec::new(), Vec::new());
        let mut backend = |is_wanted: bool| -> io::Result<Option<SocketAddr>> {
            if !is_wanted {
                return Ok(None);
            }
            let verifier = Verifier::new(self.lines);
            let backend = verifier.backend()?;
            let address = backend.address;
            verifiers.push(verifier);
            backends.push(backend);
            Ok(Some(address))
        };
        let datadog = backend(to != To::Otlp)?;
        let otlp = match to {
            To::DatadogWhileOtlpIsDown => Some(closed_address()?),
            _ => backend(to != To::Datadog)?,
        };
        let from_beginning = self.workload != Workload::Idle;
        let files = takes_logs.then_some(files);
        let setup = Setup { directory: work, files, from_beginning, statsd, datadog, otlp, durable };
        let target = statsd.map(Target::Udp);
        let command = &mut setup.command(self.row.subject, self.program)?;
        let process = Process::start(command, target.as_ref(), &self.directory.join("program.log"))?;
        Ok(Running { process, verifiers, _backends: backends })
    }
}

impl Running {
    /// Waits until every backend has so many lines, or nothing comes any more.
    fn wait_for(&self, lines: u64) -> io::Result<()> {
        let (mut before, mut since) = (0, Instant::now());
        loop {
            let mut least = u64::MAX;
            let mut all = 0;
            for verifier in &self.verifiers {
                let counts = verifier.counts()?;
                least = least.min(counts.distinct);
                all += counts.distinct + counts.repeated + counts.foreign;
            }
            if all != before {
                (before, since) = (all, Instant::now());
            }
            if least >= lines || since.elapsed() > PATIENCE {
                return Ok(());
            }
            // That it runs is seen by its clock.
            self.process.cpu_time()?;
            thread::sleep(POLL);
        }
    }

    /// Ends it, and adds what it had of memory and what it did to the lines.
    fn stop(self, lines: u64, figures: Figures) -> io::Result<Figures> {
        thread::sleep(AFTERMATH);
        let memory = self.process.memory()?;
        self.process.stop()?;
        let (mut verdict, mut requests) = (Verdict::default(), 0);
        for verifier in &self.verifiers {
            let counts = verifier.counts()?;
            verdict.lost = verdict.lost.max(lines.saturating_sub(counts.distinct));
            verdict.repeated = verdict.repeated.max(counts.repeated);
            verdict.out_of_order = verdict.out_of_order.max(counts.out_of_order);
            verdict.foreign = verdict.foreign.max(counts.foreign);
            requests = requests.max(counts.requests);
        }
        Ok(Figures { memory, verdict, lines_a_request: lines as f64 / requests.max(1) as f64, ..figures })
    }
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, io::Result<T>>) -> io::Result<T> {
    thread.join().unwrap_or_else(|_| Err(io::Error::other("a writer failed (panic)")))
}

fn send_statsd(address: SocketAddr, span: Duration) -> io::Result<()> {
    let recipe = Recipe { corpus: Corpus::Gunicorn, packing: Packing::Single, contexts: 1_000, tags: true, seed: SEED };
    let mut sender = Sender::connect(&Target::Udp(address))?;
    sender.send(&Load::new(&recipe), STEADY_DATAGRAMS * span.as_secs(), Pace::Bursts(STEADY_DATAGRAMS))?;
    Ok(())
}

fn free_udp_address() -> io::Result<SocketAddr> {
    UdpSocket::bind("127.0.0.1:0")?.local_addr()
}

/// Where nobody listens any more.
fn closed_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// The medians, but the worst of what must not be.
fn medians(runs: &[Figures]) -> Figures {
    let of = |figure: fn(&Figures) -> f64| median(runs.iter().map(figure).collect());
    let worst = |count: fn(&Verdict) -> u64| runs.iter().map(|run| count(&run.verdict)).max().unwrap_or(0);
    Figures {
        cores: of(|run| run.cores),
        rate: of(|run| run.rate),
        memory: Memory {
            resident: of(|run| run.memory.resident),
            peak: runs.iter().map(|run| run.memory.peak).fold(0.0, f64::max),
        },
        verdict: Verdict {
            lost: worst(|verdict| verdict.lost),
            repeated: worst(|verdict| verdict.repeated),
            out_of_order: worst(|verdict| verdict.out_of_order),
            foreign: worst(|verdict| verdict.foreign),
        },
        lines_a_request: of(|run| run.lines_a_request),
    }
}
