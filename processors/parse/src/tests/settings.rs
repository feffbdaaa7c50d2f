//! Settings that cannot be used.

use super::*;

#[test]
fn settings_that_cannot_be_used_say_where_and_why() {
    let format = |format: &str| format!("parsers: [{{type: gunicorn_access, access_log_format: '{format}'}}]");
    let table = [
        ("{}".to_owned(), "parsers", "no parser is given"),
        ("parsers: [{type: regex}]".to_owned(), "parsers.0.pattern", "`regex` needs a pattern"),
        (
            "parsers: [{type: regex, pattern: '(?<a>'}]".to_owned(),
            "parsers.0.pattern",
            "not a regular expression: unclosed group",
        ),
        ("parsers: [{type: regex, pattern: a}]".to_owned(), "parsers.0.pattern", "no group has a name"),
        ("parsers: [{type: json, pattern: a}]".to_owned(), "parsers.0.pattern", "`json` has no use for it"),
        (
            "parsers: [{type: json, timestamp_layout: '%Q'}]".to_owned(),
            "parsers.0.timestamp_layout",
            "`%Q` is not a directive",
        ),
        (format("%(x)s"), "parsers.0.access_log_format", "`%(x)` is no atom"),
        (format("%(h)"), "parsers.0.access_log_format", "`s` is missing behind `%(h)`"),
        (format("%(h"), "parsers.0.access_log_format", "`)` is missing behind `%(h`"),
        (format("%h"), "parsers.0.access_log_format", "`(` is missing behind `%` in `%h`"),
        (format("%(h)s%(u)s"), "parsers.0.access_log_format", "nothing stands between `%(u)s`"),
        (format("plain"), "parsers.0.access_log_format", "it has no atom"),
    ];
    for (text, path, message) in table {
        let mut report = Report::new();
        config(&text).validate(&mut report);
        let [problem] = report.problems() else { panic!("{text}: {report:?}") };
        assert_eq!(problem.path, path, "{text}");
        assert!(problem.message.starts_with(message), "{text}: {}", problem.message);
    }
}
