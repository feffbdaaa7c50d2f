use proptest::prelude::*;

use super::*;

/// Class and message of the exception of each traceback of a log.
fn found(log: &str) -> Vec<(String, String)> {
    let records = join(&at_start(DATE), log.lines());
    let exceptions = records.iter().filter_map(|text| exception(text));
    exceptions.map(|exception| (exception.class.to_owned(), exception.message.to_owned())).collect()
}

#[test]
fn the_last_exception_of_a_real_traceback_is_the_one() {
    let expected = [
        ("app.PaymentError", "order 7 failed"),
        ("ExceptionGroup", "sync failed (2 sub-exceptions)"),
        ("RecursionError", "maximum depth reached\nwhile walking the category tree"),
        ("ZeroDivisionError", "division by zero"),
        ("app.PaymentError", "order 41 failed"),
        ("SystemExit", "1"),
    ];
    let expected = expected.map(|(class, message)| (class.to_owned(), message.to_owned()));
    assert_eq!(found(SYNC), expected);
    assert_eq!(found(FIXTURES[1])[0].0, "ModuleNotFoundError");
    assert_eq!(
        found(FIXTURES[3])[0],
        ("ConnectionRefusedError".to_owned(), "[Errno 111] Connection refused".to_owned())
    );
}

#[test]
fn exceptions_of_all_forms_are_found() {
    const FRAMES: &str = "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    f()\n    ^^^\n";
    let table = [
        (format!("[x] failed\n{FRAMES}KeyboardInterrupt"), Some(("KeyboardInterrupt", ""))),
        (format!("{FRAMES}app.f.<locals>.Bad: a: b\n"), Some(("app.f.<locals>.Bad", "a: b"))),
        (format!("{FRAMES}ValueError:\nsecond line"), Some(("ValueError", "second line"))),
        (format!("{FRAMES}ValueError\nnote: about it"), Some(("ValueError", "note: about it"))),
        (format!("{FRAMES}Größe: é\r\n"), Some(("Größe", "é"))),
        (format!("[x] [ERROR] {FRAMES}KeyError: 'a'"), Some(("KeyError", "'a'"))),
        ("Traceback (most recent call last):\nOSError: 1".to_owned(), Some(("OSError", "1"))),
        (FRAMES.to_owned(), None),
        ("ValueError: no traceback".to_owned(), None),
        ("Traceback (most recent call last):".to_owned(), None),
        (String::new(), None),
    ];
    for (text, expected) in table {
        let found = exception(&text);
        assert_eq!(found.map(|found| (found.class, found.message)), expected, "{text}");
    }
}

#[test]
fn the_stack_trace_goes_from_the_first_header_to_the_end() {
    let text = "[x] [ERROR] Traceback (most recent call last):\n  File \"a.py\", line 1, in f\nA: 1\n\n\
        During handling of the above exception, another exception occurred:\n\n\
        Traceback (most recent call last):\n  File \"b.py\", line 2, in g\nB: 2\n";
    let found = exception(text).unwrap();
    assert_eq!((found.class, found.message), ("B", "2"));
    assert_eq!(found.stacktrace, text[12..].trim_end());
}

#[test]
fn a_group_that_led_to_another_exception_is_not_the_last() {
    let text = "  + Exception Group Traceback (most recent call last):\n  |   File \"a.py\", line 1, in f\n  | ExceptionGroup: one\n\
        \u{20}   +------------------------------------\n\nDuring handling of the above exception, another exception occurred:\n\n\
        Traceback (most recent call last):\n  File \"b.py\", line 2, in g\nB: 2\n";
    let found = exception(text).unwrap();
    assert_eq!((found.class, found.message), ("B", "2"));
    assert_eq!(found.stacktrace, text.trim_end());
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(Traceback \\(most recent call last\\):|  \\| |  File \"|[aé: ]|\n){0,20}") {
        let _ = exception(&text);
    }
}
