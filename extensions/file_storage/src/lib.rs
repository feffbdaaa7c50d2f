//! The `file_storage` extension: a directory in which exporters keep their queues.
//!
//! The engine writes the queues; this says where. An exporter names it in `sending_queue.storage`, and then everything
//! queued is on disk, metrics too.

mod config;

pub use config::FileStorageConfig;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use hornpipe_engine::Shutdown;
use hornpipe_engine::component::{BuildError, ComponentType, Extension, ExtensionConfig, ExtensionContext, Storage};
use hornpipe_engine::config::Report;
use hornpipe_engine::state_dir::DirectoryLock;
use hornpipe_model::Signal;

impl ComponentType for FileStorageConfig {
    const TYPE: &'static str = "file_storage";
    const SIGNALS: &'static [Signal] = &[];
    const SUMMARY: &'static str = "keeps the queues of exporters in a directory";
}

impl ExtensionConfig for FileStorageConfig {
    fn validate(&self, report: &mut Report) {
        self.check(report);
    }

    fn storage(&self) -> Option<Storage> {
        Some(self.directory.as_ref().map_or(Storage::StateDirectory, |path| Storage::Directory(PathBuf::from(path))))
    }

    fn build(&self, context: ExtensionContext) -> Result<Box<dyn Extension>, BuildError> {
        let Some(directory) = &self.directory else { return Ok(Box::new(FileStorage { lock: None })) };
        let path = Path::new(directory);
        let unusable = |error: &dyn std::fmt::Display| BuildError::new("directory", format!("{directory}: {error}"));
        if self.create_directory {
            DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| unusable(&error))?;
        } else if !path.is_dir() {
            return Err(unusable(&"there is no such directory; make it, or set create_directory: true"));
        }
        let lock = DirectoryLock::take(path, self.timeout.get());
        let lock = lock.map_err(|error| BuildError::new("directory", error.to_string()))?;
        context.telemetry.set_fact("directory", directory.clone());
        Ok(Box::new(FileStorage { lock: Some(lock) }))
    }
}

/// Holds the directory for this process.
struct FileStorage {
    lock: Option<DirectoryLock>,
}

#[async_trait]
impl Extension for FileStorage {
    async fn run(self: Box<Self>, shutdown: Shutdown) -> Result<(), String> {
        shutdown.requested().await;
        drop(self.lock);
        Ok(())
    }
}
