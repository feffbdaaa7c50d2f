//! Tests of the processor; settings are written as users write them.

mod contract;
mod joining;
mod settings;

use hornpipe_engine::config::FixedEnvironment;
use hornpipe_engine::telemetry::ComponentKind;
use hornpipe_engine::testing::{FakeClock, build_context, settings};
use hornpipe_model::{LogSource, Resource};

use super::*;

const DATES: &str = r"line_start_pattern: '\[\d{4}-\d{2}-\d{2}'";

fn config(text: &str) -> MultilineConfig {
    settings(text, &FixedEnvironment::new()).unwrap()
}

fn source(path: &str) -> Arc<LogSource> {
    Arc::new(LogSource { path: path.to_owned(), ..LogSource::default() })
}

fn line(path: &str, text: &str) -> Log {
    Log::new(Body::from_bytes(text.as_bytes().to_vec()), Timestamp::from_secs(1), source(path))
}

fn logs(records: Vec<Log>) -> Data {
    LogBatch { resource: Arc::default(), scope: Arc::default(), records }.into()
}

/// Lines of one file.
fn lines(lines: &[&str]) -> Data {
    logs(lines.iter().map(|text| line("/var/log/error.log", text)).collect())
}

fn texts(batches: &[Batch]) -> Vec<String> {
    let records = batches.iter().flat_map(|batch| match batch.data() {
        Data::Logs(logs) => logs.records.clone(),
        Data::Metrics(_) => Vec::new(),
    });
    records.map(|log| log.body.text().unwrap().into_owned()).collect()
}

/// A processor with its counters and clock.
struct Bench {
    processor: Box<dyn Processor>,
    context: BuildContext,
    time: FakeClock,
}

impl Bench {
    fn new(settings: &str) -> Self {
        let time = FakeClock::new();
        let context = build_context(ComponentKind::Processor, "multiline", &time);
        let processor = config(settings).build(Signal::Logs, context.clone()).unwrap();
        Bench { processor, context, time }
    }

    fn call(&mut self, act: impl FnOnce(&mut dyn Processor, &mut Emitter<'_>)) -> Vec<Batch> {
        let mut out = Emitter::new(self.context.telemetry.signal(Signal::Logs));
        act(self.processor.as_mut(), &mut out);
        out.into_batches()
    }

    fn process(&mut self, batch: Batch) -> Vec<Batch> {
        self.call(|processor, out| processor.process(batch, out))
    }

    fn tick(&mut self) -> Vec<Batch> {
        let now = self.time.clock().unix();
        self.call(|processor, out| processor.tick(now, out))
    }

    fn flush(&mut self) -> Vec<Batch> {
        self.call(|processor, out| processor.flush(out))
    }

    fn held(&self) -> u64 {
        self.context.telemetry.signal(Signal::Logs).held.get()
    }
}
