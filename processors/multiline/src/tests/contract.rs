//! What every processor promises.

use hornpipe_engine::testing::{ProcessorBench, check_processor_contract};

use super::*;

struct Contract;

impl ProcessorBench for Contract {
    fn signal(&self) -> Signal {
        Signal::Logs
    }

    fn build(&self, context: BuildContext) -> Box<dyn Processor> {
        config(&format!("{DATES}\nmax_lines: 3")).build(Signal::Logs, context).unwrap()
    }

    fn batch(&self, random: &mut fastrand::Rng) -> Data {
        let texts = [
            "[2026-01-01] failed",
            "Traceback (most recent call last):",
            "  File \"a.py\", line 1",
            "ValueError: no",
            "",
        ];
        let records = (0..random.usize(0..5)).map(|_| {
            let path = ["/a.log", "/b.log", ""][random.usize(0..3)];
            line(path, texts[random.usize(0..texts.len())])
        });
        let records = records.collect();
        let mut resource = Resource::default();
        if random.bool() {
            resource.set(Resource::HOST_NAME, "other");
        }
        LogBatch { resource: Arc::new(resource), scope: Arc::default(), records }.into()
    }
}

#[test]
fn the_contract_of_processors_is_kept() {
    check_processor_contract(&Contract);
}
