use super::*;

fn rule(kind: RuleKind, pattern: &str) -> Rule {
    Rule { kind, name: "a rule".to_owned(), pattern: pattern.to_owned(), replace_placeholder: None }
}

fn exclude(pattern: &str) -> Rule {
    rule(RuleKind::ExcludeAtMatch, pattern)
}

fn include(pattern: &str) -> Rule {
    rule(RuleKind::IncludeAtMatch, pattern)
}

fn mask(pattern: &str, placeholder: &str) -> Rule {
    Rule { replace_placeholder: Some(placeholder.to_owned()), ..rule(RuleKind::MaskSequences, pattern) }
}

fn compiled(rules: &[Rule]) -> Rules {
    let mut report = Report::new();
    let rules = Rules::compile(rules, "rules", &mut report);
    assert!(!report.has_errors(), "{report:?}");
    rules
}

/// What stays of a record, or why nothing does.
fn apply(rules: &[Rule], record: &str) -> Result<String, crate::Reason> {
    match compiled(rules).apply(record.as_bytes()) {
        Verdict::Keep(text) => Ok(String::from_utf8(text.into_owned()).unwrap()),
        Verdict::Drop(reason) => Err(reason),
    }
}

#[test]
fn rules_mean_what_they_mean_in_the_agent() {
    let table: [(Vec<Rule>, &str, Result<&str, crate::Reason>); 17] = [
        (vec![], "a", Ok("a")),
        (vec![exclude("b")], "abc", Err(EXCLUDED)),
        (vec![exclude("^b")], "abc", Ok("abc")),
        (vec![include("b")], "abc", Ok("abc")),
        (vec![include("x")], "abc", Err(NOT_INCLUDED)),
        // Several includes all have to match.
        (vec![include("a"), include("x")], "abc", Err(NOT_INCLUDED)),
        (vec![include("a"), exclude("b")], "abc", Err(EXCLUDED)),
        (vec![exclude("b"), include("x")], "abc", Err(EXCLUDED)),
        (vec![mask("b+", "[masked]")], "abbcb", Ok("a[masked]c[masked]")),
        (vec![mask("x", "[masked]")], "abc", Ok("abc")),
        (vec![mask("b", "")], "b", Ok("")),
        // A later rule sees what was masked.
        (vec![mask("secret", "x"), exclude("secret")], "a secret", Ok("a x")),
        (vec![exclude("secret"), mask("secret", "x")], "a secret", Err(EXCLUDED)),
        // Go's spelling of groups.
        (vec![mask(r"(user=)\w+", "${1}[hidden]")], "user=ann", Ok("user=[hidden]")),
        (vec![mask(r"(user=)\w+", "$1[hidden]")], "user=ann", Ok("user=[hidden]")),
        (vec![mask(r"(user=)\w+", "$1hidden $$5 $2|$")], "user=ann", Ok(" $5 |$")),
        // A dot stops at a line's end; rules see whole records.
        (vec![mask("a.*", "x"), include("(?m)^b$")], "a1\nb", Ok("x\nb")),
    ];
    for (rules, record, expected) in table {
        assert_eq!(apply(&rules, record), expected.map(str::to_owned), "{rules:?} on {record:?}");
    }
}

#[test]
fn a_record_that_nothing_changes_is_not_copied() {
    let rules = compiled(&[mask("(x)", "$1"), exclude("y"), include("a")]);
    assert!(matches!(rules.apply(b"abc"), Verdict::Keep(Cow::Borrowed(_))));
}

#[test]
fn bytes_that_are_not_valid_text_are_matched_too() {
    let rules = compiled(&[mask(r"token=\w+", "token=x"), exclude("z")]);
    assert_eq!(rules.apply(b"\xff token=abc \xfe"), Verdict::Keep(Cow::Borrowed(b"\xff token=x \xfe")));
    assert_eq!(rules.apply(b"\xff z"), Verdict::Drop(EXCLUDED));
}

#[test]
fn texts_beside_the_record_are_masked_and_never_dropped() {
    let rules = compiled(&[exclude("a"), mask("a", "b"), mask("b", "c"), include("x")]);
    assert_eq!(rules.mask(b"a").as_deref(), Some(&b"c"[..]));
    assert_eq!(rules.mask(b"z"), None);
}

#[test]
fn the_last_multi_line_rule_joins() {
    let date = Rule { name: "dates".to_owned(), ..rule(RuleKind::MultiLine, DATE) };
    let rules = [rule(RuleKind::MultiLine, "never"), exclude("x"), date];
    let mut report = Report::new();
    let rules = Rules::compile(&rules, "log_processing_rules", &mut report);
    assert!(!report.has_errors() && report.problems().len() == 1, "{report:?}");
    let how = Joining::at(rules.boundary().unwrap().clone());
    assert_eq!(join(&how, SYNC.lines()), join(&at_start(DATE), SYNC.lines()));
    assert!(compiled(&[]).boundary().is_none());
}

#[test]
fn rules_that_cannot_be_used_say_where_and_why() {
    let nameless = Rule { name: String::new(), ..exclude("a") };
    let cases = [
        (nameless, "rules.0.name", "all processing rules must have a name"),
        (exclude(""), "rules.0.pattern", "no pattern provided for processing rule: a rule"),
        (
            exclude("a("),
            "rules.0.pattern",
            "invalid pattern for processing rule a rule: not a regular expression: unclosed group (at its character 2)",
        ),
        (
            rule(RuleKind::MultiLine, "a("),
            "rules.0.pattern",
            "invalid pattern for processing rule a rule: not a regular expression: unclosed group (at its character 2)",
        ),
        (rule(RuleKind::MaskSequences, "a"), "rules.0.replace_placeholder", "`mask_sequences` needs it"),
        (
            Rule { replace_placeholder: Some("x".to_owned()), ..exclude("a") },
            "rules.0.type",
            "`exclude_at_match` has no use for `replace_placeholder`",
        ),
    ];
    for (rule, path, message) in cases {
        let mut report = Report::new();
        Rules::compile(&[rule], "rules", &mut report);
        let [problem] = report.problems() else { panic!("{report:?}") };
        assert_eq!((&*problem.path, &*problem.message), (path, message));
    }
}
