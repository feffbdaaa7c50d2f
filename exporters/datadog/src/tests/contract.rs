//! What every exporter promises.

use std::ops::Range;
use std::sync::Arc;

use hornpipe_engine::component::{BuildContext, Exporter, ExporterConfig};
use hornpipe_engine::testing::datadog_messages::MetricPayload;
use hornpipe_engine::testing::{
    Backend, Behaviour, ExporterBench, FakeClock, FakeDatadog, RecordedRequest, check_exporter_contract, item_name,
    item_number, numbered_logs, numbered_metrics,
};
use hornpipe_model::{Data, Event, LogBatch, Signal, Timestamp};
use prost::Message;

use crate::DatadogConfig;

/// What the numbered items are.
#[derive(Clone, Copy, PartialEq)]
enum Items {
    Points,
    Logs,
    Events,
}

struct Bench {
    items: Items,
    clock: FakeClock,
    intake: FakeDatadog,
}

impl ExporterBench for Bench {
    fn signal(&self) -> Signal {
        if self.items == Items::Points { Signal::Metrics } else { Signal::Logs }
    }

    fn batch(&self, numbers: Range<u64>) -> Data {
        let now = self.clock.clock().unix();
        match self.items {
            Items::Points => numbered_metrics(numbers, now),
            Items::Logs => numbered_logs(numbers, now),
            Items::Events => numbered_events(numbers, now),
        }
    }

    fn clock(&self) -> &FakeClock {
        &self.clock
    }

    fn backend(&self) -> Option<&Backend> {
        Some(&self.intake)
    }

    fn build(&self, context: BuildContext) -> Box<dyn Exporter> {
        let mut config = DatadogConfig::default();
        config.api.key = FakeDatadog::API_KEY.into();
        config.metrics.endpoint = Some(self.intake.url());
        config.logs.endpoint = Some(self.intake.url());
        config.build(context).unwrap()
    }

    /// From the requests and not from the intake's store, where a point that comes twice is still one.
    fn delivered(&self) -> Vec<u64> {
        if self.items != Items::Points {
            return self.intake.numbers();
        }
        let numbers = |request: &RecordedRequest| {
            let payload = MetricPayload::decode(&*zstd::decode_all(&*request.body).unwrap()).unwrap();
            payload.series.iter().filter_map(|series| item_number(&series.metric)).collect::<Vec<_>>()
        };
        let requests = self.intake.requests();
        requests.iter().filter(|request| request.behaviour == Behaviour::Ok).flat_map(numbers).collect()
    }

    /// An event has a request to itself, which cannot be split.
    fn too_large(&self) -> Option<Behaviour> {
        (self.items != Items::Events).then(|| Behaviour::status(413))
    }

    fn retryable(&self) -> Vec<Behaviour> {
        let statuses = [401, 403, 404, 408, 500, 503].map(Behaviour::status);
        statuses.into_iter().chain([Behaviour::retry_after(429, 2), Behaviour::ResetAfterHeaders]).collect()
    }
}

fn numbered_events(numbers: Range<u64>, time: Timestamp) -> Data {
    let event = |number| Event { title: item_name(number), ..Event::default() }.into_log(time, Arc::default());
    let records = numbers.map(event).collect();
    LogBatch { resource: Arc::default(), scope: Arc::default(), records }.into()
}

async fn check(items: Items) {
    let clock = FakeClock::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let intake = FakeDatadog::start_at(listener, clock.clock());
    let bench = Bench { items, clock, intake };
    check_exporter_contract(&bench).await;
    bench.intake.assert_clean();
}

#[tokio::test]
async fn the_exporter_contract_is_kept_for_points() {
    check(Items::Points).await;
}

#[tokio::test]
async fn the_exporter_contract_is_kept_for_logs() {
    check(Items::Logs).await;
}

#[tokio::test]
async fn the_exporter_contract_is_kept_for_events() {
    check(Items::Events).await;
}
