use super::*;
use hornpipe_model::Severity;
use proptest::prelude::*;

const LOGS: [&str; 4] = [
    include_str!("../../tests/fixtures/sync.access.log"),
    include_str!("../../tests/fixtures/gevent.access.log"),
    include_str!("../../tests/fixtures/old-19.9.0.access.log"),
    include_str!("../../tests/fixtures/uvicorn-worker.access.log"),
];

#[test]
fn every_line_of_real_access_logs_is_read() {
    let parse = parser("{type: gunicorn_access}");
    for line in LOGS.iter().flat_map(|log| log.lines()) {
        let record = parsed(&parse, line).unwrap_or_else(|| panic!("{line}"));
        let status = record.attributes.iter().find(|(key, _)| key == "http.response.status_code");
        assert!(matches!(status, Some((_, Value::Int(100..600)))), "{line}");
    }
}

#[test]
fn a_line_becomes_attributes_by_the_semantic_conventions() {
    let parse = parser("{type: gunicorn_access}");
    let line = concat!(
        "10.0.0.7 - ann [22/Nov/2026:10:36:29 +0100] \"POST /ok?user=1&q=a%20b HTTP/1.1\" 404 5 ",
        "\"http://shop.example/cart?x=\\\"1\\\"\" \"Mozilla/5.0 (X11) \\\"quoted\\\"\""
    );
    let record = parsed(&parse, line).unwrap();
    assert_eq!(record.time, Timestamp::from_secs(DAY + 9 * 3600 + 36 * 60 + 29));
    assert_eq!((record.severity, &*record.severity_text), (Severity::WARN, ""));
    assert_eq!(
        attributes(&record),
        [
            "client.address=10.0.0.7",
            "http.request.header.referer=[\"http://shop.example/cart?x=\\\"1\\\"\"]",
            "http.request.method=POST",
            "http.response.body.size=5",
            "http.response.status_code=404",
            "network.protocol.version=1.1",
            "url.path=/ok",
            "url.query=user=1&q=a%20b",
            "user.name=ann",
            "user_agent.original=Mozilla/5.0 (X11) \"quoted\"",
        ]
    );
}

#[test]
fn the_usual_formats_are_told_apart() {
    let parse = parser("{type: gunicorn_access}");
    let start = "127.0.0.1 - - [22/Nov/2026:10:36:02 +0000] \"GET / HTTP/1.1\"";
    let table: [(&str, Option<&[&str]>); 12] = [
        ("200 3", Some(&["http.response.body.size=3", "http.response.status_code=200"])),
        ("200 -", Some(&["http.response.status_code=200"])),
        ("200 3 \"-\" \"-\"", Some(&["http.response.body.size=3", "http.response.status_code=200"])),
        // As Datadog's own pipeline: more may follow.
        (
            "200 3 \"-\" \"curl\" \"10.1.1.1\" x",
            Some(&["http.response.body.size=3", "http.response.status_code=200", "user_agent.original=curl"]),
        ),
        ("200 3 x", Some(&["http.response.body.size=3", "http.response.status_code=200"])),
        // A reason behind the status would be another field.
        ("OK 3", None),
        ("99 3", None),
        ("200 many", None),
        ("200", None),
        ("", None),
        ("200 3\"", None),
        (
            "200 3 \"-\" \"a\\\\\"",
            Some(&["http.response.body.size=3", "http.response.status_code=200", "user_agent.original=a\\\\"]),
        ),
    ];
    for (rest, expected) in table {
        let found = parsed(&parse, &format!("{start} {rest}"));
        let others =
            ["client.address=127.0.0.1", "http.request.method=GET", "network.protocol.version=1.1", "url.path=/"];
        let found = found.map(|record| {
            attributes(&record).into_iter().filter(|found| !others.contains(&found.as_str())).collect::<Vec<_>>()
        });
        assert_eq!(found, expected.map(|list| list.iter().map(ToString::to_string).collect()), "{rest}");
    }
    let uvicorn = parsed(&parse, "[::1]:49444 - \"GET /ok HTTP/1.1\" 500").unwrap();
    assert_eq!(attributes(&uvicorn)[..2], ["client.address=::1", "client.port=49444"]);
    assert_eq!((uvicorn.time, uvicorn.severity), (Timestamp::UNKNOWN, Severity::ERROR));
    // Behind a Unix socket the address is empty.
    assert!(parsed(&parse, " - - [22/Nov/2026:10:36:02 +0000] \"GET / HTTP/1.1\" 200 3 \"-\" \"-\"").is_some());
    assert!(parsed(&parse, "[2026-11-22 10:36:02 +0000] [7] [INFO] Booting worker").is_none());
}

#[test]
fn odd_requests_are_read_as_far_as_they_go() {
    let parse = parser("{type: gunicorn_access}");
    let table: [(&str, &[&str]); 6] = [
        (
            "FOO / HTTP/1.1",
            &[
                "http.request.method=_OTHER",
                "http.request.method_original=FOO",
                "network.protocol.version=1.1",
                "url.path=/",
            ],
        ),
        (
            "GET http://a.example/x?y HTTP/1.1",
            &["http.request.method=GET", "network.protocol.version=1.1", "url.full=http://a.example/x?y"],
        ),
        ("OPTIONS * HTTP/1.0", &["http.request.method=OPTIONS", "network.protocol.version=1.0", "url.path=*"]),
        (
            "GET /a b?c HTTP/2",
            &["http.request.method=GET", "network.protocol.version=2", "url.path=/a b", "url.query=c"],
        ),
        ("-", &[]),
        ("\\x16\\x03", &[]),
    ];
    for (request, expected) in table {
        let line = format!("- - - [22/Nov/2026:10:36:02 +0000] \"{request}\" 302 -");
        let record = parsed(&parse, &line).unwrap();
        let found = attributes(&record);
        let found: Vec<_> = found.iter().filter(|found| !found.starts_with("http.response")).collect();
        assert_eq!(found, *expected, "{request}");
    }
}

#[test]
fn a_custom_format_is_read_with_all_its_atoms() {
    let parse = parser(
        r#"{type: gunicorn_access, access_log_format: '%(p)s|%(h)s %(t)s %(m)s %(U)s?%(q)s %(H)s %(s)s %(B)s "%(f)s" T=%(T)s M=%(M)s D=%(D)s L=%(L)s id="%({X-Request-ID}i)s" type=%({content-type}o)s 100%% "%({wsgi.url_scheme}e)s" %(l)s'}"#,
    );
    let line = concat!(
        "<42>|10.0.0.7 [22/Nov/2026:10:36:29 +0000] GET /a?b=c HTTP/1.1 200 17 \"-\" T=1 M=1500 D=1500250 L=1.500250 ",
        "id=\"r-1\" type=text/html 100% \"https\" - and more"
    );
    let record = parsed(&parse, line).unwrap();
    assert_eq!(
        attributes(&record),
        [
            "client.address=10.0.0.7",
            "http.request.header.x-request-id=[\"r-1\"]",
            "http.request.method=GET",
            "http.response.body.size=17",
            "http.response.header.content-type=[\"text/html\"]",
            "http.response.status_code=200",
            "http.server.request.duration=Double(1.50025)",
            "network.protocol.version=1.1",
            "process.pid=42",
            "url.path=/a",
            "url.query=b=c",
            "wsgi.environ.wsgi.url_scheme=https",
        ]
    );
    assert!(parsed(&parse, &line.replace("M=1500", "M=x")).is_none());
    let short = parser("{type: gunicorn_access, access_log_format: '%(s)s %(M)sms'}");
    assert_eq!(attributes(&parsed(&short, "200 12ms").unwrap())[1], "http.server.request.duration=Double(0.012)");
    assert!(parsed(&short, "200 12ms more").is_none(), "a format of one's own describes the whole line");
}

#[test]
fn a_value_that_ends_with_a_backslash_does_not_hide_the_end() {
    let parse = parser(r#"{type: gunicorn_access, access_log_format: '"%(a)s" %(s)s'}"#);
    let found = |line: &str| parsed(&parse, line).map(|record| attributes(&record)[1].clone());
    assert_eq!(found(r#""a\" 200"#).as_deref(), Some(r"user_agent.original=a\"));
    assert_eq!(found(r#""a\" 1\" b" 200"#).as_deref(), Some(r#"user_agent.original=a" 1" b"#));
}

proptest! {
    #[test]
    fn no_line_makes_the_parser_panic(line in "[ -~é\\[\\]\"\\\\]{0,80}") {
        let parse = parser("{type: gunicorn_access}, {type: gunicorn_error}, {type: json}");
        let _ = parsed(&parse, &line);
    }

    #[test]
    fn what_gunicorn_writes_is_read_back(
        path in "/[a-z%0-9]{0,20}",
        agent in "[ -~é]{1,40}",
        status in 100_u16..600,
        size in 0_u32..1_000_000,
    ) {
        // As `SafeAtoms` of Gunicorn writes it.
        let escaped = agent.replace('"', "\\\"");
        let line = format!("::1 - - [22/Nov/2026:10:36:02 +0000] \"GET {path} HTTP/1.1\" {status} {size} \"-\" \"{escaped}\"");
        let record = parsed(&parser("{type: gunicorn_access}"), &line).unwrap();
        let get = |key: &str| record.attributes.iter().find(|(found, _)| found == key).map(|(_, value)| value.clone());
        prop_assert_eq!(get("url.path"), Some(Value::String(path)));
        prop_assert_eq!(get("http.response.status_code"), Some(Value::Int(status.into())));
        prop_assert_eq!(get("http.response.body.size"), Some(Value::Int(size.into())));
        if agent != "-" && !agent.contains('\\') && !agent.contains('"') {
            prop_assert_eq!(get("user_agent.original"), Some(Value::String(agent)));
        }
    }
}
