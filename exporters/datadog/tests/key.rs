//! The API key: validated, refused, and changed while the exporter runs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hornpipe_datadog_exporter::DatadogConfig;
use hornpipe_engine::component::{Exporter, ExporterConfig, Request, SendOutcome};
use hornpipe_engine::config::ProcessEnvironment;
use hornpipe_engine::telemetry::{ComponentKind, ComponentTelemetry, Status};
use hornpipe_engine::testing::{
    Behaviour, FakeClock, FakeDatadog, build_context, eventually, numbered_metrics, settings,
};
use http::StatusCode;

const OLD_KEY: &str = "ffffffffffffffffffffffffff01a2b3";
const NEW_KEY: &str = FakeDatadog::API_KEY;

/// An exporter whose background work runs, and all around it.
struct Bench {
    clock: FakeClock,
    intake: FakeDatadog,
    exporter: Arc<dyn Exporter>,
    telemetry: Arc<ComponentTelemetry>,
    background: tokio::task::JoinHandle<()>,
}

impl Bench {
    /// With a key as the settings have it, which may be a reference.
    async fn start(key: &str) -> Self {
        let clock = FakeClock::new();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let intake = FakeDatadog::start_at(listener, clock.clock());
        let yaml = format!("api: {{key: \"{key}\"}}\nmetrics: {{endpoint: \"{}\"}}\n", intake.url());
        let config: DatadogConfig = settings(&yaml, &ProcessEnvironment).unwrap();
        let context = build_context(ComponentKind::Exporter, "datadog", &clock);
        let telemetry = Arc::clone(&context.telemetry);
        let exporter: Arc<dyn Exporter> = config.build(context).unwrap().into();
        let background = tokio::spawn({
            let exporter = Arc::clone(&exporter);
            async move { exporter.background().await }
        });
        Bench { clock, intake, exporter, telemetry, background }
    }

    /// Waits until so many keys have been asked about and the exporter waits again.
    async fn until_validated(&self, count: usize) {
        eventually("validations", || self.intake.validations().len() >= count).await;
        // The one sleeper is the exporter, between two validations, and not the limit of one.
        eventually("a rest", || self.clock.sleepers() == 1).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        eventually("a rest", || self.clock.sleepers() == 1).await;
        assert_eq!(self.intake.validations().len(), count);
    }

    fn request(&self) -> Request {
        self.exporter.encode(&numbered_metrics(0..1, self.clock.clock().unix()), &[0]).requests.remove(0)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.background.abort();
    }
}

/// A file with a key in it, as a secret is mounted.
struct KeyFile(PathBuf);

impl KeyFile {
    fn new(key: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("hornpipe-key-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let file = KeyFile(std::env::temp_dir().join(name));
        file.write(key);
        file
    }

    fn write(&self, key: &str) {
        fs::write(&self.0, format!("{key}\n")).unwrap();
    }

    fn reference(&self) -> String {
        format!("${{file:{}}}", self.0.display())
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Bench {
    /// What the exporter's own metric says about its key.
    fn valid(&self) -> u64 {
        let levels = self.telemetry.levels();
        levels.iter().find(|level| level.name == "hornpipe_exporter_api_key_valid").unwrap().value.get()
    }
}

fn refused(end: &str) -> Status {
    Status::Error(format!("datadog: API key ending {end} refused by datadoghq.com: check DD_API_KEY and DD_SITE"))
}

#[tokio::test]
async fn a_key_is_validated_at_the_start_and_every_hour_with_nothing_but_its_header() {
    let bench = Bench::start(NEW_KEY).await;
    bench.until_validated(1).await;
    bench.clock.advance(Duration::from_secs(3599)).await;
    bench.until_validated(1).await;
    bench.clock.advance(Duration::from_secs(1)).await;
    bench.until_validated(2).await;
    assert_eq!(bench.telemetry.status(), Status::Ok);
    for headers in bench.intake.validations() {
        assert_eq!(headers["dd-api-key"], NEW_KEY);
    }
    assert_eq!(bench.intake.request_count(), 0);
}

#[tokio::test]
async fn a_refused_key_is_an_error_without_any_data_until_it_is_valid() {
    let bench = Bench::start(OLD_KEY).await;
    bench.until_validated(1).await;
    assert_eq!((bench.telemetry.status(), bench.valid()), (refused("1a2b3"), 0));
    bench.intake.set_key(OLD_KEY);
    bench.clock.advance(Duration::from_secs(3600)).await;
    bench.until_validated(2).await;
    assert_eq!((bench.telemetry.status(), bench.valid()), (Status::Ok, 1));
}

#[tokio::test]
async fn only_an_explicit_403_makes_a_key_invalid() {
    let bench = Bench::start(NEW_KEY).await;
    bench.until_validated(1).await;
    for (count, status) in [(2, 401), (3, 404), (4, 429), (5, 500)] {
        bench.intake.answer_validations_with(Some(StatusCode::from_u16(status).unwrap()));
        bench.clock.advance(Duration::from_secs(3600)).await;
        bench.until_validated(count).await;
        assert_eq!(bench.telemetry.status(), Status::Ok, "{status}");
    }
    bench.intake.answer_validations_with(Some(StatusCode::FORBIDDEN));
    bench.clock.advance(Duration::from_secs(3600)).await;
    bench.until_validated(6).await;
    assert_eq!(bench.telemetry.status(), refused(&NEW_KEY[27..]));
}

#[tokio::test]
async fn an_error_of_another_kind_is_not_made_well_by_a_valid_key() {
    let bench = Bench::start(NEW_KEY).await;
    bench.until_validated(1).await;
    let other = Status::Error("datadog: 503 Service Unavailable".to_owned());
    bench.telemetry.set_status(other.clone());
    bench.clock.advance(Duration::from_secs(3600)).await;
    bench.until_validated(2).await;
    assert_eq!(bench.telemetry.status(), other);
}

#[tokio::test]
async fn a_key_of_zeros_is_never_validated() {
    let bench = Bench::start(&"0".repeat(32)).await;
    bench.until_validated(0).await;
    assert_eq!(bench.telemetry.status(), Status::Ok);
}

#[tokio::test]
async fn a_changed_file_is_read_within_a_minute_and_its_key_validated_at_once() {
    let file = KeyFile::new(OLD_KEY);
    let bench = Bench::start(&file.reference()).await;
    bench.until_validated(1).await;
    assert_eq!(bench.telemetry.status(), refused("1a2b3"));
    file.write(NEW_KEY);
    bench.clock.advance(Duration::from_secs(59)).await;
    bench.until_validated(1).await;
    bench.clock.advance(Duration::from_secs(1)).await;
    bench.until_validated(2).await;
    assert_eq!(bench.intake.validations()[1]["dd-api-key"], NEW_KEY);
    assert_eq!(bench.telemetry.status(), Status::Ok);
    assert_eq!(bench.exporter.send(&bench.request()).await, SendOutcome::delivered());
}

#[tokio::test]
async fn a_refused_key_is_read_again_at_once_and_the_request_sent_with_the_new_one() {
    let file = KeyFile::new(OLD_KEY);
    let bench = Bench::start(&file.reference()).await;
    bench.until_validated(1).await;
    let request = bench.request();
    assert!(matches!(bench.exporter.send(&request).await, SendOutcome::Unauthorized { .. }));
    assert_eq!(bench.valid(), 0);
    file.write(NEW_KEY);
    assert_eq!(bench.exporter.send(&request).await, SendOutcome::delivered());
    assert_eq!(bench.valid(), 1);
    let keys: Vec<_> = bench.intake.requests().iter().map(|request| request.headers["dd-api-key"].clone()).collect();
    assert_eq!(keys, [OLD_KEY, OLD_KEY, NEW_KEY]);
    assert_eq!(bench.intake.numbers(), [0]);
}

#[tokio::test]
async fn a_file_that_holds_no_key_is_said_and_the_key_in_use_stays() {
    let file = KeyFile::new(NEW_KEY);
    let bench = Bench::start(&file.reference()).await;
    bench.until_validated(1).await;
    let request = bench.request();
    let path = file.0.display().to_string();
    for (content, why) in
        [(Some("two words"), "holds a character that no API key has"), (None, "there is no such file")]
    {
        match content {
            Some(content) => file.write(content),
            None => fs::remove_file(&file.0).unwrap(),
        }
        bench.clock.advance(Duration::from_secs(60)).await;
        assert_eq!(bench.exporter.send(&request).await, SendOutcome::delivered(), "{why}");
        bench.intake.behave_once([Behaviour::status(403)]);
        let SendOutcome::Unauthorized { error } = bench.exporter.send(&request).await else { panic!("{why}") };
        assert!(error.contains(&path) && error.contains(why) && !error.contains("two words"), "{error}");
    }
}
