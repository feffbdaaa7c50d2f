//! What substitution may ask for: environment variables and files.

use std::collections::BTreeMap;
use std::env::VarError;
use std::io::Read;
use std::{env, fs, io};

use super::values::ByteSize;

/// Files for `${file:…}` larger than this are refused, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Where substitution gets its values.
pub trait Environment {
    /// The value of an environment variable, `None` where it is not set.
    ///
    /// # Errors
    /// Why a variable that is set cannot be used, without its value.
    fn variable(&self, name: &str) -> Result<Option<String>, String>;

    /// The content of a file.
    ///
    /// # Errors
    /// Why it cannot be read, without its content.
    fn file(&self, path: &str) -> Result<String, String>;

    /// The memory of the container, where it has a limit.
    fn memory(&self) -> Option<ByteSize> {
        None
    }
}

/// The environment and the files of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn memory(&self) -> Option<ByteSize> {
        crate::memory::cgroup_limit()
    }

    fn variable(&self, name: &str) -> Result<Option<String>, String> {
        match env::var(name) {
            Ok(value) => Ok(Some(value)),
            Err(VarError::NotPresent) => Ok(None),
            Err(VarError::NotUnicode(_)) => Err("its value is not UTF-8".to_owned()),
        }
    }

    fn file(&self, path: &str) -> Result<String, String> {
        let read = || -> io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            fs::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "there is no such file".to_owned(),
            io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
            _ => error.to_string(),
        })?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_FILE_BYTES {
            return Err(format!("it is larger than {} MiB", MAX_FILE_BYTES / 1024 / 1024));
        }
        String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
    }
}

/// An environment of given variables and files, and of a given memory, for tests.
#[derive(Clone, Default)]
pub struct FixedEnvironment {
    variables: BTreeMap<String, String>,
    files: BTreeMap<String, String>,
    memory: Option<ByteSize>,
}

impl FixedEnvironment {
    /// Nothing set, no files.
    pub fn new() -> FixedEnvironment {
        FixedEnvironment::default()
    }

    /// The same with a variable.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> FixedEnvironment {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The same with a file.
    #[must_use]
    pub fn with_file(mut self, path: &str, content: &str) -> FixedEnvironment {
        self.files.insert(path.to_owned(), content.to_owned());
        self
    }

    /// The same in a container with so much memory.
    #[must_use]
    pub fn with_memory(mut self, memory: ByteSize) -> FixedEnvironment {
        self.memory = Some(memory);
        self
    }
}

impl Environment for FixedEnvironment {
    fn variable(&self, name: &str) -> Result<Option<String>, String> {
        Ok(self.variables.get(name).cloned())
    }

    fn file(&self, path: &str) -> Result<String, String> {
        self.files.get(path).cloned().ok_or_else(|| "there is no such file".to_owned())
    }

    fn memory(&self) -> Option<ByteSize> {
        self.memory
    }
}
