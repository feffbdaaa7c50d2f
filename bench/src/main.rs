//! The command line of the benchmarks; see README.md.

#[cfg(target_os = "linux")]
mod cli {
    use std::io::{self, Write};
    use std::path::PathBuf;

    use clap::{Args, Parser, ValueEnum};
    use hornpipe_bench::compare::{self, Plan, Workload};
    use hornpipe_bench::corpus::Corpus;
    use hornpipe_bench::load::{Load, Packing, Recipe};
    use hornpipe_bench::send::{Sender, Target};
    use hornpipe_bench::sink;
    use hornpipe_bench::subject::Subject;

    /// Benchmarks of the statsd receiver.
    #[derive(Parser)]
    pub enum Command {
        /// Measures the bare sink, hornpipe and its peers side by side.
        Compare(Compare),
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
        /// Lines a second; flat out without it.
        #[arg(long)]
        rate: Option<u64>,
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
        let directory: PathBuf = std::env::temp_dir().join(format!("hornpipe-bench-{}", std::process::id()));
        compare::run(&plan, &directory, out)?;
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
        let lines = sender.send(&load, options.lines, options.rate)?;
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
