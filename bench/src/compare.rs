//! Measures all programs in turn, several times, and prints the medians side by side.

use std::fs;
use std::io::{self, Write};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use clap::ValueEnum;

use crate::backend::Backend;
use crate::corpus::Corpus;
use crate::gunicorn::{DATAGRAMS_A_REQUEST, Gunicorn};
use crate::load::{Load, Packing, Recipe};
use crate::process::{Memory, Process};
use crate::send::{Pace, Sender, Target};
use crate::subject::{Subject, Task};

const SEED: u64 = 8_125;
/// The name of hornpipe's threads that read sockets, as the kernel shows it.
const READER: &str = "statsd-reader";
/// The window of the measurements of memory and of backends, and how long they take: two windows and a half.
const LONG_INTERVAL: u64 = 10;
const LONG_SECONDS: u64 = 25;
/// The first lines, which make the series known, come no faster than this.
const WARM_UP_RATE: u64 = 50_000;
/// How often the rate is halved for a program that loses datagrams, until it loses none.
const HALVINGS: u32 = 5;

/// What is sent, to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// A real Gunicorn, as fast as it answers.
    Gunicorn,
    /// UDP, one Gunicorn line a datagram, evenly spaced.
    Single,
    /// The same at a fifth of the rate.
    SingleSlow,
    /// The same at twice the rate.
    SingleFast,
    /// UDP, one Gunicorn line a datagram, all of a millisecond back to back.
    SingleBursts,
    /// UDP, Gunicorn lines in 1,432 bytes.
    Packed,
    /// UDP, heavy lines in 1,432 bytes.
    PackedHeavy,
    /// Unix datagrams, Gunicorn lines in 8 KiB.
    Unix,
    /// Unix datagrams, heavy lines in 8 KiB.
    UnixHeavy,
    /// UDP, one Gunicorn line a datagram, and on to Datadog and an OTLP backend at once: hornpipe only.
    Backends,
    /// 10,000 series, for the memory.
    #[value(name = "contexts-10k")]
    Contexts10k,
    /// 100,000 series, for the memory.
    #[value(name = "contexts-100k")]
    Contexts100k,
    /// Nothing is sent.
    Idle,
}

/// How to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What to send, in this order.
    pub workloads: Vec<Workload>,
    /// Whom to compare; the bare sink should be the first.
    pub subjects: Vec<Subject>,
    /// How often each is measured.
    pub rounds: usize,
    /// How long one measurement sends, in whole seconds. Every program flushes as often, so that each measurement
    /// has one flush in it.
    pub seconds: u64,
    /// Sends as fast as it goes instead of at the workload's rate. Shows loss; processor time is then that of the rest.
    pub flat_out: bool,
}

/// One measurement, or the median of several.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    /// Processor time for each line that was received, in nanoseconds; while idle, for each second.
    cpu: f64,
    /// The part of it that reader threads need, where a program has threads of that name: ours.
    readers: f64,
    /// Lines a second.
    rate: u64,
    /// The part of the datagrams that the kernel dropped.
    loss: f64,
    memory: Memory,
}

struct Shape {
    title: &'static str,
    is_unix: bool,
    recipe: Recipe,
    /// Lines a second; 0 where they are not ours to pace.
    rate: u64,
    pace: fn(u64) -> Pace,
}

impl Workload {
    fn shape(self) -> Shape {
        let gunicorn =
            Recipe { corpus: Corpus::Gunicorn, packing: Packing::Network, contexts: 1_000, tags: true, seed: SEED };
        let heavy = Recipe { corpus: Corpus::Heavy, ..gunicorn };
        let local = |recipe| Recipe { packing: Packing::Local, ..recipe };
        let single = Recipe { packing: Packing::Single, ..gunicorn };
        let (title, is_unix, recipe, rate) = match self {
            Workload::Gunicorn => ("UDP, a real Gunicorn that answers as fast as it can", false, single, 0),
            Workload::Single => ("UDP, one gunicorn line a datagram", false, single, 50_000),
            Workload::SingleSlow => ("UDP, one gunicorn line a datagram", false, single, 10_000),
            Workload::SingleFast => ("UDP, one gunicorn line a datagram", false, single, 100_000),
            Workload::SingleBursts => {
                ("UDP, one gunicorn line a datagram, in bursts a millisecond apart", false, single, 50_000)
            }
            Workload::Backends => ("UDP, one gunicorn line a datagram, on to datadog and otlp", false, single, 30_000),
            Workload::Packed => ("UDP, 1,432 B, gunicorn", false, gunicorn, 200_000),
            Workload::PackedHeavy => ("UDP, 1,432 B, heavy", false, heavy, 100_000),
            Workload::Unix => ("Unix datagrams, 8 KiB, gunicorn", true, local(gunicorn), 200_000),
            Workload::UnixHeavy => ("Unix datagrams, 8 KiB, heavy", true, local(heavy), 100_000),
            Workload::Contexts10k => (
                "memory: UDP, 1,432 B, gunicorn, 10,000 series",
                false,
                Recipe { contexts: 10_000, ..gunicorn },
                100_000,
            ),
            Workload::Contexts100k => (
                "memory: UDP, 1,432 B, gunicorn, 100,000 series",
                false,
                Recipe { contexts: 100_000, ..gunicorn },
                100_000,
            ),
            Workload::Idle => ("idle", false, gunicorn, 0),
        };
        // Packed and many series: as from clients that collect what they send.
        let is_spaced =
            matches!(self, Workload::Single | Workload::SingleSlow | Workload::SingleFast | Workload::Backends);
        Shape { title, is_unix, recipe, rate, pace: if is_spaced { Pace::Spaced } else { Pace::Bursts } }
    }

    fn is_about_memory(self) -> bool {
        matches!(self, Workload::Contexts10k | Workload::Contexts100k)
    }
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
    for &workload in &plan.workloads {
        writeln!(out, "\n{}\n", heading(plan, workload))?;
        let outcomes = measure_all(plan, workload, &found, directory);
        write_table(workload, &found, &outcomes, out)?;
        out.flush()?;
    }
    Ok(())
}

fn heading(plan: &Plan, workload: Workload) -> String {
    let shape = workload.shape();
    let rate = match (shape.rate, plan.flat_out) {
        (0, _) => String::new(),
        (_, true) => ", flat out".to_owned(),
        (rate, false) => format!(", {rate} lines/s"),
    };
    let (seconds, rounds) = span(plan, workload);
    format!("{}{rate}; medians of {rounds} × {seconds} s", shape.title)
}

/// Seconds and rounds.
fn span(plan: &Plan, workload: Workload) -> (u64, usize) {
    // Memory hardly differs from run to run.
    match workload {
        _ if workload.is_about_memory() => (LONG_SECONDS, 1),
        Workload::Backends => (LONG_SECONDS, plan.rounds.max(1)),
        _ => (plan.seconds.max(1), plan.rounds.max(1)),
    }
}

type Outcome = Result<Figures, String>;

/// Rounds go round all programs, so that what else the machine does hits them alike. A program that loses datagrams is
/// measured anew at half the rate, so that figures are of zero loss where that can be had.
fn measure_all(plan: &Plan, workload: Workload, found: &[(Subject, PathBuf)], directory: &Path) -> Vec<Outcome> {
    let (_, rounds) = span(plan, workload);
    let mut runs: Vec<Run> =
        found.iter().map(|_| Run { rate: workload.shape().rate, outcome: Ok(Vec::new()) }).collect();
    for round in 1..=rounds {
        for ((subject, program), run) in found.iter().zip(&mut runs) {
            while run.outcome.as_ref().is_ok_and(|figures| figures.len() < round) {
                run.add(measure(plan, workload, *subject, program, directory, run.rate), plan, workload.shape().rate);
            }
        }
    }
    runs.into_iter().map(|run| run.outcome.map(|figures| medians(&figures))).collect()
}

/// The measurements of one program.
struct Run {
    /// Lines a second.
    rate: u64,
    outcome: Result<Vec<Figures>, String>,
}

impl Run {
    fn add(&mut self, outcome: Outcome, plan: &Plan, full_rate: u64) {
        match (outcome, &mut self.outcome) {
            (Ok(figures), _) if figures.loss > 0.0 && !plan.flat_out && self.rate > full_rate >> HALVINGS => {
                self.rate /= 2;
                self.outcome = Ok(Vec::new());
            }
            (Ok(figures), Ok(earlier)) => earlier.push(figures),
            (Ok(_), Err(_)) => {}
            (Err(reason), _) => self.outcome = Err(reason),
        }
    }
}

fn measure(
    plan: &Plan,
    workload: Workload,
    subject: Subject,
    program: &Path,
    directory: &Path,
    lines_a_second: u64,
) -> Outcome {
    let shape = workload.shape();
    if shape.is_unix && !subject.takes_unix_datagrams() {
        return Err("has no Unix datagram sockets".to_owned());
    }
    let recipe = Recipe { tags: subject.takes_tags(), ..shape.recipe };
    let (seconds, _) = span(plan, workload);
    let interval = if seconds == LONG_SECONDS { LONG_INTERVAL } else { seconds };
    let sends_on = workload == Workload::Backends;
    if sends_on && !matches!(subject, Subject::Sink | Subject::Hornpipe) {
        return Err("not measured here".to_owned());
    }
    let pace = if plan.flat_out { Pace::FlatOut } else { (shape.pace)(lines_a_second) };
    let run = || {
        let target = free_target(shape.is_unix, directory)?;
        let backends = if sends_on { vec![Backend::start()?, Backend::start()?] } else { Vec::new() };
        let task = Task { target: &target, interval, directory, backends: &backends };
        let command = &mut subject.command(program, &task)?;
        let process = Process::start(command, Some(&target), &directory.join("program.log"))?;
        let span = Duration::from_secs(seconds);
        let figures = match (workload, &target) {
            (Workload::Idle, _) => rest(&process, span)?,
            (Workload::Gunicorn, Target::Udp(address)) => serve(&process, *address, directory, span)?,
            _ => Figures {
                rate: lines_a_second,
                ..feed(&process, &Load::new(&recipe), &target, lines_a_second * seconds, pace)?
            },
        };
        let log = process.stop()?;
        if subject == Subject::Hornpipe && backends.iter().any(|backend| backend.requests() == 0) {
            return Err(io::Error::other(format!("a backend got nothing: {log}")));
        }
        Ok(figures)
    };
    run().map_err(|error: io::Error| error.to_string())
}

/// What a program uses between two looks at it.
struct Meter<'a> {
    process: &'a Process,
    cpu: Duration,
    readers: Duration,
    drops: u64,
}

impl<'a> Meter<'a> {
    fn start(process: &'a Process) -> io::Result<Self> {
        process.wait_for_rest()?;
        let (cpu, readers) = (process.cpu_time()?, process.cpu_time_of(READER)?);
        Ok(Meter { process, cpu, readers, drops: process.kernel_drops() })
    }

    /// What it used for each of so many lines, in so many datagrams, once it has read them.
    fn figures(&self, lines: u64, datagrams: u64) -> io::Result<Figures> {
        self.process.wait_for_rest()?;
        let cpu = (self.process.cpu_time()? - self.cpu).as_nanos() as f64;
        let readers = (self.process.cpu_time_of(READER)? - self.readers).as_nanos() as f64;
        let loss = (self.process.kernel_drops() - self.drops) as f64 / datagrams as f64;
        let received = lines as f64 * (1.0 - loss);
        let memory = self.process.memory()?;
        Ok(Figures { cpu: cpu / received, readers: readers / received, rate: 0, loss, memory })
    }
}

/// Nothing is sent.
fn rest(process: &Process, span: Duration) -> io::Result<Figures> {
    let meter = Meter::start(process)?;
    thread::sleep(span);
    let cpu = (process.cpu_time()? - meter.cpu).as_nanos() as f64 / span.as_secs_f64();
    Ok(Figures { cpu, memory: process.memory()?, ..Figures::default() })
}

/// Makes the series known, then sends and measures.
fn feed(process: &Process, load: &Load, target: &Target, lines: u64, pace: Pace) -> io::Result<Figures> {
    let mut sender = Sender::connect(target)?;
    sender.send(load, load.lines() as u64, Pace::Bursts(WARM_UP_RATE))?;
    let (meter, datagrams) = (Meter::start(process)?, sender.datagrams());
    let lines = sender.send(load, lines, pace)?;
    meter.figures(lines, sender.datagrams() - datagrams)
}

/// Measures while a Gunicorn that sends there serves requests. What it sends besides, its number of workers, is not counted.
fn serve(process: &Process, statsd: SocketAddr, directory: &Path, span: Duration) -> io::Result<Figures> {
    let gunicorn = Gunicorn::start(statsd, directory)?;
    let meter = Meter::start(process)?;
    let lines = gunicorn.drive(span)? * DATAGRAMS_A_REQUEST;
    let figures = meter.figures(lines, lines)?;
    gunicorn.stop()?;
    Ok(Figures { rate: (lines as f64 / span.as_secs_f64()) as u64, ..figures })
}

fn free_target(is_unix: bool, directory: &Path) -> io::Result<Target> {
    if is_unix {
        return Ok(Target::Unix(directory.join("statsd.sock")));
    }
    Ok(Target::Udp(UdpSocket::bind("127.0.0.1:0")?.local_addr()?))
}

fn medians(runs: &[Figures]) -> Figures {
    let of = |figure: fn(&Figures) -> f64| median(runs.iter().map(figure).collect());
    Figures {
        cpu: of(|run| run.cpu),
        readers: of(|run| run.readers),
        rate: of(|run| run.rate as f64) as u64,
        loss: of(|run| run.loss),
        memory: Memory { resident: of(|run| run.memory.resident), peak: of(|run| run.memory.peak) },
    }
}

/// The middle of some values, or what is between the two middle ones.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2).copied().unwrap_or(f64::NAN);
    if values.len() % 2 == 1 { upper } else { (upper + values.get(values.len() / 2 - 1).unwrap_or(&upper)) / 2.0 }
}

fn write_table(
    workload: Workload,
    found: &[(Subject, PathBuf)],
    outcomes: &[Outcome],
    out: &mut impl Write,
) -> io::Result<()> {
    let unit = if workload == Workload::Idle { "CPU µs/s" } else { "CPU ns/line" };
    writeln!(
        out,
        "| program | lines/s | {unit} | × sink | above sink | loss | RSS MiB | peak MiB |\n|---|---|---|---|---|---|---|---|"
    )?;
    let sink = found.iter().zip(outcomes).find(|((subject, _), _)| *subject == Subject::Sink);
    let sink = sink.and_then(|(_, outcome)| outcome.as_ref().ok()).map(|figures| figures.cpu);
    for ((subject, _), outcome) in found.iter().zip(outcomes) {
        let name = subject.name();
        // Gunicorn's own lines have none.
        let keeps_tags = subject.takes_tags() || workload == Workload::Gunicorn;
        let tags = if keeps_tags { "" } else { " (tags left out)" };
        match outcome {
            Err(reason) => writeln!(out, "| {name} | {reason} | | | | | | |")?,
            Ok(Figures { cpu, loss, memory: Memory { resident, peak }, .. }) if workload == Workload::Idle => {
                let cpu = cpu / 1_000.0;
                writeln!(out, "| {name} | | {cpu:.0} | | | {:.2} % | {resident:.1} | {peak:.1} |", loss * 100.0)?;
            }
            Ok(Figures { cpu, rate, loss, memory: Memory { resident, peak }, .. }) => {
                let (times, above) = match sink {
                    Some(sink) => (format!("{:.2}", cpu / sink), format!("{:.0}", cpu - sink)),
                    None => Default::default(),
                };
                let loss = loss * 100.0;
                writeln!(
                    out,
                    "| {name}{tags} | {rate} | {cpu:.0} | {times} | {above} | {loss:.2} % | {resident:.1} | {peak:.1} |"
                )?;
            }
        }
    }
    for ((subject, _), outcome) in found.iter().zip(outcomes) {
        if let Ok(figures) = outcome
            && figures.readers > 0.0
        {
            let others = figures.cpu - figures.readers;
            writeln!(out, "\nOf {}'s time, {others:.1} ns a line are outside its reader threads.", subject.name())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_loses_is_measured_anew_at_half_the_rate_until_it_does_not() {
        let plan = Plan { workloads: Vec::new(), subjects: Vec::new(), rounds: 3, seconds: 1, flat_out: false };
        let mut run = Run { rate: 64, outcome: Ok(Vec::new()) };
        let lost = |loss| Ok(Figures { loss, ..Figures::default() });
        for (outcome, rate, kept) in [
            (lost(0.0), 64, 1),
            (lost(0.1), 32, 0),
            (lost(0.1), 16, 0),
            (lost(0.0), 16, 1),
            (lost(0.1), 8, 0),
            (lost(0.1), 4, 0),
            (lost(0.1), 2, 0),
            // No lower than that: what it loses then is shown.
            (lost(0.1), 2, 1),
        ] {
            run.add(outcome, &plan, 64);
            assert_eq!((run.rate, run.outcome.as_ref().map(Vec::len)), (rate, Ok(kept)));
        }
    }

    #[test]
    fn the_median_is_the_middle_or_between_the_two_middle_ones() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
