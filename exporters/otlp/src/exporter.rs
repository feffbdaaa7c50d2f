//! The running exporter.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hornpipe_engine::Clock;
use hornpipe_engine::component::{Admission, BuildContext, BuildError, Encoded, Exporter, Request, SendOutcome};
use hornpipe_engine::telemetry::ComponentTelemetry;
use hornpipe_model::{Data, Signal, Temporality};

use crate::admission::{Conversion, Limits};
use crate::config::{Keepalive, Protocol};
use crate::encode::{Encoding, Encodings};
use crate::grpc::{self, GrpcSender};
use crate::http::{self, HttpSender};
use crate::settings::{Destination, Settings};

/// Sends batches to one OTLP backend, or to one a signal.
pub(crate) struct OtlpExporter {
    temporality: Temporality,
    limits: Limits,
    encodings: Encodings,
    metrics: Sender,
    logs: Sender,
    clock: Clock,
    telemetry: Arc<ComponentTelemetry>,
}

/// Sends the requests of one signal.
struct Sender {
    transport: Transport,
    /// The time for one attempt, where it is less than the engine gives.
    timeout: Option<Duration>,
}

#[derive(Clone)]
enum Transport {
    Grpc(GrpcSender),
    Http(HttpSender),
}

impl OtlpExporter {
    /// An exporter; it connects at its first request.
    ///
    /// # Errors
    /// TLS settings that cannot be used, such as an unreadable file.
    pub(crate) fn new(settings: Settings, context: BuildContext) -> Result<Self, BuildError> {
        let Settings { metrics, logs, keepalive, temporality, limits, delivery, .. } = settings;
        let clock = context.clock;
        let to_metrics = Transport::new(&metrics, &keepalive, &clock)?;
        // Both signals share a connection where they go to one backend.
        let to_logs = match to_metrics.clone().redirected(&metrics, &logs) {
            Some(transport) => transport,
            None => Transport::new(&logs, &keepalive, &clock)?,
        };
        let timeout =
            |destination: &Destination| Some(destination.timeout).filter(|own| *own != delivery.timeout.get());
        Ok(OtlpExporter {
            temporality,
            limits,
            encodings: Encodings { metrics: encoding(&metrics, Signal::Metrics), logs: encoding(&logs, Signal::Logs) },
            metrics: Sender { transport: to_metrics, timeout: timeout(&metrics) },
            logs: Sender { transport: to_logs, timeout: timeout(&logs) },
            clock,
            telemetry: context.telemetry,
        })
    }
}

fn encoding(destination: &Destination, signal: Signal) -> Encoding {
    let (route, framed) = match (destination.protocol, signal) {
        (Protocol::Grpc, Signal::Metrics) => (grpc::METRICS_ROUTE, true),
        (Protocol::Grpc, Signal::Logs) => (grpc::LOGS_ROUTE, true),
        (Protocol::HttpProtobuf, Signal::Metrics) => (http::METRICS_ROUTE, false),
        (Protocol::HttpProtobuf, Signal::Logs) => (http::LOGS_ROUTE, false),
    };
    Encoding { route, compression: destination.compression, level: destination.level, framed }
}

impl Transport {
    fn new(destination: &Destination, keepalive: &Keepalive, clock: &Clock) -> Result<Self, BuildError> {
        match destination.protocol {
            Protocol::Grpc => GrpcSender::new(destination, keepalive, clock.clone()).map(Transport::Grpc),
            Protocol::HttpProtobuf => HttpSender::new(destination, clock.clone()).map(Transport::Http),
        }
    }

    /// The same connections for another destination, where that can be.
    fn redirected(self, from: &Destination, to: &Destination) -> Option<Self> {
        if from.protocol != to.protocol || from.tls != to.tls {
            return None;
        }
        match self {
            Transport::Grpc(sender) => (from.endpoint == to.endpoint).then(|| Transport::Grpc(sender.to(to))),
            Transport::Http(sender) => Some(Transport::Http(sender.to(to))),
        }
    }

    async fn send(&self, request: &Request) -> SendOutcome {
        match self {
            Transport::Grpc(sender) => sender.send(request).await,
            Transport::Http(sender) => sender.send(request).await,
        }
    }
}

#[async_trait]
impl Exporter for OtlpExporter {
    fn admission(&self) -> Option<Box<dyn Admission>> {
        Some(Box::new(Conversion::new(self.temporality, self.limits, &self.telemetry)))
    }

    fn encode(&self, data: &Data, items: &[u32]) -> Encoded {
        self.encodings.encode(data, items)
    }

    async fn send(&self, request: &Request) -> SendOutcome {
        let Sender { transport, timeout } = match request.signal {
            Signal::Metrics => &self.metrics,
            Signal::Logs => &self.logs,
        };
        let Some(limit) = *timeout else { return transport.send(request).await };
        match self.clock.timeout(limit, transport.send(request)).await {
            Ok(outcome) => outcome,
            Err(_) => SendOutcome::Retryable { after: None, error: format!("no answer within {limit:?}") },
        }
    }
}
