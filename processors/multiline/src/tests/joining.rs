//! Which lines become one record, and what becomes of their obligations.

use super::*;

#[test]
fn a_record_of_lines_from_several_batches_settles_each_of_them() {
    let mut bench = Bench::new(DATES);
    let (acks, mut outcomes): (Vec<_>, Vec<_>) = (0..4).map(|_| Ack::new()).unzip();
    let batches = [
        &["[2026-01-01] whole", "[2026-01-01] failed"][..],
        &["Traceback (most recent call last):"],
        &["ValueError: no", "[2026-01-01] next"],
        &["[2026-01-01] last"],
    ];
    let mut emitted = Vec::new();
    for (batch, ack) in batches.iter().zip(acks) {
        emitted.push(bench.process(Batch::with_ack(lines(batch), Some(ack))));
    }
    let open: Vec<_> = outcomes.iter_mut().map(|outcome| outcome.try_recv().is_err()).collect();
    assert_eq!(open, [true; 4], "nothing is settled before it is delivered");
    assert_eq!(bench.held(), 1);
    let [first, second, third, fourth] = <[Vec<Batch>; 4]>::try_from(emitted).unwrap();
    assert_eq!((texts(&first), texts(&second)), (vec!["[2026-01-01] whole".to_owned()], vec![]));
    assert_eq!(texts(&third), ["[2026-01-01] failed\nTraceback (most recent call last):\nValueError: no"]);
    assert_eq!(texts(&fourth), ["[2026-01-01] next"]);

    first.into_iter().for_each(|batch| batch.settle(Outcome::Delivered));
    assert!(outcomes[0].try_recv().is_err(), "its last line waits for the joined record");
    third.into_iter().for_each(|batch| batch.settle(Outcome::Durable));
    assert_eq!(outcomes[0].try_recv(), Ok(Outcome::Durable));
    assert_eq!(outcomes[1].try_recv(), Ok(Outcome::Durable));
    assert!(outcomes[2].try_recv().is_err(), "`next` went out with the batch behind it");
    fourth.into_iter().for_each(|batch| batch.settle(Outcome::Dropped("queue_full")));
    assert_eq!(outcomes[2].try_recv(), Ok(Outcome::Dropped("queue_full")));
    assert!(outcomes[3].try_recv().is_err(), "its line is held");
    bench.flush().into_iter().for_each(|batch| batch.settle(Outcome::Delivered));
    assert_eq!(outcomes[3].try_recv(), Ok(Outcome::Delivered));
}

#[test]
fn what_is_held_when_the_processor_is_lost_is_not_delivered() {
    let mut bench = Bench::new(DATES);
    let (ack, mut outcome) = Ack::new();
    assert!(bench.process(Batch::with_ack(lines(&["[2026-01-01] a"]), Some(ack))).is_empty());
    drop(bench);
    assert_eq!(outcome.try_recv(), Ok(Outcome::Lost));
}

#[test]
fn files_hosts_and_named_writers_are_told_apart() {
    let mut bench = Bench::new(DATES);
    let on = |stream: &str, text: &str| {
        let attributes = vec![("log.iostream".to_owned(), Value::from(stream))];
        Log { attributes, ..line("/a.log", text) }
    };
    let records = vec![
        line("/a.log", "[2026-01-01] a"),
        line("/b.log", "[2026-01-01] b"),
        on("stderr", "[2026-01-01] err"),
        on("stdout", "[2026-01-01] out"),
        line("/a.log", "more a"),
        on("stderr", "more err"),
        line("/b.log", "more b"),
        on("stdout", "more out"),
        // No file, but a writer.
        Log { source: Arc::default(), ..on("stderr", "[2026-01-01] container") },
        Log { source: Arc::default(), ..on("stderr", "more container") },
    ];
    let mut resource = Resource::default();
    resource.set(Resource::HOST_NAME, "other");
    let elsewhere = LogBatch {
        resource: Arc::new(resource),
        scope: Arc::default(),
        records: vec![line("/a.log", "[2026-01-01] z")],
    };
    assert!(bench.process(Batch::new(logs(records))).is_empty());
    assert!(bench.process(Batch::new(elsewhere)).is_empty());
    let batches = bench.flush();
    let mut joined = texts(&batches);
    joined.sort_unstable();
    let names = ["a", "b", "container", "err", "out"].map(|name| format!("[2026-01-01] {name}\nmore {name}"));
    assert_eq!(joined[..5], names);
    assert_eq!(joined[5], "[2026-01-01] z");
    let hosts = batches.iter().filter_map(|batch| match batch.data() {
        Data::Logs(logs) => Some((logs.resource.host().map(str::to_owned), logs.records.len())),
        Data::Metrics(_) => None,
    });
    let mut hosts: Vec<_> = hosts.collect();
    hosts.sort_unstable();
    assert_eq!(hosts.iter().filter(|(host, _)| host.is_some()).collect::<Vec<_>>(), [&(Some("other".to_owned()), 1)]);
}

#[test]
fn records_without_a_file_pass_as_they_are() {
    let mut bench = Bench::new(DATES);
    let data = logs(vec![line("", "[2026-01-01] a"), line("", "more")]);
    let out = bench.process(Batch::new(data.clone()));
    let (Data::Logs(sent), Data::Logs(given)) = (out[0].data(), &data) else { panic!("logs") };
    assert!(Arc::ptr_eq(sent, given), "the batch is not even copied");
    // Among others they keep their place.
    let typed = Log { body: Body::Value(Value::Int(7)), ..line("/a.log", "") };
    let mixed =
        logs(vec![line("/a.log", "[2026-01-01] a"), line("", "event"), typed, line("/a.log", "[2026-01-01] b")]);
    let out = bench.process(Batch::new(mixed));
    let Data::Logs(sent) = out[0].data() else { panic!("logs") };
    assert_eq!(
        sent.records.iter().map(|log| log.body.clone()).collect::<Vec<_>>(),
        [Body::Text("event".into()), Body::Value(Value::Int(7)), Body::Text("[2026-01-01] a".into()),]
    );
}

#[test]
fn the_first_line_gives_the_record_its_attributes_and_times() {
    let mut bench = Bench::new(DATES);
    let first = Log {
        attributes: vec![("process.pid".to_owned(), Value::Int(7))],
        time: Timestamp::from_secs(5),
        ..line("/a.log", "[2026-01-01] a")
    };
    bench.process(Batch::new(logs(vec![first.clone(), line("/a.log", "more")])));
    let out = bench.flush();
    let Data::Logs(sent) = out[0].data() else { panic!("logs") };
    assert_eq!(sent.records, [Log { body: Body::Text("[2026-01-01] a\nmore".into()), ..first }]);
}

#[test]
fn bytes_that_are_not_valid_text_are_joined_as_they_are() {
    let mut bench = Bench::new(DATES);
    let bytes = Log { body: Body::from_bytes(vec![0xff]), ..line("/a.log", "") };
    bench.process(Batch::new(logs(vec![line("/a.log", "[2026-01-01] a"), bytes])));
    let out = bench.flush();
    let Data::Logs(sent) = out[0].data() else { panic!("logs") };
    assert_eq!(sent.records[0].body, Body::Bytes((*b"[2026-01-01] a\n\xff").into()));
}

#[tokio::test]
async fn an_unfinished_record_goes_out_after_the_timeout() {
    let mut bench = Bench::new(&format!("{DATES}\ntimeout: 400ms"));
    assert_eq!(bench.processor.tick_interval(), Some(Duration::from_millis(100)));
    bench.process(Batch::new(lines(&["[2026-01-01] a", "more"])));
    bench.time.advance(Duration::from_millis(399)).await;
    assert!(bench.tick().is_empty());
    bench.time.set_unix(Timestamp::from_secs(1));
    bench.time.advance(Duration::from_millis(1)).await;
    assert_eq!(texts(&bench.tick()), ["[2026-01-01] a\nmore"]);
    assert_eq!(bench.held(), 0);
}

#[test]
fn a_record_past_a_limit_is_split_and_its_parts_say_so() {
    let mut bench = Bench::new(&format!("{DATES}\nmax_lines: 2"));
    bench.process(Batch::new(lines(&["[2026-01-01] a", "b", "c"]))).into_iter().for_each(|batch| {
        let Data::Logs(sent) = batch.data() else { panic!("logs") };
        assert_eq!(sent.records[0].attributes, [("log.record.part".to_owned(), Value::from("first"))]);
    });
    let out = bench.flush();
    let Data::Logs(sent) = out[0].data() else { panic!("logs") };
    assert_eq!(sent.records[0].attributes, [("log.record.part".to_owned(), Value::from("last"))]);
}

#[test]
fn very_many_files_and_very_long_records_do_not_pile_up() {
    let mut bench = Bench::new(DATES);
    let out =
        bench.process(Batch::new(logs((0..1_001).map(|file| line(&format!("/{file}"), "[2026-01-01] a")).collect())));
    assert_eq!((texts(&out).len(), bench.held()), (1_001, 0));
    let mut bench = Bench::new(&format!("{DATES}\nmax_bytes: 1GiB"));
    let long = "x".repeat(1 << 20);
    let mut sent = 0;
    for _ in 0..40 {
        sent += texts(&bench.process(Batch::new(lines(&[&long])))).len();
        assert!(bench.held() <= 17);
    }
    assert_eq!(sent, 2);
}
