//! Reading configuration files.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use super::diagnostic::Diagnostic;
use super::location::Source;
use super::parse::MAX_BYTES;

/// Reads a configuration file; `order` is its place among the `--config` files, from 0.
///
/// # Errors
/// Why it cannot be read: it is not there, may not be read, is larger than [`MAX_BYTES`] or is not UTF-8.
pub fn read_file(path: &Path, order: usize) -> Result<Arc<Source>, Diagnostic> {
    let name = path.display().to_string();
    let failed = |why: &str| Diagnostic::error(format!("cannot read configuration file `{name}`: {why}"));
    let bytes = read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => failed("there is no such file").with_help("give its path with --config"),
        io::ErrorKind::PermissionDenied => failed("this user may not read it"),
        io::ErrorKind::IsADirectory => failed("it is a directory")
            .with_help("give a file with --config; Docker makes a directory where the file of a `-v` is missing"),
        _ => failed(&error.to_string()),
    })?;
    if bytes.len() > MAX_BYTES {
        return Err(failed(&format!("it is larger than {} MiB", MAX_BYTES / 1024 / 1024)));
    }
    let line = |bytes: &[u8], end| bytes.iter().take(end).filter(|byte| **byte == b'\n').count() + 1;
    let text = String::from_utf8(bytes).map_err(|error| {
        failed(&format!("line {} is not UTF-8", line(error.as_bytes(), error.utf8_error().valid_up_to())))
    })?;
    if let Some(at) = text.find('\0') {
        let why = format!("line {} holds a NUL byte, which no text does", line(text.as_bytes(), at));
        return Err(failed(&why).with_help("is this really a configuration file, and in UTF-8?"));
    }
    Ok(Source::new(name.clone(), text, order))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_file_says_so() {
        let directory = read_file(&std::env::temp_dir(), 0).unwrap_err();
        assert!(directory.message.ends_with(": it is a directory"), "{directory}");
        let name = std::env::temp_dir().join(format!("hornpipe-binary-{}.yaml", std::process::id()));
        std::fs::write(&name, b"a: b\nc: \0\n").unwrap();
        let binary = read_file(&name, 0).unwrap_err();
        std::fs::remove_file(&name).unwrap();
        assert!(binary.message.ends_with(": line 2 holds a NUL byte, which no text does"), "{binary}");
    }

    #[test]
    fn a_file_that_cannot_be_read_says_why() {
        let missing = read_file(Path::new("/nowhere/pipeline.yaml"), 0).unwrap_err();
        assert_eq!(
            missing.to_string(),
            "error: cannot read configuration file `/nowhere/pipeline.yaml`: there is no such file\n  \
             = help: give its path with --config"
        );
        let name = std::env::temp_dir().join(format!("hornpipe-config-{}.yaml", std::process::id()));
        std::fs::write(&name, b"a: b\nc: \xff\n").unwrap();
        let broken = read_file(&name, 0).unwrap_err();
        std::fs::remove_file(&name).unwrap();
        assert!(broken.message.ends_with("line 2 is not UTF-8"), "{broken}");
    }
}
