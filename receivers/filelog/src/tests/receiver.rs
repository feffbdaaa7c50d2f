//! The whole receiver, on real files and a clock that moves when told to.

use std::fs::OpenOptions;
use std::io::Write;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Mutex;

use async_trait::async_trait;
use hornpipe_engine::component::{BuildContext, Receiver, ReceiverConfig};
use hornpipe_engine::testing::{ReceiverBench, check_receiver_contract, item_name};
use hornpipe_model::Signal;

use super::Directory;
use crate::FilelogConfig;
use crate::config::StartAt;

/// Each receiver has a file of its own.
struct Bench {
    directory: Directory,
    file: Mutex<(u32, PathBuf)>,
}

#[async_trait]
impl ReceiverBench for Bench {
    fn signal(&self) -> Signal {
        Signal::Logs
    }

    fn build(&self, context: BuildContext) -> Box<dyn Receiver> {
        let mut file = self.file.lock().unwrap();
        file.0 += 1;
        file.1 = self.directory.path().join(format!("{}.log", file.0));
        let include = vec![file.1.display().to_string()];
        let config = FilelogConfig { include, start_at: StartAt::Beginning, ..FilelogConfig::default() };
        config.build(context).unwrap()
    }

    async fn feed(&self, numbers: Range<u64>) {
        let path = self.file.lock().unwrap().1.clone();
        let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
        let text: String = numbers.map(|number| item_name(number) + "\n").collect();
        file.write_all(text.as_bytes()).unwrap();
    }
}

// On a thread of its own the clock waits for work that is done on others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_of_receivers_holds() {
    let bench = Bench { directory: Directory::new(), file: Mutex::new((0, PathBuf::new())) };
    check_receiver_contract(&bench).await;
}
