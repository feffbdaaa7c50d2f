use super::*;
use crate::time::{Layout, Times, of_access_log};

fn usual(text: &str) -> Option<u64> {
    Times::Usual.parse(text).map(Timestamp::as_nanos)
}

#[test]
fn usual_times_are_read() {
    const S: u64 = 1_000_000_000;
    let table = [
        ("2026-11-22 00:00:00 +0000", Some(DAY * S)),
        ("2026-11-22T00:00:00Z", Some(DAY * S)),
        ("2026-11-22 00:00:00", Some(DAY * S)),
        ("2026-11-22 02:00:00 +0200", Some(DAY * S)),
        ("2026-11-21T18:30:00-05:30", Some(DAY * S)),
        ("2026-11-22 00:00:00,123", Some(DAY * S + 123_000_000)),
        ("2026-11-22T00:00:00.123456789012Z", Some(DAY * S + 123_456_789)),
        ("2024-02-29 00:00:00", Some(1_709_164_800 * S)),
        ("2000-03-01 00:00:00", Some(951_868_800 * S)),
        ("1970-01-01 00:00:00", Some(0)),
        ("1795305600", Some(DAY * S)),
        ("1795305600.5", Some(DAY * S + S / 2)),
        ("1795305600000", Some(DAY * S)),
        ("1795305600000000", Some(DAY * S)),
        ("1795680000123", Some(1_795_680_000_123_000_000)),
        ("1795680000123456789", Some(1_795_680_000_123_456_789)),
        ("100000000", Some(100_000_000 * S)),
        ("0", None),
        ("12", None),
        ("0.005", None),
        ("99999999.9", None),
        ("1969-12-31 23:59:59", None),
        ("2026-00-22 00:00:00", None),
        ("2026-11-32 00:00:00", None),
        ("2026-02-29 00:00:00", None),
        ("2026-02-31 00:00:00", None),
        ("1900-02-29 00:00:00", None),
        ("2100-02-29 00:00:00", None),
        ("2026-04-31 00:00:00", None),
        ("2026-11-22 24:00:00", None),
        ("2026-11-22 00:00:00 x", None),
        ("2026-11-22 00:00:00.", None),
        ("2026-11-22", None),
        ("9999-12-31 00:00:00", None),
        ("-5", None),
        ("inf", None),
        ("NaN", None),
        ("1e300", None),
        ("", None),
    ];
    for (text, expected) in table {
        assert_eq!(usual(text), expected, "{text}");
    }
}

#[test]
fn times_of_access_logs_are_read() {
    let read = |text: &str| of_access_log(text.as_bytes()).map(Timestamp::as_secs);
    assert_eq!(read("22/Nov/2026:10:36:02 +0000"), Some(DAY + 38_162));
    assert_eq!(read("22/Nov/2026:10:36:02 -0130"), Some(DAY + 38_162 + 5_400));
    for odd in [
        "22/Nvo/2026:10:36:02 +0000",
        "2/Nov/2026:10:36:02 +0000",
        "22/Nov/2026:10:36:02",
        "22/Nov/2026:10:36:02 +0000 ",
    ] {
        assert_eq!(read(odd), None, "{odd}");
    }
}

#[test]
fn layouts_are_those_of_strptime() {
    let table = [
        ("%d/%b/%Y:%H:%M:%S %z", "22/Nov/2026:00:00:07 +0000", Some(7)),
        ("%a %b %e %T %Y", "Sun Nov 22 00:00:07 2026", Some(7)),
        ("%F %T.%f", "2026-11-22 00:00:07.9", Some(7)),
        ("%m/%d/%y %I:%M %p", "11/22/26 12:07 am", Some(420)),
        ("%m/%d/%y %I:%M %p", "11/22/26 1:07 PM", Some(13 * 3600 + 420)),
        ("100%% %F", "100% 2026-11-22", Some(0)),
        ("%F", "2026-11-22 more", None),
        ("%F %p", "2026-11-22 xm", None),
    ];
    for (layout, text, expected) in table {
        let times = Times::Layout(Layout::new(layout).unwrap());
        assert_eq!(times.parse(text).map(|time| time.as_secs() - DAY), expected, "{layout} on {text}");
    }
    assert_eq!(Times::Layout(Layout::new("%s.%L").unwrap()).parse("7.5"), Some(Timestamp::from_nanos(7_500_000_000)));
    for bad in ["%Q", "%Y %", "%H:%M", ""] {
        assert!(Layout::new(bad).is_err(), "{bad}");
    }
}
