//! Settings that cannot be used.

use super::*;

fn problems(text: &str) -> Vec<(String, String)> {
    let environment = FixedEnvironment::new();
    let mut report = Report::default();
    compile::rules(&config(text, &environment), &environment, None, &mut report);
    report.problems().iter().map(|problem| (problem.path.clone(), problem.message.clone())).collect()
}

#[test]
fn every_mistake_is_reported_with_its_path() {
    for (action, path, message) in [
        ("{action: add}", "actions.0.tag", "`add` needs `tag`"),
        ("{action: set, value: x}", "actions.0.tag", "`set` needs `tag`"),
        ("{action: add, tag: 'env:prod'}", "actions.0.tag", "a tag's key holds no colon"),
        ("{action: add, tag: a, value: b, value_from: host}", "actions.0.value_from", "the value is given already"),
        ("{action: default, tag: a, pattern: b}", "actions.0.pattern", "`default` has no use for it"),
        ("{action: rename, from: a}", "actions.0.to", "`rename` needs `to`"),
        ("{action: rename, from: a, to: b, value: c}", "actions.0.value", "`rename` has no use for it"),
        ("{action: remove}", "actions.0.tag", "`remove` needs `tag`"),
        ("{action: remove, value_from: host, tag: a}", "actions.0.value_from", "`remove` has no use for it"),
        ("{action: remove, tag: a, pattern: b}", "actions.0.pattern", "takes the place of `tag` and `value`"),
        (
            "{action: remove, pattern: '('}",
            "actions.0.pattern",
            "not a regular expression: unclosed group (at its character 1)",
        ),
        ("{action: extract, tag: a}", "actions.0.pattern", "`extract` needs `pattern`"),
        ("{action: extract, pattern: a}", "actions.0.pattern", "takes nothing out of the name"),
        ("{action: extract, pattern: '(a)', name: b, value: c}", "actions.0.tag", "`extract` needs `tag`"),
        (
            "{action: extract, pattern: '(a)', tag: b, unit: c}",
            "actions.0.unit",
            "is for a metric that gets another name",
        ),
        ("{action: extract, pattern: a, tag: b}", "actions.0.pattern", "`pattern` has no group for `$1`"),
        ("{action: extract, pattern: '(a)', tag: b, value: $2}", "actions.0.value", "`pattern` has no group for `$2`"),
        ("{action: extract, pattern: '(a)', name: $3}", "actions.0.name", "`pattern` has no group for `$3`"),
    ] {
        let found = problems(&format!("actions: [{action}]"));
        assert_eq!(found, [(path.to_owned(), message.to_owned())], "{action}");
    }
    let text = "{match_type: regex, metrics: [a, '['], actions: [{action: add, tag: x, metrics: ['(']}]}";
    let paths: Vec<String> = problems(text).into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["metrics.1", "actions.0.metrics.0"]);
}

#[test]
fn unusable_settings_do_not_build() {
    let environment = FixedEnvironment::new();
    let error = Tagging::new(&config("actions: [{action: add}]", &environment), &environment, None).err().unwrap();
    assert_eq!((error.option.as_str(), error.message.as_str()), ("actions.0.tag", "`add` needs `tag`"));
}

#[test]
fn the_readmes_example_is_valid() {
    let readme = include_str!("../../README.md");
    let example = readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let lines = example.lines().skip_while(|line| line.trim() != "tagging:").skip(1);
    let text: String = lines.map(|line| format!("{}\n", line.strip_prefix("    ").unwrap_or(line))).collect();
    assert!(text.contains("actions:"));
    assert_eq!(problems(&text), []);
}
