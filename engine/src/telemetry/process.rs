//! Time, processor and memory of this process, under the Collector's names.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry::metrics::Meter;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use crate::lock;

/// What the process has used.
struct Usage {
    cpu: Duration,
    resident_bytes: u64,
}

/// Reads the usage of this process and of no other.
struct OwnProcess {
    pid: Pid,
    system: Mutex<System>,
}

impl OwnProcess {
    fn new() -> Option<Self> {
        Some(OwnProcess { pid: sysinfo::get_current_pid().ok()?, system: Mutex::new(System::new().ok()?) })
    }

    fn usage(&self) -> Option<Usage> {
        let mut system = lock(&self.system);
        let wanted = ProcessRefreshKind::nothing().with_cpu().with_memory().without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[self.pid]), false, wanted);
        let process = system.process(self.pid)?;
        let cpu = Duration::from_millis(process.accumulated_cpu_time());
        Some(Usage { cpu, resident_bytes: process.memory() })
    }
}

/// Registers the instruments. Where the operating system tells nothing about processes, only the uptime is there.
pub(super) fn register(meter: &Meter) {
    let started = Instant::now();
    meter
        .f64_observable_counter("otelcol_process_uptime")
        .with_unit("s")
        .with_description("Uptime of the process")
        .with_callback(move |observer| observer.observe(started.elapsed().as_secs_f64(), &[]))
        .build();

    let Some(process) = OwnProcess::new().map(Arc::new) else { return };
    let of_cpu = Arc::clone(&process);
    meter
        .f64_observable_counter("otelcol_process_cpu_seconds")
        .with_unit("s")
        .with_description("Total CPU user and system time in seconds")
        .with_callback(move |observer| {
            if let Some(usage) = of_cpu.usage() {
                observer.observe(usage.cpu.as_secs_f64(), &[]);
            }
        })
        .build();
    meter
        .u64_observable_gauge("otelcol_process_memory_rss")
        .with_unit("By")
        .with_description("Total physical memory (resident set size)")
        .with_callback(move |observer| {
            if let Some(usage) = process.usage() {
                observer.observe(usage.resident_bytes, &[]);
            }
        })
        .build();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_its_processor_time_only_grows() {
        let process = OwnProcess::new().unwrap();
        let before = process.usage().unwrap();
        assert!(before.resident_bytes > 100_000, "{}", before.resident_bytes);
        assert!(process.usage().unwrap().cpu >= before.cpu);
    }
}
