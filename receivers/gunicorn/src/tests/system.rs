//! Over the system's own process table, whichever way this build reads it.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use hornpipe_model::CheckStatus;

use super::*;

/// Two forks that wait until their input ends, and a parent that waits for them.
const MASTER_AND_WORKERS: &str = "exec 3<&0\n(read line <&3; exit) &\n(read line <&3; exit) &\nwait\n";

#[tokio::test]
async fn an_application_without_titles_is_found_by_its_command_line_and_missed_when_it_has_ended() {
    let name = format!("shape-{}", std::process::id());
    let folder = std::env::temp_dir().join(format!("hornpipe-{name}"));
    fs::create_dir_all(&folder).unwrap();
    let program = folder.join("gunicorn");
    fs::write(&program, MASTER_AND_WORKERS).unwrap();
    let mut command = Command::new("sh");
    command.arg0("/venv/bin/python3").arg(&program).args(["--name", &name, "app:app"]);
    let mut master = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();

    let mut bench = Bench::new(Path::new("/proc"), &[&name]);
    let deadline = Instant::now() + Duration::from_secs(10);
    let app = loop {
        let app = bench.run().await.remove(0);
        if app.working + app.idle == 2 || Instant::now() > deadline {
            break app;
        }
    };
    // Its input ends with the wait, so its workers do, and so does it.
    master.wait().unwrap();
    fs::remove_dir_all(folder).unwrap();
    assert_eq!((app.status, app.working + app.idle), (CheckStatus::Ok, 2), "{app:?}");
    assert_eq!(app.masters.iter().map(|found| found.id.pid).collect::<Vec<_>>(), [master.id()]);
    assert_eq!(app.message.contains("setproctitle"), !cfg!(target_os = "macos"), "{}", app.message);
    assert_eq!(bench.run().await[0].status, CheckStatus::Critical);
}
