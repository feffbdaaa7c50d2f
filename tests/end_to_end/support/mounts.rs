//! A child with mounts that nobody else sees.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use super::hornpipe;

/// How a child gets mounts of its own: as root, or as root of a user namespace; nothing where neither is allowed. The directory
/// is what is tried.
pub fn namespace(directory: &Path) -> Option<&'static str> {
    let can_mount = |flags: &&str| {
        let mut command = Command::new("unshare");
        command.args([flags, "mount", "-t", "tmpfs", "tmpfs"]).arg(directory);
        command.output().is_ok_and(|output| output.status.success())
    };
    ["-m", "-rm"].into_iter().find(can_mount)
}

/// The binary in such a [namespace], behind a call of `mount` with these arguments.
pub fn hornpipe_with(flags: &str, mount: &[&OsStr], config: &Path) -> Command {
    let program = hornpipe();
    let script = "program=$1 config=$2; shift 2; mount \"$@\" && exec \"$program\" run --config \"$config\"";
    let mut command = Command::new("unshare");
    command.args([flags, "sh", "-c", script, "sh"]).arg(program.get_program()).arg(config).args(mount).env_clear();
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}
