//! Text that is not YAML.

use super::*;

#[test]
fn a_syntax_error_is_shown_at_its_place() {
    let text = "receivers:\n  statsd:\n    endpoint: a\n   tags: b\n";
    assert_eq!(
        parse_errors(text),
        "error: this line's indentation does not fit the lines above
  --> pipeline.yaml:4:4
   |
 4 |    tags: b
   |    ^
   = help: items of one list or mapping start in the same column

1 error in pipeline.yaml
"
    );
}

#[test]
fn an_unquoted_reference_in_brackets_or_braces_says_to_quote_it() {
    for (text, reference) in [
        ("exporters: [${env:X}]\n", "${env:X}"),
        ("exporters: [${X}]\n", "${X}"),
        ("exporters: [debug, ${env:X:-a}, otlp]\n", "${env:X:-…}"),
        ("api: {key: ${env:DD_API_KEY}}\n", "${env:DD_API_KEY}"),
        ("api: {key: ${env:DD_API_KEY}, site: a}\n", "${env:DD_API_KEY}"),
        ("api: {url: \"a\", key: http://${env:HOST}:80}\n", "${env:HOST}"),
        ("exporters: [\n  a,\n  ${env:X}\n]\n", "${env:X}"),
        ("a: ${env:X:-b: c}\n", "${env:X:-…}"),
    ] {
        let printed = parse_errors(text);
        let message = format!("error: `{reference}` must be quoted here, where YAML reads its punctuation\n");
        assert!(printed.starts_with(&message), "{text}{printed}");
        assert!(printed.contains(&format!("= help: quote it: \"{reference}\"\n")), "{text}{printed}");
    }
    assert_eq!(
        parse_errors("a: b\nexporters: [${env:X}]\n"),
        "error: `${env:X}` must be quoted here, where YAML reads its punctuation
  --> pipeline.yaml:2:14
   |
 2 | exporters: [${env:X}]
   |              ^
   = help: quote it: \"${env:X}\"

1 error in pipeline.yaml
"
    );
}

#[test]
fn other_syntax_errors_do_not_blame_a_reference() {
    let printed = parse_errors("a: \"${env:X}\" b\n");
    assert!(printed.starts_with("error: text follows a closing quote\n"), "{printed}");
    let printed = parse_errors("a: [${env:X}\nb: @c\n");
    assert!(printed.contains("quote"), "{printed}");
}

#[test]
fn common_mistakes_are_told_in_plain_words() {
    for (text, expected) in [
        ("a: b: c\n", "`: ` is not allowed here"),
        ("a: [1, 2\nb: 3\n", "`: ` is not allowed here"),
        ("a:\n\tb: c\n", "a tab cannot indent YAML"),
        ("a: b\n\tc: d\n", "a tab cannot indent YAML"),
        (" a: b\nc: d\n", "this line's indentation does not fit the lines above"),
        ("- a\nb: c\n", "this line's indentation does not fit the lines above"),
        ("a: [,]\n", "`,` or a closing bracket is missing, or there is one too many"),
        ("{a: b\n", "this bracket is never closed"),
        ("a: [b]]\n", "this bracket was never opened"),
        ("a: 'abc\nb: c\n", "a quoted text is not closed, or goes on with too little indentation"),
        ("a: \"x\" y\n", "text follows a closing quote"),
        ("a: \"\\q\"\n", "an escape in double quotes is unknown"),
        ("a: *b\n", "`*` refers to an anchor that is not defined"),
        ("a: &b [*b]\n", "an alias contains itself"),
        ("a: 1\n---\nb: 2\n", "a second document starts here"),
        ("a: @b\n", "plain text cannot start with `@`"),
        ("a: `b`\n", "plain text cannot start with ``` "),
        ("? [a]\n: b\n", "a key must be a word or quoted text"),
    ] {
        let printed = parse_errors(text);
        assert!(printed.starts_with(&format!("error: {}", expected.trim_end())), "{text}{printed}");
        assert!(printed.contains("= help: "), "{text}{printed}");
    }
}

#[test]
fn an_error_at_the_end_of_the_file_shows_the_last_line() {
    assert_eq!(
        parse_errors("a: \"unterminated\n"),
        "error: a quoted text is not closed, or goes on with too little indentation
  --> pipeline.yaml:1:17
   |
 1 | a: \"unterminated
   |                 ^
   = help: add the closing quote to the line above

1 error in pipeline.yaml
"
    );
}

#[test]
fn a_duplicate_key_is_shown_with_both_places() {
    assert_eq!(
        parse_errors("a:\n  b: 1\n  c: 2\n  b: 3\nd: 1\nd: 2\n"),
        "error: duplicate key `b`
  --> pipeline.yaml:4:3
   |
 4 |   b: 3
   |   ^
   = help: it is defined first at pipeline.yaml:2:3; remove one of the two

error: duplicate key `d`
  --> pipeline.yaml:6:1
   |
 6 | d: 2
   | ^
   = help: it is defined first at pipeline.yaml:5:1; remove one of the two

2 errors in pipeline.yaml
"
    );
}

#[test]
fn hostile_documents_are_refused_in_time() {
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n\
                c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n\
                e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n";
    for text in [
        bomb.to_owned(),
        "[".repeat(100_000),
        "- ".repeat(100_000),
        "{a: ".repeat(10_000),
        "a\n".repeat(10) + &"x: 1\n".repeat(10),
    ] {
        assert!(!parse_errors(&text).is_empty());
    }
    let printed = parse_errors(bomb);
    assert!(printed.starts_with("error: the file nests too deeply or has too many values"), "{printed}");
    let large = format!("a: {}\n", "x".repeat(MAX_BYTES));
    assert!(parse_errors(&large).starts_with("error: the file is larger than 4 MiB"));
}

#[test]
fn control_characters_and_long_lines_do_not_reach_the_terminal() {
    let mut diagnostics = Diagnostics::new();
    let source = source("a: \"\u{1b}[31m\u{202e}x\"\n");
    diagnostics.push(Diagnostic::error("x\u{1b}").at(&Location::new(&source, 1, 4, 3)));
    let printed = diagnostics.to_string();
    assert!(!printed.contains(['\u{1b}', '\u{202e}']), "{printed:?}");

    let long = format!("{}: @\n", "k".repeat(500));
    let printed = parse_errors(&long);
    assert!(printed.lines().all(|line| line.chars().count() < 160), "{printed}");
}
