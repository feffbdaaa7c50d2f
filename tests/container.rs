//! The container image: the runtime stage of `deploy/Dockerfile`, built and run where buildah, podman and runc are
//! installed and the tests run as root.
//!
//! The stage takes its files from the build stage. Here a folder stands in for that stage, so that nothing is compiled
//! again: it holds the binary that the tests have built, with the shared libraries that this one needs. With
//! `HORNPIPE_STATIC_BINARY=FILE` the image is made of that binary instead, which then must be static.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::io::Write;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const TOOLS: [&str; 3] = ["buildah", "podman", "runc"];

const IMAGE: &str = "localhost/hornpipe:test";

/// How long a container may take for what a test waits for.
const PATIENCE: Duration = Duration::from_secs(20);

/// The limits that podman sets by itself are above what an unprivileged environment may set. Its own
/// health checks need systemd.
const RUN: [&str; 6] = ["run", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", "--no-healthcheck"];

#[test]
fn the_image_holds_what_it_needs_and_runs_without_root() {
    if let Some(reason) = why_not() {
        // Not through eprintln!, which nobody sees of a test that passes.
        writeln!(std::io::stderr(), "the container image is not tested: {reason}").unwrap();
        return;
    }
    let containers = Containers::new();
    let stage = BuildStage::new(&containers.directory.join("build-stage"));
    containers.build(&stage);
    assert_configuration(&containers);
    assert_files(&containers, &stage);
    assert_shipped_pipeline_runs(&containers);
    assert_mounted_pipeline_runs(&containers);
}

/// What `docker run` does with the image by itself.
fn assert_configuration(containers: &Containers) {
    let image: Value = serde_json::from_str(&containers.podman(&["image", "inspect", IMAGE])).unwrap();
    let config = &image[0]["Config"];
    assert_eq!(config["User"], "10001:10001");
    assert_eq!(config["Entrypoint"], json!(["/hornpipe"]));
    assert_eq!(config["WorkingDir"], "/etc/hornpipe");
    assert_eq!(config["ExposedPorts"], json!({"8125/udp": {}}));
    assert_eq!(config["Volumes"], json!({"/var/lib/hornpipe": {}}));
    let variables = config["Env"].as_array().unwrap();
    assert!(variables.contains(&json!("HORNPIPE_STATSD_ENDPOINT=0.0.0.0:8125")), "{variables:?}");
    assert_eq!(image[0]["Healthcheck"]["Test"], json!(["CMD", "/hornpipe", "health"]));
}

/// The image's files with their owners: nothing too much, and only the state is the user's.
fn assert_files(containers: &Containers, stage: &BuildStage) {
    let archive = containers.directory.join("files.tar");
    let container = containers.podman(&["create", "--no-healthcheck", IMAGE]);
    containers.podman(&["export", "--output", archive.to_str().unwrap(), container.trim()]);
    let list = run(Command::new("tar").args(["--numeric-owner", "-tvf"]).arg(&archive));
    // drwxr-xr-x 0/0  0 2026-01-01 00:00 etc/
    let files: BTreeMap<&str, &str> = list
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .map(|columns| (columns[5], columns[1]))
        .filter(|(file, _)| !stage.is_library(file))
        .collect();
    let root = "0/0";
    let expected = BTreeMap::from([
        ("etc/", root),
        ("etc/hornpipe/", root),
        ("etc/hornpipe/pipeline.yaml", root),
        ("etc/ssl/", root),
        ("etc/ssl/certs/", root),
        ("etc/ssl/certs/ca-certificates.crt", root),
        ("hornpipe", root),
        ("var/", root),
        ("var/lib/", root),
        ("var/lib/hornpipe/", "10001/10001"),
    ]);
    assert_eq!(files, expected);
}

/// As it comes, on a read-only file system, with no capability and in a network of its own.
fn assert_shipped_pipeline_runs(containers: &Containers) {
    let locked_up = ["--read-only", "--cap-drop", "all", "--network", "none"];
    let valid = containers.podman(&[&RUN[..], &locked_up, &["--rm", IMAGE, "validate"]].concat());
    assert!(valid.contains("the configuration is valid"), "{valid}");

    let container = containers.podman(&[&RUN[..], &locked_up, &["--detach", IMAGE]].concat());
    let container = container.trim();
    containers.wait_for(container, "0.0.0.0:8125");
    // The image's health check; without systemd, podman does not ask by itself.
    containers.podman(&["exec", container, "/hornpipe", "health"]);
    containers.stop(container);
}

/// With a file of the user's in the place of the shipped one.
fn assert_mounted_pipeline_runs(containers: &Containers) {
    let statsd = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let pipeline = containers.directory.join("pipeline.yaml");
    let text = format!(
        "receivers: {{statsd: {{endpoint: '{statsd}', aggregation_interval: 1s}}}}\n\
         exporters: {{debug: }}\n\
         service:\n  telemetry: {{metrics: {{level: none}}}}\n  \
         pipelines: {{metrics: {{receivers: [statsd], exporters: [debug]}}}}\n"
    );
    std::fs::write(&pipeline, text).unwrap();
    let mount = format!("{}:/etc/hornpipe/pipeline.yaml:ro", pipeline.display());
    let arguments = [&RUN[..], &["--network", "host", "--volume", &mount, "--detach", IMAGE]].concat();
    let container = containers.podman(&arguments);
    let container = container.trim();
    containers.wait_for(container, &statsd.to_string());
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"shop.orders:3|c", statsd).unwrap();
    containers.wait_for(container, "shop.orders");
    containers.stop(container);
}

/// The folder that stands in for the build stage.
struct BuildStage {
    directory: PathBuf,
    /// The shared libraries of the binary, as absolute paths. None for a static one.
    libraries: Vec<PathBuf>,
}

impl BuildStage {
    /// Lays out what the Dockerfile's build stage leaves.
    fn new(directory: &Path) -> Self {
        let given = std::env::var_os("HORNPIPE_STATIC_BINARY").map(PathBuf::from);
        let binary = given.clone().unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_hornpipe")));
        let libraries = shared_libraries(&binary);
        assert!(given.is_none() || libraries.is_empty(), "{} is not static: {libraries:?}", binary.display());
        let out = directory.join("out");
        for folder in [out.join("var/lib"), directory.join("state")] {
            std::fs::create_dir_all(folder).unwrap();
        }
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/pipeline.yaml");
        copy(&binary, &out.join("hornpipe"));
        copy(Path::new(shipped), &out.join("etc/hornpipe/pipeline.yaml"));
        let certificates = out.join("etc/ssl/certs/ca-certificates.crt");
        std::fs::create_dir_all(certificates.parent().unwrap()).unwrap();
        std::fs::write(&certificates, "nobody is trusted here\n").unwrap();
        for library in &libraries {
            copy(library, &out.join(library.strip_prefix("/").unwrap()));
        }
        BuildStage { directory: directory.to_owned(), libraries }
    }

    /// Whether a file of the image, or a folder (`lib/`), is there for the libraries.
    fn is_library(&self, file: &str) -> bool {
        self.libraries.iter().any(|library| library.starts_with(Path::new("/").join(file)))
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::copy(from, to).unwrap_or_else(|error| panic!("cannot copy {}: {error}", from.display()));
}

/// The files that a program's loader reads before it starts: `libc.so.6 => /lib/libc.so.6 (0x…)`, and the loader itself,
/// `/lib64/ld-linux.so.2 (0x…)`.
fn shared_libraries(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().expect("ldd is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_whitespace().filter(|word| word.starts_with('/') && !word.ends_with(':')).map(PathBuf::from).collect()
}

/// Images and containers in a storage of their own, removed with it.
struct Containers {
    directory: PathBuf,
}

impl Containers {
    fn new() -> Self {
        // A short path: podman takes at most 50 characters.
        let directory = std::env::temp_dir().join(format!("hornpipe-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        Containers { directory }
    }

    fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.arg("--root").arg(self.directory.join("storage"));
        command.arg("--runroot").arg(self.directory.join("run"));
        command.args(["--storage-driver", "vfs"]).stdin(Stdio::null());
        command
    }

    /// Runs podman to its end; what it wrote on standard output.
    fn podman(&self, arguments: &[&str]) -> String {
        run(&mut self.podman_command(arguments))
    }

    fn podman_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.tool("podman");
        command.args(["--cgroup-manager", "cgroupfs", "--runtime", "runc"]).args(arguments);
        command
    }

    /// Builds the runtime stage. Docker's format is the one that knows health checks.
    fn build(&self, stage: &BuildStage) {
        let mut command = self.tool("buildah");
        command.args(["bud", "--isolation", "chroot", "--pull-never", "--format", "docker", "--target", "runtime"]);
        command.arg("--build-context").arg(format!("build={}", stage.directory.display()));
        command.args(["--file", "deploy/Dockerfile", "--tag", IMAGE, "."]);
        run(command.current_dir(env!("CARGO_MANIFEST_DIR")));
    }

    /// What a container has written to both of its outputs.
    fn logs(&self, container: &str) -> String {
        let output = self.podman_command(&["logs", container]).output().unwrap();
        text_of(&output)
    }

    /// Waits until a container has written some words.
    fn wait_for(&self, container: &str, words: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = self.logs(container);
            if log.contains(words) {
                return;
            }
            assert!(Instant::now() < deadline, "no {words:?} within {PATIENCE:?}:\n{log}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Stops a container as an orchestrator does, and checks that it ended well.
    fn stop(&self, container: &str) {
        self.podman(&["stop", "--time", "10", container]);
        let status = self.podman(&["inspect", "--format", "{{.State.ExitCode}}", container]);
        assert_eq!(status.trim(), "0", "{}", self.logs(container));
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        for arguments in [["rm", "--all", "--force"], ["rmi", "--all", "--force"]] {
            // A test that has failed already says why; this only tidies up.
            let _ = self.podman_command(&arguments).output();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// What the test lacks here.
fn why_not() -> Option<String> {
    let is_found = |tool: &str| Command::new(tool).arg("--version").output().is_ok();
    let missing: Vec<&str> = TOOLS.into_iter().filter(|tool| !is_found(tool)).collect();
    if !missing.is_empty() {
        return Some(format!("not installed: {}", missing.join(", ")));
    }
    let user = run(Command::new("id").arg("-u"));
    (user.trim() != "0").then(|| "only root can use a storage of its own".to_owned())
}

/// Runs a command that must succeed; what it wrote on standard output.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, text_of(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn text_of(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
