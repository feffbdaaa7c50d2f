//! Which records are dropped, and what becomes of their obligations.

use super::*;

const RULES: &str = r#"
rules:
- {type: exclude_at_match, name: health checks, pattern: '"GET /healthz'}
- {type: include_at_match, name: requests, pattern: HTTP/1}
- {type: mask_sequences, name: users, pattern: '(user=)\w+', replace_placeholder: '${1}[user]'}
"#;

#[test]
fn each_drop_is_counted_with_its_reason() {
    let lines = ["\"GET /healthz HTTP/1.1\"", "\"GET /?user=ann HTTP/1.1\"", "noise", "\"GET / HTTP/1.1\""];
    let (records, counters) = run(&mut filter(RULES), Batch::new(logs(lines.map(log).to_vec())));
    assert_eq!(texts(&records), ["\"GET /?user=[user] HTTP/1.1\"", "\"GET / HTTP/1.1\""]);
    assert_eq!(counters.dropped_by_reason(), [("excluded", 1), ("not_included", 1)].into());
}

#[test]
fn a_dropped_record_settles_its_share() {
    let outcome_of = |lines: &[&str]| {
        let (ack, mut outcome) = Ack::new();
        let counters = SignalCounters::default();
        let mut out = Emitter::new(&counters);
        let data = logs(lines.iter().map(|text| log(text)).collect());
        filter(RULES).process(Batch::with_ack(data, Some(ack)), &mut out);
        let rest = out.into_batches();
        assert!(outcome.try_recv().is_err(), "what stays is not delivered yet");
        rest.into_iter().for_each(|batch| batch.settle(Outcome::Durable));
        outcome.try_recv()
    };
    assert_eq!(outcome_of(&["HTTP/1"]), Ok(Outcome::Durable));
    assert_eq!(outcome_of(&["HTTP/1", "\"GET /healthz"]), Ok(Outcome::Dropped("excluded")));
}

#[test]
fn a_batch_of_which_nothing_stays_is_settled() {
    let (ack, mut outcome) = Ack::new();
    let batch = Batch::with_ack(logs(vec![log("noise"), log("more")]), Some(ack));
    let (records, counters) = run(&mut filter(RULES), batch);
    assert_eq!((records.len(), counters.dropped_for("not_included")), (0, 2));
    assert_eq!(outcome.try_recv(), Ok(Outcome::Dropped("not_included")));
}

#[test]
fn a_batch_that_nothing_changes_goes_on_as_it_is() {
    let data = logs(vec![log("\"GET / HTTP/1.1\"")]);
    let counters = SignalCounters::default();
    let mut out = Emitter::new(&counters);
    filter(RULES).process(Batch::new(data.clone()), &mut out);
    let batches = out.into_batches();
    let (Data::Logs(sent), Data::Logs(given)) = (batches[0].data(), &data) else { panic!("logs") };
    assert!(Arc::ptr_eq(sent, given), "nothing is copied");
}

#[test]
fn typed_bodies_and_attributes_are_looked_at_too() {
    let rules = r"
        rules:
        - {type: exclude_at_match, name: noise, pattern: noise}
        - {type: mask_sequences, name: secrets, pattern: secret, replace_placeholder: x}
        masks: [email_addresses]
    ";
    let map = |text: &str| Value::Map(vec![("n".to_owned(), Value::Array(vec![Value::Int(1), Value::from(text)]))]);
    let typed = |text: &str| Log { body: Body::Value(map(text)), ..log("") };
    let attributes =
        vec![("a".to_owned(), Value::from("noise, a secret of ann@example.com")), ("n".to_owned(), Value::Int(1))];
    let with_attributes = Log { attributes, ..log("plain") };
    let records = vec![typed("noise"), typed("a secret"), typed("plain"), with_attributes];
    let (records, counters) = run(&mut filter(rules), Batch::new(logs(records)));
    assert_eq!(counters.dropped_for("excluded"), 1, "attributes are no reason to drop a record");
    assert_eq!(records[..2], [typed("a x"), typed("plain")]);
    assert_eq!(records[2].attributes[0].1, Value::from("noise, a x of [masked]"));
}

#[test]
fn rules_that_cannot_be_used_say_where_and_why() {
    let problems = |text: &str| {
        let mut report = Report::new();
        config(text).validate(&mut report);
        report.problems().iter().map(|problem| problem.path.clone()).collect::<Vec<_>>()
    };
    assert_eq!(problems("{rules: [{type: multi_line, name: a, pattern: a}]}"), ["rules.0.type"]);
    assert_eq!(problems("{rules: [{type: exclude_at_match, pattern: '('}]}"), ["rules.0.name", "rules.0.pattern"]);
    assert!(problems(RULES).is_empty());
}
