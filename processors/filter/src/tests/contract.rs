//! What every processor promises.

use hornpipe_engine::testing::{ProcessorBench, check_processor_contract};

use super::*;

struct Bench;

impl ProcessorBench for Bench {
    fn signal(&self) -> Signal {
        Signal::Logs
    }

    fn build(&self, context: BuildContext) -> Box<dyn Processor> {
        config("{rules: [{type: exclude_at_match, name: a, pattern: a}], masks: [email_addresses]}")
            .build(Signal::Logs, context)
            .unwrap()
    }

    fn batch(&self, random: &mut fastrand::Rng) -> Data {
        let texts = ["a", "plain", "x@example.com", ""];
        logs((0..random.usize(0..5)).map(|_| log(texts[random.usize(0..4)])).collect())
    }
}

#[test]
fn the_contract_of_processors_is_kept() {
    check_processor_contract(&Bench);
}
