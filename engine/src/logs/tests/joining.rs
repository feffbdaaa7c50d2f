use proptest::prelude::*;

use super::*;

#[test]
fn each_record_of_a_real_error_log_is_one() {
    for log in FIXTURES {
        let expected: Vec<String> = records(log).iter().map(|lines| lines.join("\n")).collect();
        assert_eq!(join(&at_start(DATE), log.lines()), expected);
    }
    let tracebacks = join(&at_start(DATE), SYNC.lines()).iter().filter(|text| text.contains("Traceback")).count();
    assert_eq!(tracebacks, 6);
}

/// The places where Python, which writes frame by frame, may be interrupted in a traceback: in front of frames and the
/// exception. (A second header could be the other record's own.)
fn interruptible(record: &[&str]) -> Vec<usize> {
    let header = record.iter().position(|line| line.ends_with("Traceback (most recent call last):"));
    let Some(header) = header else { return Vec::new() };
    let exception = |line: &str| {
        line.split(':').next().is_some_and(|name| name.ends_with("Error") || name == "SystemExit")
            && !line.starts_with(' ')
    };
    let is_group = record[header].starts_with("  + ");
    let last = if is_group { record.len() - 1 } else { record.iter().rposition(|line| exception(line)).unwrap() };
    let at = |index: &usize| {
        let line = record[*index];
        is_group || line.starts_with("  File ") || line.starts_with("  [Previous") || exception(line)
    };
    (header + 1..=last).filter(at).collect()
}

#[test]
fn a_record_of_another_worker_does_not_break_a_traceback() {
    let all: Vec<Vec<&str>> = FIXTURES[..5].iter().flat_map(|log| records(log)).collect();
    let (how, mut tried) = (at_start(DATE), 0);
    for traceback in &all {
        for place in interruptible(traceback) {
            for other in &all {
                let (before, behind) = traceback.split_at(place);
                let lines = before.iter().chain(other).chain(behind).copied();
                let mut expected = [other.join("\n"), traceback.join("\n")];
                let mut joined = join(&how, lines.chain(["[2026-11-22 10:00:00 +0000] [1] [INFO] next"]));
                assert_eq!(joined.pop().unwrap(), "[2026-11-22 10:00:00 +0000] [1] [INFO] next");
                joined.sort_unstable();
                expected.sort_unstable();
                assert_eq!(joined, expected, "at {place}");
                tried += 1;
            }
        }
    }
    assert!(tried > 10_000, "{tried}");
}

#[test]
fn a_traceback_may_be_interrupted_again_and_again() {
    let lines = [
        "[2026-01-01] [7] [ERROR] failed",
        "Traceback (most recent call last):",
        "[2026-01-01] [8] [INFO] one",
        "  File \"a.py\", line 1, in f",
        "    f()",
        "[2026-01-01] [8] [INFO] two",
        "  two goes on",
        "[2026-01-01] [9] [INFO] three",
        "ValueError: no",
        "[2026-01-01] [9] [INFO] four",
    ];
    let expected = [
        "[2026-01-01] [8] [INFO] one",
        "[2026-01-01] [8] [INFO] two\n  two goes on",
        "[2026-01-01] [9] [INFO] three",
        concat!(
            "[2026-01-01] [7] [ERROR] failed\nTraceback (most recent call last):\n",
            "  File \"a.py\", line 1, in f\n    f()\nValueError: no"
        ),
        "[2026-01-01] [9] [INFO] four",
    ];
    assert_eq!(join(&at_start(DATE), lines), expected);
}

#[test]
fn a_traceback_that_never_ends_is_given_up_after_some_records() {
    let mut lines = vec!["[2026-01-01] killed", "Traceback (most recent call last):"];
    lines.extend(std::iter::repeat_n("[2026-01-01] other", 30));
    let joined = join(&at_start(DATE), lines);
    let place = joined.iter().position(|text| text.contains("Traceback"));
    assert_eq!((place, joined.len()), (Some(16), 31));
}

#[test]
fn an_open_record_waits_for_its_timeout_and_no_longer() {
    let how = at_start(DATE);
    let (mut joiner, mut out) = (Joiner::default(), Vec::new());
    let at = Duration::from_millis;
    let push = |joiner: &mut Joiner<Numbers>, line: &str, now| {
        joiner.push(&how, Cow::Borrowed(line.as_bytes()), Numbers(vec![0]), at(now), &mut Vec::new());
    };
    push(&mut joiner, "[2026-01-01] a", 0);
    push(&mut joiner, "more", 900);
    assert_eq!(joiner.deadline(&how), Some(at(1_900)));
    joiner.expire(&how, at(1_899), &mut out);
    assert!(out.is_empty(), "each line starts the wait anew");
    joiner.expire(&how, at(1_900), &mut out);
    assert_eq!(out.iter().map(|record| record.lines).collect::<Vec<_>>(), [2]);
    push(&mut joiner, "late", 2_000);
    assert_eq!((joiner.lines(), joiner.bytes()), (1, 4), "what comes later is a record of its own");
    joiner.expire(&how, at(1_000), &mut out);
    assert_eq!(joiner.lines(), 1, "a time before the line's is no reason to give it up");
}

#[test]
fn an_interrupted_traceback_waits_no_longer_than_others() {
    let how = at_start(DATE);
    let (mut joiner, mut out) = (Joiner::default(), Vec::new());
    for (line, now) in [("[2026-01-01] a", 0), ("Traceback (most recent call last):", 1), ("[2026-01-01] b", 600)] {
        let now = Duration::from_millis(now);
        joiner.push(&how, Cow::Borrowed(line.as_bytes()), Numbers(vec![0]), now, &mut out);
    }
    joiner.expire(&how, Duration::from_millis(1_001), &mut out);
    assert_eq!(out.iter().map(|record| record.lines).collect::<Vec<_>>(), [2]);
    joiner.expire(&how, Duration::from_millis(1_600), &mut out);
    assert_eq!(out.iter().map(|record| record.lines).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn patterns_match_where_they_should() {
    let table: &[(&str, &str, &[&str], &[&str])] = &[
        // A start pattern matches at the beginning of the line, each alternative of it.
        ("a|b", "", &["a1", "xb", "b2", "xa"], &["a1\nxb", "b2\nxa"]),
        // Lines before the first match are a record.
        ("a", "", &["x", "y", "a"], &["x\ny", "a"]),
        // An empty line belongs to its record.
        ("a", "", &["a", "", "x"], &["a\n\nx"]),
        // An end pattern matches anywhere in the line; what no end follows is a record at last.
        ("", ";$", &["x", "y;", "z;", "w"], &["x\ny;", "z;", "w"]),
        ("(?i)error", "", &["ERROR x", "y"], &["ERROR x\ny"]),
        ("é", "", &["é", "e", "éa"], &["é\ne", "éa"]),
    ];
    for (start, end, lines, expected) in table {
        assert_eq!(join(&Joining::at(boundary(start, end, false)), lines.iter().copied()), *expected, "{start} {end}");
    }
}

#[test]
fn what_the_pattern_matched_is_left_out_on_request() {
    let start = Joining::at(boundary("--", "", true));
    assert_eq!(join(&start, ["--a", "b--", "--", "c"]), ["a\nb--", "\nc"]);
    let end = Joining::at(boundary("", "<EOM>", true));
    assert_eq!(join(&end, ["a", "b<EOM>", "c<EOM> "]), ["a\nb", "c "]);
}

#[test]
fn a_record_past_a_limit_is_split_between_lines_and_says_so() {
    let lines = ["a1", "2", "3", "4", "5", "a6"];
    let by_lines = Joining { max_lines: 2, ..at_start("a") };
    let by_bytes = Joining { max_bytes: 4, ..at_start("a") };
    let parts = [("a1\n2", Part::First), ("3\n4", Part::Middle), ("5", Part::Last), ("a6", Part::Whole)];
    let parts = parts.map(|(text, part)| (text.to_owned(), part));
    assert_eq!(join_parts(&by_lines, lines), parts);
    assert_eq!(join_parts(&by_bytes, lines)[..1], parts[..1]);
    // A line that alone is longer stays whole.
    let long = join_parts(&by_bytes, ["a12345", "6"]);
    assert_eq!(long, [("a12345".to_owned(), Part::First), ("6".to_owned(), Part::Last)]);
    assert_eq!(
        [Part::Whole, Part::First, Part::Middle, Part::Last].map(Part::name)[1..],
        [Some("first"), Some("middle"), Some("last")]
    );
}

#[test]
fn another_text_may_stand_between_the_lines() {
    let how = Joining { joiner: b" | ".to_vec(), ..at_start("a") };
    assert_eq!(join(&how, ["a", "b"]), ["a | b"]);
}

proptest! {
    #[test]
    fn every_line_is_in_one_record_in_order_whatever_comes(
        lines in proptest::collection::vec((0_usize..12, 0_u64..1_500), 0..60),
        (max_lines, end_pattern) in (1_usize..8, any::<bool>()),
    ) {
        let vocabulary = [
            "[2026-01-01] a", "[2026-01-01] b: Traceback (most recent call last):", "Traceback (most recent call last):",
            "  File \"a.py\", line 1, in f", "    f()", "ValueError: no", "", "text;", "  + Exception Group Traceback (most recent call last):",
            "  | ExceptionGroup: two", "    +------------------------------------",
            "During handling of the above exception, another exception occurred:",
        ];
        let boundary = if end_pattern { boundary("", ";$", false) } else { boundary(DATE, "", false) };
        let how = Joining { max_lines, ..Joining::at(boundary) };
        let (mut joiner, mut records, mut now) = (Joiner::default(), Vec::new(), Duration::ZERO);
        for (number, (line, pause)) in lines.iter().enumerate() {
            now += Duration::from_millis(*pause);
            joiner.expire(&how, now, &mut records);
            let line = vocabulary[*line].as_bytes();
            joiner.push(&how, Cow::Borrowed(line), Numbers(vec![number]), now, &mut records);
            let emitted: usize = records.iter().map(|record: &Joined<Numbers>| record.lines).sum();
            prop_assert_eq!(emitted + joiner.lines(), number + 1);
        }
        joiner.flush(&mut records);
        prop_assert!(records.iter().all(|record| record.carried.0.is_sorted() && record.lines <= max_lines));
        let mut numbers: Vec<usize> = records.into_iter().flat_map(|record| record.carried.0).collect();
        numbers.sort_unstable();
        prop_assert_eq!(numbers, (0..lines.len()).collect::<Vec<_>>());
    }
}

#[test]
fn options_that_cannot_be_used_say_where_and_why() {
    let problems = |start: &str, end: &str, path: &str| {
        let mut report = Report::new();
        assert!(Boundary::from_options(start, end, false, path, &mut report).is_none());
        let [problem] = report.problems() else { panic!("{report:?}") };
        (problem.path.clone(), problem.message.clone())
    };
    assert_eq!(problems("", "", "multiline").0, "multiline");
    assert_eq!(problems("a", "b", "").0, "line_end_pattern");
    let (path, message) = problems("a(", "", "multiline");
    assert_eq!(path, "multiline.line_start_pattern");
    assert_eq!(message, "not a regular expression: unclosed group (at its character 2)");
    assert_eq!(problems("", "a)(?:b", "").0, "line_end_pattern");
    assert_eq!(problems("a)(?:b", "", "").1, "not a regular expression: unopened group (at its character 2)");
}
