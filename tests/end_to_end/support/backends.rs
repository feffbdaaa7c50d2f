//! Every kind of backend at once.

use hornpipe_engine::testing::{FakeDatadog, FakeOtlp};

/// A Datadog intake and three OTLP servers, all fed from one pipeline.
pub struct Backends {
    /// The Datadog intake.
    pub datadog: FakeDatadog,
    /// Takes OTLP over gRPC, cumulative.
    pub grpc: FakeOtlp,
    /// Takes OTLP over HTTP, cumulative.
    pub http: FakeOtlp,
    /// Takes OTLP over gRPC, delta.
    pub delta: FakeOtlp,
}

impl Backends {
    /// Starts them.
    pub async fn start() -> Self {
        Backends {
            datadog: FakeDatadog::start().await,
            grpc: FakeOtlp::start().await,
            http: FakeOtlp::start().await,
            delta: FakeOtlp::start().await,
        }
    }

    /// An exporter for each, as id and settings.
    pub fn exporters(&self) -> Vec<(&'static str, String)> {
        let Backends { datadog, grpc, http, delta } = self;
        let key = FakeDatadog::API_KEY;
        vec![
            ("datadog", format!("{{api: {{key: '{key}'}}, metrics: {{endpoint: '{}'}}}}", datadog.url())),
            ("otlp", format!("{{endpoint: '{}', tls: {{insecure: true}}}}", grpc.url())),
            ("otlp/http", format!("{{protocol: http/protobuf, endpoint: '{}', compression: zstd}}", http.url())),
            ("otlp/delta", format!("{{endpoint: '{}', tls: {{insecure: true}}, temporality: delta}}", delta.url())),
        ]
    }

    /// The OTLP servers by what they take.
    pub fn otlp(&self) -> [(&'static str, &FakeOtlp); 3] {
        [("gRPC", &self.grpc), ("HTTP", &self.http), ("gRPC delta", &self.delta)]
    }

    /// Fails unless a counter adds up to `expected` at each of them. `tags` are `key:value`.
    pub fn assert_counter(&self, name: &str, tags: &[&str], expected: f64) {
        assert_eq!(self.datadog.sum_as_count(name, tags), expected, "{name} {tags:?} at Datadog");
        let attributes: Vec<_> = tags.iter().map(|tag| tag.split_once(':').unwrap()).collect();
        for (kind, server) in self.otlp() {
            assert_eq!(server.sum(name, &attributes), expected, "{name} {tags:?} over {kind}");
        }
    }

    /// Fails unless a histogram has these samples at each of them: the count at Datadog; count, sum and each bucket
    /// over OTLP.
    pub fn assert_histogram(&self, name: &str, tags: &[&str], samples: &[f64]) {
        let count = self.datadog.sum_as_count(&format!("{name}.count"), tags);
        assert_eq!(count, samples.len() as f64, "{name}.count {tags:?} at Datadog");
        let attributes: Vec<_> = tags.iter().map(|tag| tag.split_once(':').unwrap()).collect();
        let sum: f64 = samples.iter().sum();
        for (kind, server) in self.otlp() {
            let total = server.histogram(name, &attributes);
            assert_eq!(total.count, samples.len() as u64, "count of {name} {tags:?} over {kind}");
            assert!(
                (total.sum - sum).abs() <= 1e-9 * sum.abs(),
                "{name}: the sum {} over {kind} is not {sum}",
                total.sum
            );
            let expected = hornpipe_engine::testing::HistogramTotal::buckets_of(samples, total.scale);
            assert_eq!(total.positive, expected, "buckets of {name} {tags:?} over {kind} at scale {}", total.scale);
        }
    }

    /// Fails unless each of them was content with all that it got.
    pub fn assert_clean(&self) {
        self.datadog.assert_clean();
        for (kind, server) in self.otlp() {
            assert_eq!(server.violations(), Vec::<String>::new(), "over {kind}");
        }
    }
}
