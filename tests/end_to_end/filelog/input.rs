//! Files that are not there, may not be read, or hold what is no text: each through the real binary, to both backends.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;

use hornpipe_engine::status::{ComponentStatus, Health};
use hornpipe_engine::testing::eventually;

use super::{Backends, start};
use crate::support::{Directory, Hornpipe, free_address, hornpipe, status};

/// A user who owns nothing, by custom `nobody`.
const NOBODY: u32 = 65_534;

/// The receiver as `hornpipe status` shows it.
fn receiver(state: &Path) -> ComponentStatus {
    status(state).receivers.remove(0)
}

/// Runs as a user who may not read a file: as root that is another user, else the file's mode keeps its owner out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_may_not_be_read_is_said_with_the_fix_and_read_from_its_beginning_when_it_may() {
    let backends = Backends::start().await;
    // The other user has no way into the checkout, perhaps.
    let directory = Directory::in_temp();
    let (file, state) = (directory.path().join("access.log"), directory.path().join("state"));
    fs::create_dir(&state).unwrap();
    fs::write(&file, "one\ntwo\n").unwrap();
    let own = fs::metadata(&file).unwrap();
    let is_root = std::os::unix::fs::MetadataExt::uid(&own) == 0;
    let mode = if is_root { 0o600 } else { 0o000 };
    fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    let include = format!("include: [{}], start_at: beginning", file.display());
    let config = directory.write("pipeline.yaml", &backends.configuration(&include));
    let mut command = hornpipe();
    if is_root {
        // Nor into the folder of the binary.
        let program = directory.path().join("hornpipe");
        fs::hard_link(command.get_program(), &program)
            .or_else(|_| fs::copy(command.get_program(), &program).map(drop))
            .unwrap();
        command = again(&command, &program);
        chown(&state, Some(NOBODY), Some(NOBODY)).unwrap();
        command.uid(NOBODY).gid(NOBODY);
    }
    command.args(["run", "--config"]).arg(&config).env("HORNPIPE_STATE_DIR", &state);
    let mut hornpipe = Hornpipe::start_command(&mut command, free_address());

    let said = hornpipe.wait_for_line("cannot be read: permission denied");
    assert!(said.contains("access.log") && said.contains("tried again"), "{said}");
    let message = receiver(&state).message.unwrap_or_default();
    let owner = if is_root { "its owner root:root" } else { "its owner " };
    for words in [&*format!("its mode is {mode:04o}"), owner, "let it read with `setfacl -m u:"] {
        assert!(message.contains(words), "{words:?} in {message}");
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    backends.wait_for(2).await;
    eventually("all is well", || receiver(&state).status == Health::Ok).await;
    hornpipe.stop_without_drops();
    let lines: Vec<String> = backends.datadog.logs().into_iter().map(|entry| entry.message).collect();
    assert_eq!(lines, ["one", "two"]);
}

/// The same command of another program.
fn again(command: &std::process::Command, program: &Path) -> std::process::Command {
    let mut other = std::process::Command::new(program);
    other.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    other
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_comes_later_is_waited_for() {
    let (backends, directory) = (Backends::start().await, Directory::new());
    let folder = directory.path().join("var/log");
    let mut hornpipe = start(&directory, &backends.configuration(&format!("include: ['{}/*.log']", folder.display())));
    hornpipe.wait_for_line("is not there; waiting for it");
    let files = receiver(&directory.path().join("state")).facts.remove("files").unwrap_or_default();
    assert!(files.contains("waiting for") && files.contains("var"), "{files}");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("a.log"), "one\n").unwrap();
    backends.wait_for(1).await;
    hornpipe.stop_without_drops();
}

/// 50 MiB in one line; parts of 1 MiB.
const LONG: usize = 50 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_text_and_a_line_of_50_mib_arrive_at_both_backends() {
    let (backends, directory) = (Backends::start().await, Directory::new());
    let long: String = (0..LONG / 8).map(|number| format!("{number:07} ")).collect();
    let mut random = fastrand::Rng::with_seed(1);
    let binary: Vec<u8> = std::iter::repeat_with(|| random.u8(1..)).take(20_000).collect();
    for (name, content) in [
        ("text.log", b"caf\xe9\nnul\0byte\nplain\n".to_vec()),
        ("long.log", format!("{long}\nnext\n").into_bytes()),
        ("binary.log", [&binary[..], b"\n"].concat()),
    ] {
        fs::write(directory.path().join(name), content).unwrap();
    }
    let include = format!("include: ['{}/*.log'], start_at: beginning", directory.path().display());
    let configuration = backends.configuration(&include).replace("timeout: 300ms", "timeout: 30s");
    let hornpipe = start(&directory, &configuration);
    let binary_lines: Vec<String> = binary
        .split(|byte| *byte == b'\n')
        .map(|line| String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned())
        .collect();
    backends.wait_for((3 + LONG / (1 << 20) + 1 + binary_lines.len()) as u64).await;
    let numbers = receiver(&directory.path().join("state")).numbers;
    assert_eq!(numbers["hornpipe_filelog_parts"], (LONG >> 20) as u64);
    assert!(numbers["hornpipe_filelog_invalid_records"] > 1, "{numbers:?}");
    hornpipe.stop_without_drops();

    let otlp = backends.otlp.logs();
    let of_file = |name: &str| -> Vec<String> {
        let found = otlp.iter().filter(|record| record.attributes["log.file.name"] == name);
        found.map(|record| record.body.clone()).collect()
    };
    assert_eq!(of_file("text.log"), ["caf\u{fffd}", "nul\0byte", "plain"]);
    assert_eq!(of_file("binary.log"), binary_lines);
    // Several requests are under way at once. The parts begin with ascending numbers, the next line with a letter.
    let mut parts = of_file("long.log");
    parts.sort_unstable();
    assert_eq!(parts.pop().as_deref(), Some("next"));
    assert!(parts.concat() == long, "the parts are the line");

    let datadog = backends.datadog.logs();
    let of_file = |name: &str| -> Vec<String> {
        let tag = format!("filename:{name}");
        let found = datadog.iter().filter(|entry| entry.tags.contains(&tag));
        found.map(|entry| entry.message.clone()).collect()
    };
    assert_eq!(of_file("text.log"), ["caf\u{fffd}", "nul\0byte", "plain"]);
    assert_eq!(of_file("binary.log"), binary_lines);
    let mut parts = of_file("long.log");
    parts.retain(|part| part != "next");
    // A record is at most 1,000,000 bytes there, so that each part is two; they begin anywhere in a number.
    parts.sort_by_key(|part| part.split(' ').nth(1).map(str::to_owned));
    assert!(parts.len() == 2 * (LONG >> 20) && parts.concat() == long, "the parts are the line");
}
