//! Whatever the text, the answer is a value or a diagnostic.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Settings {
    a: String,
    b: Option<Box<Settings>>,
    c: Vec<u16>,
    #[serde(default)]
    d: BTreeMap<String, Duration>,
    #[serde(default)]
    e: Choice,
    #[serde(default)]
    f: (bool, f64),
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Choice {
    #[default]
    None,
    Size(ByteSize),
    Pair(u8, char),
    Whole {
        a: i64,
    },
}

fn try_all(text: &str, value: &str) -> String {
    let environment = FixedEnvironment::new().with_variable("A", value).with_file("/f", value);
    let mut diagnostics = Diagnostics::new();
    if let Some(node) = parse(&source(text), &mut diagnostics) {
        let node = substitute(merge(node.clone(), node), &environment);
        let before = diagnostics.clone();
        let settings: Option<Settings> = decode(&node, "x", &mut diagnostics);
        assert!(settings.is_some() || diagnostics != before, "no value and no reason");
        decode::<Settings>(&node.without_unresolved(), "x", &mut diagnostics);
        decode::<serde_json::Value>(&node, "", &mut diagnostics);
        decode::<Choice>(&node, "", &mut diagnostics);
        plan(&node, None, &crate::Registry::default(), &mut diagnostics);
        node.locate(&NodePath::parse(value));
    }
    diagnostics.to_string()
}

/// Text of the pieces that configurations are made of.
fn yaml_like() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "b",
        "c",
        "d",
        "e",
        "f",
        ": ",
        ":",
        "\n",
        "\n  ",
        "\n    ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "\"",
        "'",
        "${env:A}",
        "${A:-",
        "${file:/f}",
        "$$",
        "}",
        "#",
        "&x ",
        "*x",
        "<<: ",
        "| ",
        "> ",
        "!!int ",
        "1",
        "10s",
        "true",
        "~",
        "null",
        "receivers",
        "service",
        "pipelines",
        "metrics",
        "exporters",
        "enabled",
        "size",
        "pair",
        "é",
        "\t",
        "---\n",
        "%",
        "? ",
        "\u{0}",
        "\r\n",
        "api_key",
        "headers",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// Settings that parse, of the right shape or not.
fn settings_like() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "x",
        "1",
        "-5",
        "70000",
        "10s",
        "true",
        "~",
        "''",
        "\"1\"",
        "[1, 2]",
        "[x, 1]",
        "{a: 1}",
        "{size: 1KB}",
        "{pair: [x, y]}",
        "[true, 1.5]",
        "\"${env:A}\"",
        "\"${env:B}\"",
        "none",
        "{whole: {a: x}}",
        "[]",
        "{}",
    ]);
    let key = prop::sample::select(vec!["a", "b", "c", "d", "e", "f", "g"]);
    let entries = prop::collection::btree_map(key, leaf, 0..7);
    let one = entries.prop_map(|entries| {
        let inside: Vec<String> = entries.into_iter().map(|(key, value)| format!("{key}: {value}")).collect();
        format!("{{{}}}", inside.join(", "))
    });
    (one.clone(), one).prop_map(|(outer, inner)| outer.replacen("b: x", &format!("b: {inner}"), 1))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn arbitrary_text_never_panics(text in ".{0,80}", value in ".{0,40}") {
        try_all(&text, &value);
    }

    #[test]
    fn text_like_yaml_never_panics(text in yaml_like(), value in yaml_like()) {
        try_all(&text, &value);
    }

    #[test]
    fn settings_of_any_shape_end_with_a_value_or_a_reason(text in settings_like(), value in yaml_like()) {
        try_all(&text, &value);
    }

    #[test]
    fn paths_and_ids_of_any_text_never_panic(text in ".{0,40}") {
        let path = NodePath::parse(&text);
        let _ = (path.to_string(), ComponentId::parse(&text), parse_pipeline_id(&text), nearest(&text, ["a", "receivers"]));
    }

    #[test]
    fn a_path_of_any_plain_keys_reads_back(keys in prop::collection::vec("[a-z./\\[\\]0-9]{1,8}", 1..4)) {
        let path: NodePath = keys.into_iter().map(Segment::Key).collect();
        prop_assert_eq!(NodePath::parse(&path.to_string()), path);
    }
}
