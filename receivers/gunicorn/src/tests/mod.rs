//! The check over process tables: the system's own and, where the table is `/proc`, others.

#[cfg(all(target_os = "linux", not(hornpipe_portable)))]
mod procfs;
mod system;

use std::path::Path;
use std::time::Duration;

use hornpipe_engine::testing::FakeClock;

use crate::check::{App, Check, Collection};
use crate::config::GunicornConfig;

/// A check of these instances over a process table.
struct Bench {
    time: FakeClock,
    /// Away while it runs.
    check: Option<Check>,
    instances: usize,
}

impl Bench {
    fn new(root: &Path, instances: &[&str]) -> Self {
        let time = FakeClock::new();
        let config = GunicornConfig { procfs_path: root.to_str().unwrap().to_owned(), ..GunicornConfig::default() };
        let names = instances.iter().map(|&name| name.to_owned()).collect();
        let check = Check::new(&config, names, time.clock());
        Bench { time, check: Some(check), instances: instances.len() }
    }

    /// Runs it for all instances. `between` happens between the two looks at the CPU times.
    async fn run_with(&mut self, between: impl Fn()) -> Collection {
        let due: Vec<usize> = (0..self.instances).collect();
        let mut check = self.check.take().unwrap();
        let running = tokio::spawn(async move {
            let collection = check.run(&due).await;
            (check, collection)
        });
        while !running.is_finished() {
            if self.time.sleepers() > 0 {
                between();
                self.time.advance(Duration::from_millis(100)).await;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let (check, collection) = running.await.unwrap();
        self.check = Some(check);
        collection.unwrap()
    }

    async fn run(&mut self) -> Vec<App> {
        let collection = self.run_with(|| {}).await;
        collection.outcomes.into_iter().flat_map(|outcome| outcome.apps).collect()
    }
}
