//! The option tables in the components' READMEs are generated from the settings' documentation. This test compares
//! them; `UPDATE_DOCS=1 cargo test --test reference` writes them anew. And the READMEs' examples must be valid.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../src/components.rs"]
mod components;

use std::fmt::Write as _;
use std::path::Path;

use hornpipe_engine::config::{FixedEnvironment, Source, load};
use schemars::SchemaGenerator;
use serde_json::{Map, Value};

const START: &str = "<!-- options: generated from the settings' documentation; UPDATE_DOCS=1 cargo test --test reference writes it anew -->\n";
const END: &str = "<!-- end of options -->";

#[test]
fn the_readmes_list_every_option_with_default_and_meaning() {
    for component in components::registry().list() {
        let mut generator = SchemaGenerator::default();
        let root = (component.schema)(&mut generator);
        let definitions = generator.definitions().clone();
        let table = options_table(root.as_value(), &definitions);
        let path = format!("{}/{}s/{}/README.md", env!("CARGO_MANIFEST_DIR"), component.kind, folder(component.name));
        let readme = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        check(&path, &readme, &table);
    }
}

/// An example of a part of a configuration is laid over the shipped one.
#[test]
fn the_examples_of_the_readmes_are_valid() {
    let environment = FixedEnvironment::new().with_variable("DD_API_KEY", "a").with_variable("OTLP_API_KEY", "b");
    let shipped = Source::new("pipeline.yaml", include_str!("../pipeline.yaml"), 0);
    let sections = ["receivers", "processors", "exporters", "extensions"];
    let folders = sections.map(|kind| Path::new(env!("CARGO_MANIFEST_DIR")).join(kind));
    let readmes = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    for path in readmes.map(|component| component.unwrap().path().join("README.md")) {
        let readme = std::fs::read_to_string(&path).unwrap();
        let blocks = readme.split("```yaml\n").skip(1).map(|block| block.split("```").next().unwrap_or_default());
        for example in blocks.filter(|block| sections.iter().any(|section| block.starts_with(section))) {
            let example = Source::new(path.display().to_string(), example, 1);
            let (plan, found) = load(&[shipped.clone(), example], &environment, &components::registry());
            assert!(plan.is_some(), "{found}");
        }
    }
}

/// `otlp_http` is the `otlp` exporter with another default protocol; they share a README.
fn folder(name: &str) -> &str {
    name.strip_suffix("_http").unwrap_or(name)
}

fn check(path: &str, readme: &str, table: &str) {
    let found = readme.split_once(START).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some(format!("{before}{START}{table}{END}{after}"))
    });
    let wanted = found.unwrap_or_else(|| panic!("{path} has no place for the options:\n{START}{END}"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &wanted).unwrap();
    } else {
        assert_eq!(readme, wanted, "{path} is not up to date: UPDATE_DOCS=1 cargo test --test reference");
    }
}

fn options_table(schema: &Value, definitions: &Map<String, Value>) -> String {
    let mut table = String::from("| option | default | meaning |\n|---|---|---|\n");
    write_options(&mut table, "", schema, None, definitions);
    table
}

/// A row per option; nested settings follow their own row with dotted names.
fn write_options(
    table: &mut String,
    prefix: &str,
    schema: &Value,
    given: Option<&Value>,
    definitions: &Map<String, Value>,
) {
    let schema = resolve(schema, definitions);
    let Some(properties) = schema["properties"].as_object() else { return };
    for (name, property) in properties {
        let path = format!("{prefix}{name}");
        let target = resolve(property, definitions);
        let default =
            given.map(|value| &value[name]).or_else(|| property.get("default")).or_else(|| target.get("default"));
        let nested = target["properties"].is_object();
        let meaning = property["description"].as_str().or_else(|| target["description"].as_str());
        let meaning = meaning.unwrap_or_else(|| panic!("option {path} has no documentation"));
        let shown = if nested { String::new() } else { show(default) };
        let _ = writeln!(table, "| `{path}` | {shown} | {} |", meaning.replace('\n', " ").replace('|', "\\|"));
        if nested {
            write_options(table, &format!("{path}."), target, default, definitions);
        } else if let Some(items) = target.get("items") {
            write_options(table, &format!("{path}[]."), items, None, definitions);
        }
    }
}

/// Follows a reference to a named definition, and a choice between something and nothing to the something.
fn resolve<'a>(schema: &'a Value, definitions: &'a Map<String, Value>) -> &'a Value {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return definitions.get(name).map_or(schema, |found| resolve(found, definitions));
    }
    let choices = schema["anyOf"].as_array().map(Vec::as_slice).unwrap_or_default();
    match choices.iter().find(|choice| choice["type"] != "null") {
        Some(choice) => resolve(choice, definitions),
        None => schema,
    }
}

fn show(default: Option<&Value>) -> String {
    match default {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) if text.is_empty() => String::new(),
        Some(Value::String(text)) => format!("`{}`", text.escape_debug()),
        Some(Value::Array(list)) if list.is_empty() => String::new(),
        Some(Value::Object(map)) if map.is_empty() => String::new(),
        Some(Value::Array(list)) => {
            let items: Vec<String> =
                list.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect();
            format!("`[{}]`", items.join(", "))
        }
        Some(other) => format!("`{other}`"),
    }
}
