//! Python environments, each made once.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The directory of the programs of the environment with Gunicorn.
///
/// # Panics
/// As [`environment`].
pub fn programs() -> PathBuf {
    let application = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/end_to_end/gunicorn_app");
    environment("gunicorn", &application.join("requirements.txt"))
}

/// The directory of the programs of an environment with a name and these requirements. Makes it below the target directory
/// where it is missing or of other requirements; tests of several processes wait for each other.
///
/// # Panics
/// Where Python, its venv module or the packages cannot be had, naming what to install.
pub fn environment(name: &str, requirements: &Path) -> PathBuf {
    let tests = Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(tests).unwrap();
    let lock = File::create(tests.join(format!("{name}-environment.lock"))).unwrap();
    lock.lock().unwrap();
    let environment = tests.join(format!("{name}-environment"));
    let wanted = std::fs::read_to_string(requirements).unwrap();
    // Written last: an environment with it is whole.
    let installed = environment.join("installed.txt");
    if std::fs::read_to_string(&installed).is_ok_and(|found| found == wanted) {
        return environment.join("bin");
    }
    let _ = std::fs::remove_dir_all(&environment);
    run(
        Command::new("python3").args(["-m", "venv"]).arg(&environment),
        "python3 with the venv module is needed: apt-get install python3-venv",
    );
    run(
        Command::new(environment.join("bin/python")).args(["-m", "pip", "install", "--quiet", "-r"]).arg(requirements),
        &format!("the packages of {} are needed: pip must reach a package index", requirements.display()),
    );
    std::fs::write(installed, wanted).unwrap();
    environment.join("bin")
}

fn run(command: &mut Command, hint: &str) {
    let output = command.output().unwrap_or_else(|error| panic!("{hint} ({error})"));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{hint}\n{}{words}", String::from_utf8_lossy(&output.stdout));
}
