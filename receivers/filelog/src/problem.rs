//! Why a file cannot be read, in words for the operator.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What is wrong with a file and what to do about it, without its path.
pub(crate) fn describe(path: &Path, error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::PermissionDenied {
        return denied(path).unwrap_or_else(|| error.to_string());
    }
    // EMFILE: no name in the standard library.
    if error.raw_os_error() == Some(24) {
        return format!("{error}; raise the limit of open files (ulimit -n), or lower max_concurrent_files");
    }
    error.to_string()
}

/// The first of the file and the directories above it that this user may not use.
fn denied(path: &Path) -> Option<String> {
    let (file, metadata) =
        path.ancestors().find_map(|path| fs::metadata(path).ok().map(|metadata| (path, metadata)))?;
    let (mode, uid, gid) = (metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
    let (owner, group) = (name_in("/etc/passwd", uid), name_in("/etc/group", gid));
    let right = if metadata.is_dir() { "rx" } else { "r" };
    let about = match file == path {
        true => format!("its mode is {mode:04o}, its owner {owner}:{group}"),
        false => format!("{} has the mode {mode:04o} and the owner {owner}:{group}", file.display()),
    };
    let own = own_id();
    let or_group =
        if group_helps(mode, gid, right) { format!(", or add the user to the group {group}") } else { String::new() };
    Some(format!(
        "permission denied: {about}, and hornpipe runs as user {own}; let it read with \
         `setfacl -m u:{own}:{right} {}`{or_group}",
        file.display()
    ))
}

/// Whether membership of its group gives the right that is missing. That of root is nobody's to be in.
fn group_helps(mode: u32, gid: u32, right: &str) -> bool {
    let wanted = if right == "rx" { 0o050 } else { 0o040 };
    gid != 0 && mode & wanted == wanted
}

/// The name of a user or group; its number where it has none here.
fn name_in(file: &str, number: u32) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let wanted = number.to_string();
    let name = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == wanted).then(|| name.to_owned())
    });
    name.unwrap_or(wanted)
}

fn own_id() -> String {
    name_in("/etc/passwd", rustix::process::geteuid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_users_and_groups_are_found() {
        assert_eq!(name_in("/etc/passwd", 0), "root");
        assert_eq!(name_in("/etc/passwd", 3_999_999_999), "3999999999");
        assert_eq!(name_in("/does/not/exist", 7), "7");
    }

    #[test]
    fn a_file_that_may_not_be_read_is_described_with_mode_owner_and_fix() {
        let directory = crate::tests::Directory::new();
        let path = directory.path().join("a.log");
        fs::write(&path, "x").unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o200)).unwrap();
        let text = describe(&path, &io::ErrorKind::PermissionDenied.into());
        for words in ["its mode is 0200, its owner ", "setfacl -m u:", ":r ", "a.log"] {
            assert!(text.contains(words), "{words:?} in {text}");
        }
        assert!(!text.contains("group"), "{text}");
    }

    #[test]
    fn a_group_is_advised_where_it_helps() {
        for (mode, gid, right, helps) in [
            (0o640, 4, "r", true),
            (0o600, 4, "r", false),
            (0o604, 4, "r", false),
            (0o640, 0, "r", false),
            (0o750, 4, "rx", true),
            (0o740, 4, "rx", false),
        ] {
            assert_eq!(group_helps(mode, gid, right), helps, "{mode:o} {gid} {right}");
        }
    }
}
