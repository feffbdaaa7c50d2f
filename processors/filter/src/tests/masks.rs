//! What the ready masks find, and what they leave alone.

use super::*;

fn check(mask: &str, table: &[(&str, &str)]) {
    let mut filter = filter(&format!("masks: [{mask}]"));
    for (text, expected) in table {
        assert_eq!(masked(&mut filter, text), *expected, "{mask} on {text}");
    }
}

#[test]
fn tokens_of_authorization_are_masked() {
    check(
        "bearer_tokens",
        &[
            ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer [masked]"),
            ("'authorization': 'Basic dXNlcjpwYXNz'", "'authorization': 'Basic [masked]'"),
            ("{\"Authorization\":\"Token x1\",\"a\":1}", "{\"Authorization\":\"Token [masked]\",\"a\":1}"),
            ("authorization=opaque; b", "authorization=[masked]; b"),
            ("sent bearer ABCDEFGHIJKLMNOP0123== today", "sent bearer [masked] today"),
            ("Bearer authentication failed", "Bearer authentication failed"),
            ("the basics of it", "the basics of it"),
            ("t=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln.", "t=[masked]."),
            ("eyJ is no token", "eyJ is no token"),
        ],
    );
}

#[test]
fn keys_and_passwords_are_masked() {
    check(
        "api_keys",
        &[
            ("GET /?api_key=0123&x=1", "GET /?api_key=[masked]&x=1"),
            ("DD-API-KEY: 0123456789abcdef", "DD-API-KEY: [masked]"),
            ("X-Api-Key=\"k\" ok", "X-Api-Key=\"[masked]\" ok"),
            ("{'password': 'hunter2', 'user': 'ann'}", "{'password': '[masked]', 'user': 'ann'}"),
            ("client_secret=s access_token=t", "client_secret=[masked] access_token=[masked]"),
            ("aws AKIAIOSFODNN7EXAMPLE used", "aws [masked] used"),
            ("ghp_0123456789abcdefghij0123456789abcdef", "[masked]"),
            ("the password is wrong", "the password is wrong"),
            // Quoted to the closing mark, escapes included.
            (r#"password = "hunter two" ok"#, r#"password = "[masked]" ok"#),
            (r#"{"password":"hun\"ter2","a":1}"#, r#"{"password":"[masked]","a":1}"#),
            (r"{'password': 'it\'s, mine', 'a': 1}", r"{'password': '[masked]', 'a': 1}"),
            (
                r#"{"body":"{\"password\": \"hun ter\", \"a\": 1}"}"#,
                r#"{"body":"{\"password\": \"[masked]\", \"a\": 1}"}"#,
            ),
            (r#"{"b":"{\"password\":\"hun\\\"ter\",\"a\":1}"}"#, r#"{"b":"{\"password\":\"[masked]\",\"a\":1}"}"#),
            // JSON stays JSON.
            (r#"{"password": 1234, "api_key":null}"#, r#"{"password": "[masked]", "api_key":"[masked]"}"#),
            (r#"{"session_token": ["a","b]"], "n": 1}"#, r#"{"session_token": ["[masked]"], "n": 1}"#),
            (r#"{"b":"{\"password\":1,\"n\":1}"}"#, r#"{"b":"{\"password\":\"[masked]\",\"n\":1}"}"#),
            ("{'password': None, 'a': 1}", "{'password': '[masked]', 'a': 1}"),
            ("password=\"cut off here\nnext line", "password=\"[masked]\nnext line"),
            ("password=\"\" user=ann", "password=\"\" user=ann"),
            // Encoded, quoted without a sign, and names that have to be told from words.
            ("next=%2Fcb%3Fclient_secret%3DZZZ9%26x%3D1", "next=%2Fcb%3Fclient_secret%3D[masked]%26x%3D1"),
            ("password=a%26b&x=1", "password=[masked]&x=1"),
            ("with api-key \"zzz\" sent", "with api-key \"[masked]\" sent"),
            (
                "refresh_token=r id_token=i csrf-token: c",
                "refresh_token=[masked] id_token=[masked] csrf-token: [masked]",
            ),
            (r#"{"token":"tok123456","n":1}"#, r#"{"token":"[masked]","n":1}"#),
            ("{'secret': 'open sesame'}", "{'secret': '[masked]'}"),
            ("token: abc123secret used", "token: [masked] used"),
            ("secret=abc123&x=1", "secret=[masked]&x=1"),
            ("pwd=qq123", "pwd=[masked]"),
            ("secret: \"two words\"", "secret: \"[masked]\""),
            ("token: expired", "token: expired"),
            ("Unexpected token: \"}\" in line 12", "Unexpected token: \"}\" in line 12"),
            ("token: v2", "token: v2"),
            ("token=12345678", "token=12345678"),
            ("PWD=/srv/app1/current", "PWD=/srv/app1/current"),
            ("max_tokens=4096 tokens: 1024k", "max_tokens=4096 tokens: 1024k"),
            ("error=\"invalid_token\", realm=\"a1\"", "error=\"invalid_token\", realm=\"a1\""),
            ("invalid_token: The access token expired", "invalid_token: The access token expired"),
            ("a secret: nobody knows", "a secret: nobody knows"),
            ("the password \"field\" is empty", "the password \"field\" is empty"),
            ("passwords are 100% safe", "passwords are 100% safe"),
            ("key: value", "key: value"),
            ("monkey=1", "monkey=1"),
        ],
    );
}

#[test]
fn addresses_and_credentials_in_urls_are_masked() {
    check(
        "email_addresses",
        &[
            ("mail to ann.lee+x@mail.example.com, sent", "mail to [masked], sent"),
            ("<zoë@müller.example>", "<[masked]>"),
            ("user@localhost", "user@localhost"),
            ("@decorator and a @ b.com", "@decorator and a @ b.com"),
        ],
    );
    check(
        "url_credentials",
        &[
            ("connect postgres://app:s3cr3t@db:5432/x", "connect postgres://[masked]@db:5432/x"),
            (
                "https://token@git.example/x and https://b.example/@me",
                "https://[masked]@git.example/x and https://b.example/@me",
            ),
            ("redis://:p@ss@cache/0", "redis://[masked]@cache/0"),
            ("http://example.com/?q=a@b.c", "http://example.com/?q=a@b.c"),
            ("postgres://user:pa/ss@host/db", "postgres://[masked]@host/db"),
            ("postgres://user:1a?s#s@host/db", "postgres://[masked]@host/db"),
            ("http://example.com:8080/?q=a@b.c", "http://example.com:8080/?q=a@b.c"),
            ("http://[::1]:8080/a@b", "http://[::1]:8080/a@b"),
            ("see http://a.example/x: mail me@b.example", "see http://a.example/x: mail me@b.example"),
        ],
    );
    check("url_credentials, email_addresses", &[("amqp://u:p@mq.example.com/", "amqp://[masked]@mq.example.com/")]);
}

#[test]
fn card_numbers_are_told_from_other_numbers() {
    check(
        "card_numbers",
        &[
            ("paid with 4111111111111111.", "paid with [masked]."),
            ("4111 1111 1111 1111", "[masked]"),
            ("4111-1111-1111-1111 exp 12", "[masked] exp 12"),
            ("4111 1111 1111 1111 200", "[masked] 200"),
            ("5555555555554444,378282246310005", "[masked],[masked]"),
            ("3782 822463 10005", "[masked]"),
            ("3056 930902 5904", "[masked]"),
            ("6011111111111117 2223003122003222", "[masked] [masked]"),
            // No check digit, no brand, no form of a card number.
            ("4111111111111112", "4111111111111112"),
            ("1764150962123456789 1764150962123", "1764150962123456789 1764150962123"),
            ("9111111111111111", "9111111111111111"),
            ("x4111111111111111", "x4111111111111111"),
            ("41 11 11 11 11 11 11 11", "41 11 11 11 11 11 11 11"),
            (
                "127.0.0.1 - - [22/Nov/2026:10:36:02 +0000] \"GET / HTTP/1.1\" 200 3",
                "127.0.0.1 - - [22/Nov/2026:10:36:02 +0000] \"GET / HTTP/1.1\" 200 3",
            ),
        ],
    );
}

#[test]
fn bytes_that_are_not_valid_text_are_masked_too() {
    let mut filter = filter("masks: [email_addresses, card_numbers]");
    let bytes = Log { body: Body::from_bytes(b"\xff a@example.com 4111111111111111 \xfe".to_vec()), ..log("") };
    let (records, _) = run(&mut filter, Batch::new(logs(vec![bytes])));
    assert_eq!(records[0].body, Body::Bytes((*b"\xff [masked] [masked] \xfe").into()));
    let mut filter = super::filter("masks: [api_keys]");
    let bytes = Log {
        body: Body::from_bytes(b"password='h\xff\xc3x' secret_key=\xffq passwd=\"caf\xe9 au\"".to_vec()),
        ..log("")
    };
    let (records, _) = run(&mut filter, Batch::new(logs(vec![bytes])));
    assert_eq!(
        records[0].body,
        Body::from_bytes(b"password='[masked]' secret_key=[masked] passwd=\"[masked]\"".to_vec())
    );
}

#[test]
fn a_real_access_log_is_left_alone() {
    let mut filter = filter("masks: [bearer_tokens, api_keys, email_addresses, card_numbers, url_credentials]");
    for line in include_str!("../../tests/fixtures/sync.access.log").lines() {
        assert_eq!(masked(&mut filter, line), line);
    }
}

#[test]
fn attributes_under_the_name_of_a_secret_are_masked_whatever_they_hold() {
    let mut filter = filter("masks: [bearer_tokens, api_keys]");
    let map = |pairs: &[(&str, Value)]| {
        Value::Map(pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
    };
    let masked = || Value::from("[masked]");
    for (key, value, expected) in [
        ("password", Value::from("hunter two"), masked()),
        ("http.request.header.authorization", Value::Array(vec![Value::from("x y")]), masked()),
        ("PIN_Secret_Key", Value::Int(4), masked()),
        (
            "user",
            map(&[("api_key", Value::from("k")), ("n", Value::Int(1))]),
            map(&[("api_key", masked()), ("n", Value::Int(1))]),
        ),
        ("token_count", Value::from("5"), Value::from("5")),
        ("tokens", Value::from("a"), Value::from("a")),
        ("has_password", Value::Bool(true), Value::Bool(true)),
    ] {
        let record = Log { attributes: vec![(key.to_owned(), value)], ..log("") };
        let (records, _) = run(&mut filter, Batch::new(logs(vec![record])));
        assert_eq!(records[0].attributes[0].1, expected, "{key}");
    }
}
