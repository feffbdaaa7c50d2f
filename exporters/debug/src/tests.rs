//! The exporter behind the engine's queue.

use std::io;

use hornpipe_engine::delivery::Delivery;
use hornpipe_engine::telemetry::{ComponentIdentity, ComponentKind, ComponentTelemetry, Telemetry};
use hornpipe_engine::testing::{Backend, ExporterBench, FakeClock, check_exporter_contract, item_number};
use hornpipe_engine::{Ack, Batch, Outcome};
use hornpipe_model::{Body, Log, LogBatch, LogSource, Resource, Scope, Timestamp};

use super::*;

/// Keeps what is written, or fails as a closed pipe does.
#[derive(Default)]
struct Paper {
    text: String,
    torn: bool,
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.torn {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.text.push_str(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Prints one record; returns the counters and what the ack said.
async fn print(paper: &Arc<Mutex<Paper>>) -> (Arc<ComponentTelemetry>, Outcome) {
    let out: Arc<Mutex<dyn Write + Send>> = Arc::clone(paper) as Arc<Mutex<dyn Write + Send>>;
    let identity = ComponentIdentity { kind: ComponentKind::Exporter, id: "debug".to_owned(), pipeline: None };
    let telemetry = Telemetry::default().component(identity);
    let exporter = Arc::new(Debug { verbosity: Verbosity::Normal, out });
    let config = DebugConfig::default().delivery();
    let delivery = Delivery::new(exporter, config, Arc::clone(&telemetry), FakeClock::new().clock());
    let log = Log::new(Body::Text("hello".into()), Timestamp::from_secs(60), Arc::new(LogSource::default()));
    let (resource, scope) = (Arc::new(Resource::default()), Arc::new(Scope::default()));
    let (ack, outcome) = Ack::new();
    delivery.offer(Batch::with_ack(LogBatch { resource, scope, records: vec![log] }, Some(ack))).await;
    delivery.drain();
    delivery.run().await;
    (telemetry, outcome.await.unwrap())
}

#[tokio::test]
async fn a_record_is_printed_once_and_counted() {
    let paper = Arc::new(Mutex::new(Paper::default()));
    let (telemetry, outcome) = print(&paper).await;
    assert_eq!(paper.lock().unwrap().text, "00:01:00Z  log  hello\n");
    assert_eq!(telemetry.signal(Signal::Logs).passed.get(), 1);
    assert_eq!(outcome, Outcome::Delivered);
}

#[tokio::test]
async fn what_cannot_be_printed_is_counted_and_holds_back_nobody() {
    let (telemetry, outcome) = print(&Arc::new(Mutex::new(Paper { torn: true, ..Paper::default() }))).await;
    assert_eq!(telemetry.signal(Signal::Logs).dropped_by_reason()[reason::REFUSED], 1);
    assert_eq!(outcome, Outcome::Delivered, "delivery was not promised");
}

/// The exporter with paper for an output, for the contract that every exporter keeps.
struct Bench {
    clock: FakeClock,
    paper: Arc<Mutex<Paper>>,
}

impl ExporterBench for Bench {
    fn clock(&self) -> &FakeClock {
        &self.clock
    }

    fn backend(&self) -> Option<&Backend> {
        None
    }

    fn build(&self, _context: BuildContext) -> Box<dyn Exporter> {
        let out: Arc<Mutex<dyn Write + Send>> = Arc::clone(&self.paper) as Arc<Mutex<dyn Write + Send>>;
        Box::new(Debug { verbosity: Verbosity::Normal, out })
    }

    fn delivered(&self) -> Vec<u64> {
        self.paper.lock().unwrap().text.split_whitespace().filter_map(item_number).collect()
    }
}

#[tokio::test]
async fn the_contract_of_exporters_is_kept() {
    check_exporter_contract(&Bench { clock: FakeClock::new(), paper: Arc::default() }).await;
}
