//! The running exporter.

use std::sync::Arc;

use async_trait::async_trait;
use hornpipe_engine::Clock;
use hornpipe_engine::component::{Admission, BuildContext, BuildError, Encoded, Exporter, Request, SendOutcome};
use hornpipe_engine::http::{Compression, TlsConfig};
use hornpipe_engine::telemetry::ComponentTelemetry;
use hornpipe_model::{Data, Signal, Temporality};

use crate::admission::{Conversion, Limits};
use crate::config::Protocol;
use crate::encode::{Encoding, Routes};
use crate::grpc::{self, GrpcSender};
use crate::http::{self, HttpSender};
use crate::settings::{Endpoints, Settings};

/// Sends batches to one OTLP backend.
pub(crate) struct OtlpExporter {
    temporality: Temporality,
    limits: Limits,
    encoding: Encoding,
    transport: Transport,
    telemetry: Arc<ComponentTelemetry>,
}

enum Transport {
    Grpc { metrics: GrpcSender, logs: GrpcSender },
    Http(HttpSender),
}

impl OtlpExporter {
    /// An exporter; it connects at its first request.
    ///
    /// # Errors
    /// TLS settings that cannot be used, such as an unreadable file.
    pub(crate) fn new(settings: Settings, tls: &TlsConfig, context: BuildContext) -> Result<Self, BuildError> {
        let (encoding, transport) = match settings.protocol {
            Protocol::Grpc => {
                let routes = Routes { metrics: grpc::METRICS_ROUTE, logs: grpc::LOGS_ROUTE };
                (Encoding { routes, compression: Compression::None }, over_grpc(&settings, tls, context.clock)?)
            }
            Protocol::HttpProtobuf => {
                let routes = Routes { metrics: http::METRICS_ROUTE, logs: http::LOGS_ROUTE };
                let sender = HttpSender::new(&settings, tls, context.clock)?;
                (Encoding { routes, compression: settings.compression }, Transport::Http(sender))
            }
        };
        let Settings { temporality, limits, .. } = settings;
        Ok(OtlpExporter { temporality, limits, encoding, transport, telemetry: context.telemetry })
    }
}

/// Both signals share a connection where they go to one backend.
fn over_grpc(settings: &Settings, tls: &TlsConfig, clock: Clock) -> Result<Transport, BuildError> {
    let Endpoints { metrics: to_metrics, logs: to_logs } = &settings.endpoints;
    let metrics = GrpcSender::new(to_metrics, settings, tls, clock.clone())?;
    let logs = if to_logs == to_metrics { metrics.clone() } else { GrpcSender::new(to_logs, settings, tls, clock)? };
    Ok(Transport::Grpc { metrics, logs })
}

#[async_trait]
impl Exporter for OtlpExporter {
    fn admission(&self) -> Option<Box<dyn Admission>> {
        Some(Box::new(Conversion::new(self.temporality, self.limits, &self.telemetry)))
    }

    fn encode(&self, data: &Data, items: &[u32]) -> Encoded {
        self.encoding.encode(data, items)
    }

    async fn send(&self, request: &Request) -> SendOutcome {
        match (&self.transport, request.signal) {
            (Transport::Grpc { metrics, .. }, Signal::Metrics) => metrics.send(request).await,
            (Transport::Grpc { logs, .. }, Signal::Logs) => logs.send(request).await,
            (Transport::Http(sender), _) => sender.send(request).await,
        }
    }
}
