//! The command line of the benchmarks; see README.md.

#[cfg(target_os = "linux")]
mod cli {
    use std::io::{self, Write};
    use std::path::Path;

    use clap::{Args, Parser, ValueEnum};
    use hornpipe_bench::compare::{self, Plan, Workload};
    use hornpipe_bench::corpus::Corpus;
    use hornpipe_bench::load::{Load, Packing, Recipe};
    use hornpipe_bench::logs;
    use hornpipe_bench::send::{Pace, Sender, Target};
    use hornpipe_bench::sink;
    use hornpipe_bench::subject::Subject;

    /// Benchmarks of the statsd and filelog receivers.
    #[derive(Parser)]
    pub enum Command {
        /// Measures the bare sink, hornpipe and its peers side by side.
        Compare(Compare),
        /// Measures how hornpipe and an OpenTelemetry Collector read log files, and whether every line arrives.
        CompareLogs(CompareLogs),
        /// Sends a load and says what it adds up to.
        Load(Send),
        /// Receives datagrams and does nothing with them.
        Sink {
            /// An address (127.0.0.1:8125) or the path of a Unix datagram socket.
            #[arg(long)]
            target: Target,
        },
    }

    #[derive(Args)]
    pub struct Compare {
        /// Only these workloads.
        #[arg(long, value_delimiter = ',')]
        workloads: Vec<Workload>,
        /// Only these programs.
        #[arg(long, value_delimiter = ',')]
        subjects: Vec<Subject>,
        /// How often each program is measured.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// How long one measurement sends, and how often every program flushes.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// Sends as fast as it goes.
        #[arg(long)]
        flat_out: bool,
    }

    #[derive(Args)]
    pub struct CompareLogs {
        /// Only these workloads.
        #[arg(long, value_delimiter = ',')]
        workloads: Vec<logs::compare::Workload>,
        /// Only these programs.
        #[arg(long, value_delimiter = ',', default_values = ["hornpipe", "otelcol"])]
        subjects: Vec<Subject>,
        /// How often each program is measured.
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// How long one measurement at a steady rate takes.
        #[arg(long, default_value_t = 20)]
        seconds: u64,
        /// How many lines a backlog has.
        #[arg(long, default_value_t = 2_000_000)]
        lines: u64,
    }

    #[derive(Args)]
    pub struct Send {
        /// An address (127.0.0.1:8125) or the path of a Unix datagram socket.
        #[arg(long)]
        target: Target,
        /// What lines look like.
        #[arg(long, value_enum, default_value = "gunicorn")]
        corpus: Corpus,
        /// How many bytes a datagram has at most.
        #[arg(long, value_enum, default_value = "single")]
        packing: Packing,
        /// How many series there are.
        #[arg(long, default_value_t = 1_000)]
        contexts: usize,
        /// How many lines to send at least; the last datagram is sent whole.
        #[arg(long, default_value_t = 1_000_000)]
        lines: u64,
        /// Lines a second, in bursts a millisecond apart; flat out without it.
        #[arg(long)]
        rate: Option<u64>,
        /// Sends datagrams evenly spaced instead of in bursts. Takes a whole processor.
        #[arg(long, requires = "rate")]
        spaced: bool,
        /// The same seed gives the same lines.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Leaves tags out.
        #[arg(long)]
        no_tags: bool,
        /// Prints what every series adds up to, not only all of them.
        #[arg(long)]
        sums: bool,
    }

    pub fn run(command: Command) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match command {
            Command::Compare(options) => compare(options, &mut out),
            Command::CompareLogs(options) => compare_logs(options, &mut out),
            Command::Load(options) => load(&options, &mut out),
            Command::Sink { target } => sink::run(&target, out),
        }
    }

    fn compare(options: Compare, out: &mut impl Write) -> io::Result<()> {
        let Compare { workloads, subjects, rounds, seconds, flat_out } = options;
        let plan = Plan {
            workloads: all_unless_named(workloads),
            subjects: all_unless_named(subjects),
            rounds,
            seconds,
            flat_out,
        };
        in_directory(|directory| compare::run(&plan, directory, out))
    }

    fn compare_logs(options: CompareLogs, out: &mut impl Write) -> io::Result<()> {
        let CompareLogs { workloads, subjects, rounds, seconds, lines } = options;
        let plan = logs::compare::Plan {
            workloads: all_unless_named(workloads),
            subjects,
            rounds,
            seconds: seconds.max(1),
            lines: lines.max(1),
        };
        in_directory(|directory| logs::compare::run(&plan, directory, out))
    }

    /// Does something with files of its own.
    fn in_directory(work: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
        let directory = std::env::temp_dir().join(format!("hornpipe-bench-{}", std::process::id()));
        work(&directory)?;
        std::fs::remove_dir_all(directory)
    }

    fn all_unless_named<T: ValueEnum + Clone>(named: Vec<T>) -> Vec<T> {
        if named.is_empty() { T::value_variants().to_vec() } else { named }
    }

    fn load(options: &Send, out: &mut impl Write) -> io::Result<()> {
        let load = Load::new(&Recipe {
            corpus: options.corpus,
            packing: options.packing,
            contexts: options.contexts,
            tags: !options.no_tags,
            seed: options.seed,
        });
        let mut sender = Sender::connect(&options.target)?;
        let pace = match options.rate {
            None => Pace::FlatOut,
            Some(rate) if options.spaced => Pace::Spaced(rate),
            Some(rate) => Pace::Bursts(rate),
        };
        let lines = sender.send(&load, options.lines, pace)?;
        let sums = load.sums(sender.datagrams());
        if options.sums {
            for (series, sum) in load.series().iter().zip(&sums) {
                writeln!(out, "{series}\t{}\t{}", sum.lines, sum.total)?;
            }
        }
        let total: f64 = sums.iter().map(|sum| sum.total).sum();
        writeln!(out, "{lines} lines in {} datagrams; values add up to {total}", sender.datagrams())
    }
}

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    cli::run(clap::Parser::parse())
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::io::Result<()> {
    Err(std::io::Error::other("the benchmarks run on Linux"))
}
