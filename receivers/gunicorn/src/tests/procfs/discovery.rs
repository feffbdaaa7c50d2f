//! Who is a master and who is a worker, in tables made up for the purpose.

use super::*;

const PYTHON: &str = "/venv/bin/python3";
const GUNICORN: &str = "/venv/bin/gunicorn";

/// Each master with its name and its workers' ids.
fn masters(proc: &FakeProc) -> Vec<(u32, String, Vec<u32>)> {
    let of = |found: Found| {
        let masters = found.masters.into_iter();
        masters
            .map(|m| (m.id.pid, m.name.text, m.workers.iter().map(|worker| worker.id.pid).collect()))
            .collect::<Vec<_>>()
    };
    of(proc.look())
}

fn found(pid: u32, name: &str, workers: &[u32]) -> (u32, String, Vec<u32>) {
    (pid, name.to_owned(), workers.to_vec())
}

/// An untitled Gunicorn with workers.
fn untitled(proc: &FakeProc, arguments: &[&str], pid: u32, workers: &[u32]) {
    let line: Vec<&str> = [PYTHON, GUNICORN].iter().chain(arguments).copied().collect();
    proc.process(pid, 1, &line);
    for &worker in workers {
        proc.process(worker, pid, &line);
    }
}

#[test]
fn a_title_that_fills_the_memory_of_the_command_line_is_read() {
    let proc = FakeProc::new();
    proc.titled("web1", 10, 1);
    proc.file(10, "cmdline", "gunicorn: master [web1]").file(11, "cmdline", "gunicorn: worker [we");
    assert_eq!(masters(&proc), [found(10, "web1", &[11])]);
    proc.file(10, "cmdline", "gunicorn: master [web1]\0LANG=C\0HOME=/root\0");
    assert_eq!(masters(&proc), [found(10, "web1", &[11])]);
}

#[test]
fn children_that_serve_no_requests_are_no_workers() {
    let proc = FakeProc::new();
    proc.titled("web1", 10, 2);
    proc.process(20, 10, &["gunicorn: dirty-arbiter"]).process(21, 20, &["gunicorn: dirty-worker [web1]"]);
    proc.process(22, 10, &[PYTHON, "-c", "from multiprocessing.resource_tracker import main;main(5) # gunicorn"]);
    proc.process(23, 10, &["gunicorn: worker [web1]"]).stat(23, 10, 'Z', 0);
    proc.process(24, 11, &["gunicorn: worker [web1]"]);
    assert_eq!(masters(&proc), [found(10, "web1", &[11, 12])]);
}

#[test]
fn a_worker_that_has_just_been_forked_still_has_its_masters_title() {
    let proc = FakeProc::new();
    proc.titled("web1", 10, 1).process(12, 10, &["gunicorn: master [web1]"]);
    assert_eq!(masters(&proc), [found(10, "web1", &[11, 12])]);
}

#[test]
fn what_sigusr2_starts_is_no_worker_at_any_moment() {
    let proc = FakeProc::new();
    proc.titled("web1", 10, 2);
    proc.process(20, 10, &[PYTHON, GUNICORN, "--name", "web1", "app:app"]);
    assert_eq!(masters(&proc), [found(10, "web1", &[11, 12])], "it starts and has no title yet");
    proc.process(20, 10, &["gunicorn: master [web1.2]"]).process(21, 20, &["gunicorn: worker [web1.2]"]);
    assert_eq!(masters(&proc), [found(10, "web1", &[11, 12]), found(20, "web1", &[21])]);
    proc.end(10).end(11).end(12).stat(20, 1, 'S', 0);
    assert_eq!(masters(&proc), [found(20, "web1.2", &[21])], "alone it could be an application of this name");
}

#[test]
fn an_upgrade_to_an_environment_without_setproctitle_keeps_its_name() {
    let proc = FakeProc::new();
    proc.titled("web1", 10, 1);
    let line = [PYTHON, GUNICORN, "-c", "elsewhere.py", "app:app"];
    proc.process(20, 10, &line).process(21, 20, &line);
    assert_eq!(masters(&proc), [found(10, "web1", &[11]), found(20, "web1", &[21])]);
}

#[test]
fn an_untitled_upgrade_is_told_by_its_environment() {
    let proc = FakeProc::new();
    untitled(&proc, &["-n", "web1", "app:app"], 10, &[11, 12, 20]);
    proc.process(21, 20, &[PYTHON, GUNICORN, "-n", "web1", "app:app"]);
    assert_eq!(
        masters(&proc),
        [found(10, "web1", &[11, 12, 20])],
        "without a look at it, it may be a worker that forked"
    );
    for (pid, environment) in [(10, "A=1\0"), (11, "A=1\0"), (12, "A=1\0"), (20, "A=1\0GUNICORN_PID=7\0")] {
        proc.file(pid, "environ", environment);
    }
    assert_eq!(masters(&proc), [found(10, "web1", &[11, 12]), found(20, "web1", &[21])]);
}

#[test]
fn an_untitled_dirty_arbiter_is_no_worker() {
    let proc = FakeProc::new();
    let line = ["--dirty-app", "d:D", "-n", "web1", "app:app"];
    untitled(&proc, &line, 10, &[11, 12]);
    let line: Vec<&str> = [PYTHON, GUNICORN].iter().chain(&line).copied().collect();
    proc.process(13, 11, &line).process(14, 11, &line);
    assert_eq!(masters(&proc), [found(10, "web1", &[12])]);
}

#[test]
fn an_untitled_application_is_named_as_gunicorn_names_it() {
    for (arguments, environment, settings, name, is_certain) in [
        (&["-n", "web1", "app:app"][..], "", None, "web1", true),
        (&["app:app"], "", None, "app:app", true),
        (&["app:app"], "GUNICORN_CMD_ARGS=--name 'from env'\0", Some("proc_name = 'file'"), "from env", true),
        (&["app:app"], "", Some("proc_name = 'file'\n"), "file", true),
        (&["-n", "web1", "app:app"], "", Some("proc_name = 'file'\n"), "web1", true),
        (&["app:app"], "", Some("proc_name = compute()\n"), "app:app", false),
        (&[], "", Some("wsgi_app = 'shop:app'\n"), "shop:app", true),
        (&["-c", "missing.py", "app:app"], "", None, "app:app", false),
        (&["-c", "file:gunicorn.conf.py", "app:app"], "", Some("proc_name = \"file\"\n"), "file", true),
        (&["-c", "python:settings", "app:app"], "", Some("proc_name = \"file\"\n"), "app:app", false),
        (&[], "", None, "gunicorn", false),
    ] {
        let proc = FakeProc::new();
        untitled(&proc, arguments, 10, &[11]);
        proc.file(10, "environ", environment);
        fs::create_dir_all(proc.path().join("10/cwd")).unwrap();
        if let Some(settings) = settings {
            proc.file(10, "cwd/gunicorn.conf.py", settings);
        }
        let masters = proc.look().masters;
        let name_found = (masters[0].name.text.as_str(), masters[0].name.is_certain);
        assert_eq!(name_found, (name, is_certain), "{arguments:?} {environment:?} {settings:?}");
    }
}

#[test]
fn a_name_stays_once_it_was_found() {
    let proc = FakeProc::new();
    untitled(&proc, &["app:app"], 10, &[11]);
    proc.file(10, "cwd/gunicorn.conf.py", "proc_name = 'web1'\n");
    let (mut table, mut names) = (ProcessTable::new(proc.path()), Names::default());
    let mut name = || look(&mut table, &mut names, false).unwrap().masters[0].name.text.clone();
    assert_eq!(name(), "web1");
    proc.file(10, "cwd/gunicorn.conf.py", "proc_name = 'web2'\n");
    assert_eq!(name(), "web1");
}

#[test]
fn what_cannot_be_read_is_counted_and_stops_nothing() {
    let proc = FakeProc::new();
    proc.titled("web1", 10, 2);
    // A process that ended meanwhile has no files any more; one with a folder in their place cannot be read.
    fs::create_dir_all(proc.path().join("30")).unwrap();
    fs::create_dir_all(proc.path().join("31/cmdline")).unwrap();
    proc.process(32, 10, &["gunicorn: worker [web1]"]).file(32, "stat", "32 (broken");
    proc.file(33, "cmdline", "");
    fs::write(proc.path().join("uptime"), "1 2").unwrap();
    let look_once = proc.look();
    assert_eq!((look_once.seen, look_once.unreadable), (3 + 4, 2));
    assert_eq!(masters(&proc), [found(10, "web1", &[11, 12])]);
    fs::remove_dir_all(proc.path()).unwrap();
    let gone = look(&mut ProcessTable::new(proc.path()), &mut Names::default(), false);
    assert_eq!(gone.map(|_| ()).map_err(|error| error.kind()), Err(std::io::ErrorKind::NotFound));
    fs::create_dir_all(proc.path()).unwrap();
}

#[test]
fn a_long_command_line_is_read_to_its_end() {
    let proc = FakeProc::new();
    let filler = "x".repeat(10_000);
    untitled(&proc, &["--env", &filler, "-n", "web1", "app:app"], 10, &[11]);
    proc.titled("web2", 20, 1);
    assert_eq!(masters(&proc), [found(10, "web1", &[11]), found(20, "web2", &[21])]);
}

#[test]
fn ids_that_make_a_circle_end_nowhere() {
    let proc = FakeProc::new();
    let line = [PYTHON, GUNICORN, "-n", "web1", "app:app"];
    proc.process(10, 11, &line).process(11, 10, &line).process(12, 12, &line);
    for pid in 10..13 {
        proc.file(pid, "environ", &format!("GUNICORN_PID={pid}\0"));
    }
    assert_eq!(masters(&proc), []);
    proc.process(20, 21, &["gunicorn: master [a]"]).process(21, 20, &["gunicorn: master [a]"]);
    assert_eq!(proc.look().masters.len(), 2);
}
