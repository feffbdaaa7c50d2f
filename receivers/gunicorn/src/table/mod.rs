//! The process table of the system: `/proc` on Linux, the `sysinfo` crate elsewhere.

#[cfg(all(target_os = "linux", not(hornpipe_portable)))]
mod linux;
#[cfg(not(all(target_os = "linux", not(hornpipe_portable))))]
mod portable;

#[cfg(all(target_os = "linux", not(hornpipe_portable)))]
pub(crate) use linux::ProcessTable;
#[cfg(not(all(target_os = "linux", not(hornpipe_portable))))]
pub(crate) use portable::ProcessTable;

/// What every process of interest has somewhere in its command line: titles and programs alike.
const MARK: &[u8] = b"gunicorn";

/// A command line longer than this is cut, in bytes.
const LONGEST_COMMAND_LINE: usize = 128 * 1024;

#[cfg(test)]
mod tests;
