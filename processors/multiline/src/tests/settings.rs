//! Settings that cannot be used.

use super::*;

#[test]
fn settings_that_cannot_be_used_say_where_and_why() {
    let table = [
        ("{}", "", "`line_start_pattern` or `line_end_pattern` has to say where records begin or end"),
        ("{line_start_pattern: a, line_end_pattern: b}", "line_end_pattern", "only one of"),
        ("{line_start_pattern: '['}", "line_start_pattern", "not a regular expression: unclosed character class"),
        ("{line_start_pattern: a, timeout: 0}", "timeout", "has to be more than 0"),
        ("{line_start_pattern: a, max_lines: 0}", "max_lines", "has to be more than 0"),
        ("{line_start_pattern: a, max_bytes: 0}", "max_bytes", "has to be more than 0"),
    ];
    for (text, path, message) in table {
        let mut report = Report::new();
        config(text).validate(&mut report);
        let [problem] = report.problems() else { panic!("{text}: {report:?}") };
        assert_eq!(problem.path, path, "{text}");
        assert!(problem.message.starts_with(message), "{text}: {}", problem.message);
    }
}
