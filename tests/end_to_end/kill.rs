//! kill -9 at random moments: what was acknowledged is delivered, and no more is repeated than was under way.
//!
//! The process that is killed is this test program itself, with a receiver that numbers its records and prints each number
//! that was acknowledged; the engine, its queue on disk and the exporter are the real ones. `HORNPIPE_KILLS` says how
//! often it is killed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use hornpipe_engine::component::{BuildContext, BuildError, ComponentType, Outputs, Receiver, ReceiverConfig};
use hornpipe_engine::config::{ProcessEnvironment, Source, load};
use hornpipe_engine::graph::{Environment, Graph};
use hornpipe_engine::state_dir::StateDirectory;
use hornpipe_engine::status::ProcessFacts;
use hornpipe_engine::telemetry::FinalCounters;
use hornpipe_engine::testing::{Behaviour, FakeOtlp, numbered_logs};
use hornpipe_engine::{Ack, Batch, Clock, Outcome, Registry, Shutdown};
use hornpipe_model::{Resource, Signal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::support::Directory;

/// Requests under way at a time.
const CONSUMERS: u64 = 3;
/// Records of a batch, and so of a request.
const RECORDS: u64 = 5;
/// Numbers of one life; far more than it comes to.
const LIFE: u64 = 1_000_000;

/// How long the rest may take to be delivered.
const PATIENCE: Duration = Duration::from_secs(60);

const ENDPOINT: &str = "HORNPIPE_TEST_ENDPOINT";
const FIRST: &str = "HORNPIPE_TEST_FIRST";

/// Sends numbered records, a few batches at a time unacknowledged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct NumbersConfig {
    /// The first number.
    first: u64,
}

impl ComponentType for NumbersConfig {
    const TYPE: &'static str = "numbers";
    const SIGNALS: &'static [Signal] = &[Signal::Logs];
    const SUMMARY: &'static str = "sends numbered records";
}

impl ReceiverConfig for NumbersConfig {
    fn build(&self, context: BuildContext) -> Result<Box<dyn Receiver>, BuildError> {
        Ok(Box::new(Numbers { next: self.first, context }))
    }
}

struct Numbers {
    next: u64,
    context: BuildContext,
}

#[async_trait]
impl Receiver for Numbers {
    async fn run(mut self: Box<Self>, outputs: Outputs, shutdown: Shutdown) -> Result<(), String> {
        let output = outputs.logs.ok_or("no pipeline for logs")?;
        let mut open = tokio::task::JoinSet::new();
        let counters = Arc::clone(&self.context.telemetry);
        while !shutdown.is_requested() {
            let numbers = self.next..self.next + 1 + fastrand::u64(..RECORDS);
            self.next = numbers.end;
            let count = numbers.end - numbers.start;
            counters.signal(Signal::Logs).received.add(count);
            counters.signal(Signal::Logs).passed.add(count);
            let (ack, outcome) = Ack::new();
            output.send(Batch::with_ack(numbered_logs(numbers.clone(), self.context.clock.unix()), Some(ack))).await;
            open.spawn(async move {
                if let Ok(Outcome::Delivered | Outcome::Durable) = outcome.await {
                    say(&format!("acked {} {}", numbers.start, numbers.end));
                }
            });
            while open.len() > 20 {
                open.join_next().await;
            }
            if fastrand::u8(..4) == 0 {
                tokio::time::sleep(Duration::from_micros(fastrand::u64(..2_000))).await;
            }
        }
        while open.join_next().await.is_some() {}
        Ok(())
    }
}

/// Tells the other test, in one write: a line is whole or not there.
fn say(line: &str) {
    let _ = std::io::stdout().lock().write_all(format!("{line}\n").as_bytes());
}

/// The process that is killed. It runs until then, or until its input ends.
#[test]
#[ignore = "the other test runs it"]
fn the_process_that_is_killed() {
    let (Ok(endpoint), Ok(first)) = (std::env::var(ENDPOINT), std::env::var(FIRST)) else { return };
    let text = format!(
        "receivers: {{numbers: {{first: {first}}}}}\n\
         exporters:\n  otlp:\n    endpoint: '{endpoint}'\n    tls: {{insecure: true}}\n    timeout: 1s\n    \
         retry_on_failure: {{initial_interval: 5ms, max_interval: 50ms}}\n    \
         sending_queue: {{num_consumers: {CONSUMERS}, batch: {{min_size: 0}}}}\n\
         service: {{telemetry: {{metrics: {{level: none}}}}, pipelines: {{logs: {{receivers: [numbers], exporters: [otlp]}}}}}}\n"
    );
    let registry = Registry::default().receiver::<NumbersConfig>().exporter::<hornpipe_otlp_exporter::OtlpConfig>();
    let (plan, found) = load(&[Source::new("kill.yaml", text, 0)], &ProcessEnvironment, &registry);
    let plan = plan.unwrap_or_else(|| panic!("{found}"));
    let facts = ProcessFacts {
        state_directory: StateDirectory::open(&|name: &str| std::env::var(name).ok()),
        ..ProcessFacts::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let environment = Environment::new(Clock::system(), Arc::new(Resource::default()), facts);
        let running = Graph::build(plan, &environment).unwrap_or_else(|failures| panic!("{failures}")).start();
        tokio::task::spawn_blocking(|| std::io::stdin().lines().count()).await.unwrap();
        running.shutdown(Duration::from_secs(5)).await;
        say(&FinalCounters::of(&environment.telemetry).to_line());
    });
}

/// A life of the process, with the thread that reads what it prints.
struct Life {
    process: Child,
    reader: std::thread::JoinHandle<(Vec<Range<u64>>, Option<FinalCounters>)>,
    acked: Arc<AtomicU64>,
}

impl Life {
    fn start(endpoint: &str, first: u64, state: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["kill::the_process_that_is_killed", "--exact", "--ignored", "--nocapture"]);
        command.env(ENDPOINT, endpoint).env(FIRST, first.to_string()).env("HORNPIPE_STATE_DIR", state);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let acked = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&acked);
        let reader = std::thread::spawn(move || {
            let (mut ranges, mut last) = (Vec::new(), None);
            for line in output.lines().map_while(Result::ok) {
                if let Some((start, end)) = line.strip_prefix("acked ").and_then(|rest| rest.split_once(' ')) {
                    ranges.push(start.parse().unwrap()..end.parse().unwrap());
                    count.fetch_add(1, Ordering::Relaxed);
                } else if line.starts_with("{\"final_counters\"") {
                    last = Some(FinalCounters::from_line(&line).unwrap());
                }
            }
            (ranges, last)
        });
        Life { process, reader, acked }
    }

    /// Waits until it works: from then on its end may come at any time.
    fn until_acked(&self, batches: u64) {
        let start = Instant::now();
        while self.acked.load(Ordering::Relaxed) < batches {
            assert!(start.elapsed() < Duration::from_secs(30), "nothing is acknowledged");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Kills it; what it had acknowledged.
    fn kill(mut self) -> Vec<Range<u64>> {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.reader.join().unwrap().0
    }

    /// Ends it in good order.
    fn stop(mut self) -> FinalCounters {
        drop(self.process.stdin.take());
        assert!(self.process.wait().unwrap().success());
        self.reader.join().unwrap().1.unwrap()
    }
}

fn kills() -> u64 {
    std::env::var("HORNPIPE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_before_a_kill_is_delivered_and_no_more_repeated_than_was_under_way() {
    let seed =
        std::env::var("HORNPIPE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    say(&format!("HORNPIPE_SEED={seed} gives the same moments again"));
    let mut random = fastrand::Rng::with_seed(seed);
    let (otlp, directory) = (FakeOtlp::start().await, Directory::new());
    let state = directory.path().join("state");
    let mut acked: Vec<Range<u64>> = Vec::new();
    for life in 0..kills() {
        otlp.behave(if random.u8(..3) == 0 { Behaviour::status(503) } else { Behaviour::Ok });
        let process = Life::start(&otlp.url(), (life + 1) * LIFE, &state);
        process.until_acked(random.u64(..40));
        std::thread::sleep(Duration::from_millis(random.u64(..30)));
        acked.extend(process.kill());
    }
    otlp.behave(Behaviour::Ok);
    let last = Life::start(&otlp.url(), (kills() + 1) * LIFE, &state);
    last.until_acked(1);
    let mut missing: BTreeSet<u64> = acked.iter().cloned().flatten().collect();
    let start = Instant::now();
    while !missing.is_empty() && start.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(100)).await;
        for number in otlp.numbers() {
            missing.remove(&number);
        }
    }
    assert_eq!(missing, BTreeSet::new(), "acknowledged and not delivered");
    // What it has made meanwhile itself may be on disk still.
    let counters = last.stop();
    assert_eq!(counters.conservation_violations(), Vec::<String>::new());
    let mut times: BTreeMap<u64, u64> = BTreeMap::new();
    otlp.numbers().into_iter().for_each(|number| *times.entry(number).or_default() += 1);
    let repeated: u64 = times.values().map(|times| times - 1).sum();
    say(&format!("{} records, {repeated} of them repeated", times.len()));
    assert!(repeated <= kills() * CONSUMERS * RECORDS, "{repeated} records are repeated");
}
