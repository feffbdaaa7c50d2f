//! What every processor promises.

use hornpipe_engine::testing::{ProcessorBench, check_processor_contract};
use hornpipe_model::{Body, Log, LogSource};

use super::*;

const ACTIONS: &str = r"
actions:
- {action: default, tag: env, value: prod}
- {action: remove, tag: pid}
- {action: extract, pattern: 'status\.(\d+)', name: status, tag: code}
";

struct Bench(Signal);

impl ProcessorBench for Bench {
    fn signal(&self) -> Signal {
        self.0
    }

    fn build(&self, context: BuildContext) -> Box<dyn Processor> {
        ProcessorConfig::build(&config(ACTIONS, &FixedEnvironment::new()), self.0, context).unwrap()
    }

    fn batch(&self, random: &mut fastrand::Rng) -> Data {
        match self.0 {
            Signal::Metrics => {
                let mut series = || format!("status.{}|pid:{}", random.u8(0..3), random.u8(0..3));
                let names: Vec<String> = (0..6).map(|_| series()).collect();
                let points = names.iter().take(random.usize(0..6)).map(|name| count(name, 1.0));
                metrics(points.collect()).into_parts().0
            }
            Signal::Logs => {
                let tags: &[&str] = if random.bool() { &["env:dev"] } else { &["pid:1"] };
                let source = Arc::new(LogSource { tags: tags.iter().collect(), ..LogSource::default() });
                let record = || Log::new(Body::Text("x".into()), Timestamp::from_secs(1), Arc::clone(&source));
                let records = (0..random.usize(0..4)).map(|_| record()).collect();
                LogBatch { resource: Arc::default(), scope: Arc::default(), records }.into()
            }
        }
    }
}

#[test]
fn the_contract_of_processors_is_kept_for_both_signals() {
    for signal in Signal::ALL {
        check_processor_contract(&Bench(signal));
    }
}
