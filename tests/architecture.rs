//! The house's one structural rule: components depend on the model and the engine, never on each other; the engine knows
//! no component; the model knows neither.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::process::Command;

/// Each workspace package with its path below the root and its dependencies on other workspace packages (tests' own
/// dependencies left out).
fn packages() -> BTreeMap<String, (String, Vec<String>)> {
    let root = env!("CARGO_MANIFEST_DIR");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root)
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    metadata["packages"]
        .as_array()
        .expect("a list of packages")
        .iter()
        .map(|package| {
            let path = text(&package["manifest_path"]).replace(root, "").replace("/Cargo.toml", "");
            let dependencies = package["dependencies"]
                .as_array()
                .expect("a list of dependencies")
                .iter()
                .filter(|dependency| dependency["kind"].is_null() && dependency["path"].is_string())
                .map(|dependency| text(&dependency["name"]))
                .collect();
            (text(&package["name"]), (path.trim_start_matches('/').to_owned(), dependencies))
        })
        .collect()
}

#[test]
fn components_depend_on_model_and_engine_only() {
    let packages = packages();
    let components: Vec<_> = packages
        .iter()
        .filter(|(_, (path, _))| {
            ["receivers/", "processors/", "exporters/", "extensions/"].iter().any(|kind| path.starts_with(kind))
        })
        .collect();
    assert!(components.len() >= 5, "found only {components:?}");
    for (name, (path, dependencies)) in components {
        for dependency in dependencies {
            assert!(
                dependency == "hornpipe-model" || dependency == "hornpipe-engine",
                "{name} ({path}) depends on {dependency}"
            );
        }
        let kind = path.split('/').next().unwrap_or_default().trim_end_matches('s');
        assert!(name.starts_with("hornpipe-") && name.ends_with(kind), "{name} is not named hornpipe-<name>-{kind}");
    }
}

#[test]
fn the_engine_knows_no_component_and_the_model_knows_nobody() {
    let packages = packages();
    assert_eq!(packages["hornpipe-engine"].1, ["hornpipe-model"]);
    assert!(packages["hornpipe-model"].1.is_empty(), "{:?}", packages["hornpipe-model"].1);
}

#[test]
fn every_component_crate_has_a_readme() {
    for (name, (path, _)) in packages().iter().filter(|(_, (path, _))| path.contains('/')) {
        let readme = format!("{}/{path}/README.md", env!("CARGO_MANIFEST_DIR"));
        assert!(std::path::Path::new(&readme).is_file(), "{name} has no README.md");
    }
}
