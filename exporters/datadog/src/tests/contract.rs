//! What every exporter promises.

use hornpipe_engine::component::{BuildContext, Exporter, ExporterConfig};
use hornpipe_engine::testing::{
    Backend, Behaviour, ExporterBench, FakeClock, FakeDatadog, RecordedRequest, check_exporter_contract, item_number,
};
use prost::Message;

use super::decode::MetricPayload;
use crate::DatadogConfig;

struct Bench {
    clock: FakeClock,
    intake: FakeDatadog,
}

impl ExporterBench for Bench {
    fn clock(&self) -> &FakeClock {
        &self.clock
    }

    fn backend(&self) -> &Backend {
        &self.intake
    }

    fn build(&self, context: BuildContext) -> Box<dyn Exporter> {
        let mut config = DatadogConfig::default();
        config.api.key = FakeDatadog::API_KEY.into();
        config.metrics.endpoint = Some(self.intake.url());
        config.build(context).unwrap()
    }

    /// From the requests and not from the intake's store, where a point that comes twice is still one.
    fn delivered(&self) -> Vec<u64> {
        let numbers = |request: &RecordedRequest| {
            let payload = MetricPayload::decode(&*zstd::decode_all(&*request.body).unwrap()).unwrap();
            payload.series.iter().filter_map(|series| item_number(&series.metric)).collect::<Vec<_>>()
        };
        let requests = self.intake.requests();
        requests.iter().filter(|request| request.behaviour == Behaviour::Ok).flat_map(numbers).collect()
    }

    fn retryable(&self) -> Vec<Behaviour> {
        let statuses = [401, 403, 404, 408, 500, 503].map(Behaviour::status);
        statuses.into_iter().chain([Behaviour::retry_after(429, 2), Behaviour::ResetAfterHeaders]).collect()
    }
}

#[tokio::test]
async fn the_exporter_contract_is_kept() {
    let clock = FakeClock::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let intake = FakeDatadog::start_at(listener, clock.clock());
    let bench = Bench { clock, intake };
    check_exporter_contract(&bench).await;
    bench.intake.assert_clean();
}
