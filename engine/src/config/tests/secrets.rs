//! Nothing that is printed holds a secret.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    api_key: Secret,
    /// A secret whose key does not look like one.
    dial: Secret,
    port: u16,
    enabled: bool,
    interval: Duration,
    size: ByteSize,
    mode: Mode,
    list: Vec<u16>,
    nested: Option<Box<Settings>>,
    headers: BTreeMap<String, u16>,
    map: BTreeMap<u16, u16>,
    checked: Checked,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    #[default]
    Off,
    Limit(u16),
}

/// A type whose own check puts the value in its words.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(try_from = "String")]
struct Checked;

impl TryFrom<String> for Checked {
    type Error = String;

    fn try_from(text: String) -> Result<Checked, String> {
        Err(format!("`{text}` is not good, {} neither\nwrite `{text}x`", text.to_uppercase()))
    }
}

const KEYS: [&str; 12] =
    ["api_key", "dial", "port", "enabled", "interval", "size", "mode", "list", "nested", "headers", "map", "checked"];

/// Everything that could be printed about a file: its own errors, and those of reports about every key.
fn printed(text: &str, environment: &FixedEnvironment) -> String {
    let mut diagnostics = Diagnostics::new();
    if let Some(node) = parse(&source(text), &mut diagnostics) {
        let node = substitute(node, environment);
        let settings: Option<Settings> = decode(&node, "exporters.x", &mut diagnostics);
        let mut report = Report::new();
        KEYS.iter().for_each(|key| report.error(key, "is wrong"));
        report.into_diagnostics(&node, "exporters.x", &mut diagnostics);
        // Debug of what was decoded would show plain values, as it may: only secrets must not be in it.
        let key = settings.map(|settings| serde_json::to_string(&(settings.api_key, settings.dial)));
        return format!("{diagnostics}{diagnostics:?}{key:?}{node:?}");
    }
    format!("{diagnostics}{diagnostics:?}")
}

#[test]
fn no_value_from_outside_is_ever_printed() {
    for secret in [
        "hunter2hunter2",
        "hunter2: x",
        "{hunter2: x}",
        "[hunter2, 5]",
        "hunter2,3",
        "{limit: hunter2}",
        "'hunter2",
        "${env:hunter2}",
        "${hunter2",
        "# hunter2",
        "*hunter2",
        "5\nhunter2",
        "hunter2\n---\n",
        "- hunter2\n- {hunter2: 1, hunter2: 2}",
        "!!int hunter2",
    ] {
        let environment = FixedEnvironment::new().with_variable("S", secret).with_file("/s", secret);
        for key in KEYS {
            for value in [
                "${env:S}",
                "\"${env:S}\"",
                "a${env:S}b",
                "[\"${env:S}\"]",
                "{a: \"${env:S}\"}",
                "${file:/s}",
                "{limit: \"${env:S}\"}",
            ] {
                let text = format!("{key}: {value}\nprot: 1\n");
                let printed = printed(&text, &environment).to_lowercase();
                assert!(!printed.contains("hunter2"), "{text}{printed}");
            }
        }
    }
}

#[test]
fn a_secret_from_a_file_reads_it_again_and_another_stays_as_it_is() {
    let path = std::env::temp_dir().join(format!("hornpipe-secret-{}", std::process::id()));
    std::fs::write(&path, "hunter2\n").unwrap();
    let text = format!("api_key: ${{file:{}}}\ndial: hunter3\n", path.display());
    let mut diagnostics = Diagnostics::new();
    let node = substitute(parse(&source(&text), &mut diagnostics).unwrap(), &ProcessEnvironment);
    let settings: Settings = decode(&node, "exporters.x", &mut diagnostics).unwrap();
    assert!(diagnostics.is_empty(), "{diagnostics}");
    assert_eq!((settings.api_key.reveal(), settings.api_key.file()), ("hunter2", Some(path.as_path())));
    assert_eq!((settings.dial.file(), settings.dial.read_again()), (None, Ok("hunter3".into())));

    std::fs::write(&path, "hunter4\r\n").unwrap();
    let again = settings.api_key.read_again().unwrap();
    assert_eq!((again.reveal(), again.file()), ("hunter4", Some(path.as_path())));
    std::fs::remove_file(&path).unwrap();
    let error = again.read_again().unwrap_err();
    assert_eq!(error, format!("cannot read {}: there is no such file", path.display()));
}

#[test]
fn no_literal_under_a_secret_key_is_ever_printed() {
    for text in [
        "api_key: hunter2\nport: x\n",
        "api_key: [hunter2]\n",
        "api_key:\n  - hunter2\n",
        "api_key:\n  a: hunter2\n",
        "api_key: {a: hunter2}\n",
        "dial: [hunter2]\n",
        "dial: {hunter2: 1}\n",
        "dial: hunter2\n",
        "nested: {dial: hunter2, port: x}\n",
        "nested: {port: x, dial: \"hunter2\"}\n",
        "api_kye: hunter2\n",
        "api-key: hunter2\n",
        "token: hunter2\n",
        "headers: {authorization: hunter2}\n",
        "headers:\n  authorization: hunter2\n",
        "headers:\n  x: hunter2\n",
        "headers: [hunter2]\n",
        "password: hunter2: x\n",
        "password:\n  hunter2: : x\n",
        "password: |\n  hunter2\n @\n",
        "password: \"hunter2\" x\n",
        "nested: {api_key: {x: hunter2}}\n",
        "nested: {port: x, api_key: hunter2}\n",
        "url: http://me:hunter2@host/\n",
        "nested: {api_key: hunter2, port: }}\n",
        "api_key: ${env:A:-hunter2}\nport: {a: ${env:B}}\n",
        "api_key: ${env:A:-[hunter2]}\n",
        "api_key: hunter2${env:UNSET}\n",
        "api_key: {a: hunter2${env:UNSET}}\n",
    ] {
        let printed = printed(text, &FixedEnvironment::new());
        assert!(!printed.contains("hunter2"), "{text}{printed}");
    }
}

#[test]
fn a_token_under_a_mistyped_key_is_not_printed() {
    let printed = printed("sight: 0123456789abcdef0123456789abcdef\n", &FixedEnvironment::new());
    assert!(!printed.contains("0123456789abcdef"), "{printed}");
}

#[test]
fn a_literal_that_is_no_secret_is_shown() {
    let printed = printed("port: abc\nchecked: abc\n", &FixedEnvironment::new());
    assert!(printed.contains("found `abc`\n"), "{printed}");
    assert!(printed.contains("error: `abc` is not good, ABC neither\n"), "{printed}");
    assert!(printed.contains("= help: write `abcx`\n"), "{printed}");
}

#[test]
fn words_of_our_own_stay_as_they_are_though_a_value_is_among_them() {
    let environment = FixedEnvironment::new().with_variable("A", "8125");
    let node = tree("endpoint: ${env:A}\n", &environment);
    let mut report = Report::new();
    report.error_with_help("endpoint", "is not a host and a port, 8125", "write host:port, such as localhost:8125");
    report.error_with_help("endpoint", format!("{} is not one", 8125), format!("write localhost:{}", 8125));
    let mut diagnostics = Diagnostics::new();
    report.into_diagnostics(&node, "receivers.x", &mut diagnostics);
    let found: Vec<(&str, Option<&str>)> =
        diagnostics.iter().map(|found| (found.message.as_str(), found.help.as_deref())).collect();
    let expected = [
        ("is not a host and a port, 8125", Some("write host:port, such as localhost:8125")),
        ("${env:A} is not one", Some("write localhost:${env:A}")),
    ];
    assert_eq!(found, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_value_from_outside_is_printed_whatever_surrounds_it(
        before in "[a-z{}\\[\\]:, '\"#&*!|>-]{0,12}",
        after in "[a-z{}\\[\\]:, '\"#&*!|>-]{0,12}",
        key in prop::sample::select(KEYS.to_vec()),
        value in "[ \\[{'\"]{0,3}hunter2[a-z:, '\"\\]}#\n]{0,8}",
    ) {
        let environment = FixedEnvironment::new().with_variable("S", &value);
        let text = format!("{key}: {before}${{env:S}}{after}\n");
        let printed = printed(&text, &environment).to_lowercase();
        prop_assert!(!printed.contains("hunter2"), "{}{}", text, printed);
    }
}
