//! Process tables of real Gunicorns.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::process::ProcessId;

fn expected() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/proc-expected.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn trees() -> BTreeMap<String, Value> {
    let all: BTreeMap<String, Value> = serde_json::from_value(expected()).unwrap();
    all.into_iter().filter(|(name, _)| !name.starts_with("delta ")).collect()
}

/// The application that a key of the expectations is about.
fn app_name(key: &str) -> &str {
    match key {
        "(no title) --name web1 --workers 3" => "web1",
        "(no title) -n api2 -w 2" => "api2",
        // The master that SIGUSR2 started belongs to the old one's application.
        "web1.2" => "web1",
        titled => titled,
    }
}

#[test]
fn every_master_and_worker_is_found_and_nothing_else() {
    let trees = trees();
    assert_eq!(trees.len(), 15);
    for (tree, apps) in trees {
        let found = look(&mut ProcessTable::new(&fixture(&tree)), &mut Names::default(), false).unwrap();
        let pids = |ids: &Value| ids.as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect::<Vec<_>>();
        let mut expected: Vec<_> = apps
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, app)| {
                let is_titled = !key.starts_with("(no title)");
                (app["master_pid"].as_u64().unwrap(), app_name(key), is_titled, pids(&app["workers"]))
            })
            .collect();
        expected.sort();
        let masters: Vec<_> = found
            .masters
            .iter()
            .map(|master| {
                let workers = master.workers.iter().map(|worker| u64::from(worker.id.pid)).collect::<Vec<_>>();
                (u64::from(master.id.pid), master.name.text.as_str(), master.is_titled, workers)
            })
            .collect();
        assert_eq!(masters, expected, "{tree}");
        assert_eq!(found.unreadable, 0, "{tree}");
        assert!(found.masters.iter().all(|master| master.name.is_certain), "{tree}");
    }
}

#[test]
fn cpu_times_are_those_of_stat() {
    let all = expected();
    let deltas: Vec<&String> = all.as_object().unwrap().keys().filter(|key| key.starts_with("delta ")).collect();
    assert_eq!(deltas.len(), 4);
    for key in deltas {
        let (before, after) = key.strip_prefix("delta ticks ").unwrap().split_once("->").unwrap();
        let first = look(&mut ProcessTable::new(&fixture(before)), &mut Names::default(), false).unwrap();
        let mut second = ProcessTable::new(&fixture(after));
        for worker in first.masters.iter().flat_map(|master| &master.workers) {
            // Ticks of 10 ms.
            let ticks = (second.cpu(worker.id).unwrap() - worker.cpu).as_millis() / 10;
            assert_eq!(ticks as u64, all[key][worker.id.pid.to_string()].as_u64().unwrap(), "{key} of {:?}", worker.id);
        }
    }
}

#[test]
fn a_process_whose_id_is_used_again_is_gone() {
    let found = look(&mut ProcessTable::new(&fixture("sync-idle1")), &mut Names::default(), false).unwrap();
    let ProcessId { pid, start } = found.masters[0].workers[0].id;
    let mut table = ProcessTable::new(&fixture("sync-idle1"));
    assert!(table.cpu(ProcessId { pid, start }).is_some());
    assert_eq!(table.cpu(ProcessId { pid, start: start + 1 }), None);
    assert_eq!(table.cpu(ProcessId { pid: 4_000_000, start }), None);
}

#[tokio::test]
async fn the_agents_numbers_come_of_real_tables() {
    for (tree, name, workers) in [
        ("sync-idle1", "web1", 3),
        ("sync-nosetproctitle-idle1", "web1", 3),
        ("dirty-idle1", "web1", 3),
        ("two-apps-usr2", "web1", 6),
        ("two-apps-promoted", "web1", 3),
        ("two-apps-promoted", "app:app", 1),
        ("two-apps-nosetproctitle-idle1", "api2", 2),
        ("longname-idle1", "shop-frontend (blue) [eu-1] v2:web/ünï", 2),
    ] {
        let apps = Bench::new(&fixture(tree), &[name]).run().await;
        assert_eq!(apps.len(), 1);
        let states = (apps[0].working, apps[0].idle, apps[0].status);
        assert_eq!(states, (0, workers, hornpipe_model::CheckStatus::Ok), "{name} in {tree}");
    }
}
