//! Several files, and places in them.

use super::*;

fn merged(texts: &[&str]) -> Node {
    let mut diagnostics = Diagnostics::new();
    let files = texts.iter().enumerate().map(|(at, text)| Source::new(format!("{at}.yaml"), *text, at));
    let trees: Vec<Node> = files.filter_map(|file| parse(&file, &mut diagnostics)).collect();
    assert!(diagnostics.is_empty(), "{diagnostics}");
    trees.into_iter().reduce(merge).expect("a file")
}

fn text_at(node: &Node, path: &str) -> Option<String> {
    node.find(&NodePath::parse(path)).and_then(Node::as_text).map(str::to_owned)
}

#[test]
fn mappings_merge_key_by_key_and_all_else_is_replaced() {
    let node = merged(&["a: {b: 1, c: 2}\nd: [x, y]\ne: {f: 1}\ng: 1\n", "a: {c: 3, h: 4}\nd: [z]\ne:\ng: {i: 1}\n"]);
    assert_eq!(text_at(&node, "a.b").as_deref(), Some("1"));
    assert_eq!(text_at(&node, "a.c").as_deref(), Some("3"));
    assert_eq!(text_at(&node, "a.h").as_deref(), Some("4"));
    assert_eq!(node.find(&NodePath::parse("d")).map(|node| node.items().len()), Some(1));
    assert!(node.get("e").is_some_and(Node::is_null));
    assert_eq!(text_at(&node, "g.i").as_deref(), Some("1"));
    let kept = merged(&["a: {b: 1}", "a: {}"]);
    assert_eq!(text_at(&kept, "a.b").as_deref(), Some("1"));
}

#[test]
fn every_value_keeps_the_place_in_its_own_file() {
    let node = merged(&["a: {b: 1}\n", "\n\na: {c: 2}\n"]);
    let place = |path: &str| node.locate(&NodePath::parse(path)).map(|(place, _)| place.to_string());
    assert_eq!(place("a.b").as_deref(), Some("0.yaml:1:8"));
    assert_eq!(place("a.c").as_deref(), Some("1.yaml:3:8"));
}

#[test]
fn a_path_that_is_not_there_is_placed_at_its_nearest_parent() {
    let node = merged(&["receivers:\n  statsd:\n    tags: [a, b]\n    empty:\n"]);
    let place = |path: &str| node.locate(&NodePath::parse(path)).map(|(place, _)| place.to_string());
    for (path, expected) in [
        ("receivers.statsd.tags[1]", Some("0.yaml:3:15")),
        ("receivers.statsd.tags.1", Some("0.yaml:3:15")),
        ("receivers.statsd.tags[9]", Some("0.yaml:3:5")),
        ("receivers.statsd.endpoint", Some("0.yaml:2:3")),
        ("receivers.statsd.queue.size", Some("0.yaml:2:3")),
        ("receivers.statsd.empty", Some("0.yaml:4:5")),
        ("receivers.otlp.endpoint", Some("0.yaml:1:1")),
        ("receivers", Some("0.yaml:1:1")),
        ("", Some("0.yaml:1:1")),
        ("exporters.x", None),
    ] {
        assert_eq!(place(path).as_deref(), expected, "{path}");
    }
}

#[test]
fn findings_of_several_files_are_sorted_and_summed_up() {
    let mut diagnostics = Diagnostics::new();
    let (first, second) = (Source::new("a.yaml", "x: 1\ny: 2\n", 0), Source::new("b.yaml", "z: 3\n", 1));
    diagnostics.push(Diagnostic::error("third").at(&Location::new(&second, 1, 1, 1)));
    diagnostics.push(Diagnostic::warning("last").with_help("do it").about(NodePath::of(["service"])));
    diagnostics.push(Diagnostic::error("second").at(&Location::new(&first, 2, 4, 1)));
    diagnostics.push(Diagnostic::warning("first").at(&Location::new(&first, 2, 1, 1)));
    diagnostics.push(Diagnostic::error("second").at(&Location::new(&first, 2, 4, 1)));
    assert_eq!(
        diagnostics.to_string(),
        "warning: first
  --> a.yaml:2:1
   |
 2 | y: 2
   | ^

error: second
  --> a.yaml:2:4
   |
 2 | y: 2
   |    ^

error: third
  --> b.yaml:1:1
   |
 1 | z: 3
   | ^

warning: last
  --> service
  = help: do it

2 errors, 2 warnings in a.yaml, b.yaml
"
    );
}

#[test]
fn a_report_gets_its_places_and_keeps_quiet_about_what_did_not_decode() {
    let text =
        "receivers:\n  statsd:\n    interval: 10ms\n    rules: [{match: a}]\n    port: x\n    secret: ${env:S}\n";
    let node = tree(text, &FixedEnvironment::new().with_variable("S", "hunter2"));
    let settings = node.find(&NodePath::parse("receivers.statsd")).unwrap();
    let mut diagnostics = Diagnostics::new();
    let port = settings.get("port").unwrap();
    decode::<u16>(port, "receivers.statsd.port", &mut diagnostics);

    let mut report = Report::new();
    report.error("interval", "must be at least 1s");
    report.error_with_help("rules.0.match", "must not be `a`", "try `b`");
    report.warning("endpoint", "is not set");
    report.error("port", "must not be 0");
    report.error("secret", format!("`{}` is too short", "hunter2"));
    assert!(report.has_errors());
    report.into_diagnostics(settings, "receivers.statsd", &mut diagnostics);
    assert_eq!(
        diagnostics.to_string(),
        "warning: is not set
  --> pipeline.yaml:2:3 (receivers.statsd.endpoint)
   |
 2 |   statsd:
   |   ^^^^^^

error: must be at least 1s
  --> pipeline.yaml:3:15 (receivers.statsd.interval)
   |
 3 |     interval: 10ms
   |               ^^^^

error: must not be `a`
  --> pipeline.yaml:4:21 (receivers.statsd.rules[0].match)
   |
 4 |     rules: [{match: a}]
   |                     ^
   = help: try `b`

error: expected a whole number from 0 to 65535, found `x`
  --> pipeline.yaml:5:11 (receivers.statsd.port)
   |
 5 |     port: x
   |           ^

error: `${env:S}` is too short
  --> pipeline.yaml:6:13 (receivers.statsd.secret)
   |
 6 |     secret: ${env:S}
   |             ^^^^^^^^

4 errors, 1 warning in pipeline.yaml
"
    );
}

#[test]
fn byte_order_marks_and_windows_line_ends_do_not_matter() {
    let node = merged(&["\u{feff}a: b\r\nc: d\r\n"]);
    assert_eq!(text_at(&node, "a").as_deref(), Some("b"));
    assert_eq!(text_at(&node, "c").as_deref(), Some("d"));
    let printed = parse_errors("a: b\r\nc: @\r\n");
    assert!(printed.contains("\n 2 | c: @\n   |    ^\n"), "{printed:?}");
}
