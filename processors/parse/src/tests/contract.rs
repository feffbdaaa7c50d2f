//! What every processor promises.

use hornpipe_engine::testing::{ProcessorBench, check_processor_contract};

use super::*;

struct Bench;

const LINES: [&str; 4] = [
    "127.0.0.1 - - [22/Nov/2026:10:36:02 +0000] \"GET / HTTP/1.1\" 200 3",
    "[2026-11-22 10:35:59 +0000] [6] [INFO] Using worker: sync",
    "{\"a\": 1}",
    "",
];

impl ProcessorBench for Bench {
    fn signal(&self) -> Signal {
        Signal::Logs
    }

    fn build(&self, context: BuildContext) -> Box<dyn Processor> {
        let settings = "parsers: [{type: gunicorn_access}, {type: gunicorn_error}, {type: json}]";
        config(settings).build(Signal::Logs, context).unwrap()
    }

    fn batch(&self, random: &mut fastrand::Rng) -> Data {
        logs((0..random.usize(0..5)).map(|_| log(LINES[random.usize(0..4)])).collect())
    }
}

#[test]
fn the_contract_of_processors_is_kept() {
    check_processor_contract(&Bench);
}

#[test]
fn records_that_no_parser_fits_are_counted_and_kept() {
    let mut parse = parser("{type: gunicorn_error}");
    let counters = hornpipe_engine::telemetry::SignalCounters::default();
    let mut out = Emitter::new(&counters);
    let data = logs(LINES.map(log).to_vec());
    parse.process(Batch::new(data.clone()), &mut out);
    assert_eq!((parse.unparsed.get(), counters.passed.get()), (3, 4));
    let none = logs(vec![log("x")]);
    parse.process(Batch::new(none.clone()), &mut out);
    let batches = out.into_batches();
    let (Data::Logs(sent), Data::Logs(given)) = (batches[1].data(), &none) else { panic!("logs") };
    assert!(Arc::ptr_eq(sent, given), "a shared batch of which nothing is read is not copied");
}
