//! What it costs to encode for Datadog: processor time a point and a record, beside an encoder that fills the protocol's
//! types first; and what each level of zstd gives for its time.
//!
//! Figures are the thread's own processor time, medians of several runs, both encoders in turn. The reference does what
//! the exporter does without: for each item it makes the protobuf types that prost knows (or for a log an owned struct that
//! serde knows), has them encoded, and the body compressed. Both get the same points and records.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on has nothing better to do")]

#[cfg(target_os = "linux")]
#[path = "datadog/corpus.rs"]
mod corpus;
#[cfg(target_os = "linux")]
#[path = "datadog/reference.rs"]
mod reference;

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::hint::black_box;
    use std::io::{self, Write};

    use hornpipe_datadog_exporter::DatadogConfig;
    use hornpipe_engine::component::{Exporter, ExporterConfig};
    use hornpipe_engine::http::Compression;
    use hornpipe_engine::telemetry::ComponentKind;
    use hornpipe_engine::testing::{FakeClock, build_context};
    use hornpipe_model::distribution::AgentSketch;

    use crate::reference::{own_sketch, plain_sketch, sketches_alone};
    use crate::{corpus, reference};

    const RUNS: usize = 15;
    const LEVELS: [i32; 9] = [-7, -5, -3, -1, 1, 2, 3, 5, 9];

    pub fn run() -> io::Result<()> {
        let mut out = io::stdout().lock();
        let cases = corpus::all();
        writeln!(
            out,
            "**A point and a record, encoded and compressed by zstd level 1 (CPU ns; medians of {RUNS})**\n"
        )?;
        writeln!(
            out,
            "| what | bytes | hornpipe | with zstd | reference | with zstd | ratio |\n|---|---|---|---|---|---|---|"
        )?;
        let (plain, compressed) = (exporter(Compression::None), exporter(Compression::Zstd));
        for (name, data) in &cases {
            let items: Vec<u32> = (0..data.items() as u32).collect();
            let encode = |exporter: &dyn Exporter| exporter.encode(data, &items);
            let body = reference::encode(data, plain_sketch);
            let mut figures = [const { Vec::new() }; 5];
            for _ in 0..=RUNS {
                figures[0].push(time(|| encode(&*plain)));
                figures[1].push(time(|| encode(&*compressed)));
                figures[2].push(time(|| reference::encode(data, plain_sketch)));
                figures[3].push(time(|| zstd::bulk::compress(&reference::encode(data, plain_sketch), 1).unwrap()));
                figures[4].push(time(|| zstd::bulk::compress(&reference::encode(data, own_sketch), 1).unwrap()));
            }
            let [ours, ours_zstd, other, other_zstd, sharing] = figures.map(|runs| median(runs) / data.items() as f64);
            let bytes = body.len() / data.items();
            write!(
                out,
                "| {name} | {bytes} | {ours:.0} | {ours_zstd:.0} | {other:.0} | {other_zstd:.0} | {:.2}",
                ours_zstd / other_zstd
            )?;
            let is_sketched = body != reference::encode(data, |_| AgentSketch::default());
            writeln!(out, "{} |", if is_sketched { format!(" ({:.2})", ours_zstd / sharing) } else { String::new() })?;
        }
        let distributions = &cases[2].1;
        assert_eq!(sketches_alone(distributions, own_sketch).len(), distributions.items());
        let [own, published] = [own_sketch, plain_sketch].map(|sketching: reference::Sketching| {
            let runs = (0..RUNS).map(|_| time(|| sketches_alone(distributions, sketching))).collect();
            median(runs) / distributions.items() as f64
        });
        writeln!(
            out,
            "\nOf a distribution {own:.0} ns make its sketch; by the published algorithm, which is the reference's, \
             {published:.0} ns. In brackets: the ratio if the reference had ours."
        )?;
        writeln!(out, "\n**Levels of zstd: how many times smaller, and CPU ns a point or record**\n")?;
        let names: Vec<&str> = cases.iter().map(|(name, _)| *name).collect();
        writeln!(out, "| level | {} |\n|---|{}", names.join(" | "), "---|".repeat(names.len()))?;
        for level in LEVELS {
            let mut row = format!("| {level} |");
            for (_, data) in &cases {
                let body = reference::encode(data, plain_sketch);
                let mut compressor = zstd::bulk::Compressor::new(level)?;
                let size = compressor.compress(&body)?.len();
                let runs = (0..RUNS).map(|_| time(|| compressor.compress(&body).unwrap())).collect();
                let cost = median(runs) / data.items() as f64;
                row.push_str(&format!(" {:.1} ×, {cost:.0} ns |", body.len() as f64 / size as f64));
            }
            writeln!(out, "{row}")?;
        }
        let mut row = "| 1, as the exporters use it |".to_owned();
        for (_, data) in &cases {
            let body = reference::encode(data, plain_sketch);
            let size = Compression::Zstd.compress(&body).len();
            let runs = (0..RUNS).map(|_| time(|| Compression::Zstd.compress(&body))).collect();
            let cost = median(runs) / data.items() as f64;
            row.push_str(&format!(" {:.1} ×, {cost:.0} ns |", body.len() as f64 / size as f64));
        }
        writeln!(out, "{row}")
    }

    fn exporter(compression: Compression) -> Box<dyn Exporter> {
        let mut config = DatadogConfig { compression, ..DatadogConfig::default() };
        config.api.key = "0123456789abcdef0123456789abcdef".into();
        config.build(build_context(ComponentKind::Exporter, "datadog", &FakeClock::new())).unwrap()
    }

    /// The processor time of this thread for some work, in nanoseconds.
    fn time<T>(work: impl FnOnce() -> T) -> f64 {
        let used = || -> f64 {
            let statistics = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
            statistics.split(' ').next().unwrap().parse().unwrap()
        };
        // What the kernel has not yet counted is counted when the thread gives up the processor.
        std::thread::yield_now();
        let before = used();
        black_box(work());
        std::thread::yield_now();
        used() - before
    }

    fn median(mut runs: Vec<f64>) -> f64 {
        runs.sort_by(f64::total_cmp);
        runs[runs.len() / 2]
    }
}

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    // `cargo test --all-targets` starts it too, without this.
    if std::env::args().any(|argument| argument == "--bench") { linux::run() } else { Ok(()) }
}

#[cfg(not(target_os = "linux"))]
fn main() {}
