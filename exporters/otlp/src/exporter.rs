//! The running exporter.

use std::sync::Arc;

use async_trait::async_trait;
use hornpipe_engine::component::{Admission, BuildContext, BuildError, Encoded, Exporter, Request, SendOutcome};
use hornpipe_engine::http::{Compression, TlsConfig};
use hornpipe_engine::telemetry::ComponentTelemetry;
use hornpipe_model::{Data, Temporality};

use crate::admission::{Conversion, Limits};
use crate::config::Protocol;
use crate::encode::Encoding;
use crate::grpc::{self, GrpcSender};
use crate::http::{self, HttpSender};
use crate::settings::Settings;

/// Sends batches to one OTLP backend.
pub(crate) struct OtlpExporter {
    temporality: Temporality,
    limits: Limits,
    encoding: Encoding,
    transport: Transport,
    telemetry: Arc<ComponentTelemetry>,
}

enum Transport {
    Grpc(GrpcSender),
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
                let encoding = Encoding { metrics_route: grpc::METRICS_ROUTE, compression: Compression::None };
                (encoding, Transport::Grpc(GrpcSender::new(&settings, tls, context.clock)?))
            }
            Protocol::HttpProtobuf => {
                let encoding = Encoding { metrics_route: http::METRICS_ROUTE, compression: settings.compression };
                (encoding, Transport::Http(HttpSender::new(&settings, tls, context.clock)?))
            }
        };
        let Settings { temporality, limits, .. } = settings;
        Ok(OtlpExporter { temporality, limits, encoding, transport, telemetry: context.telemetry })
    }
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
        match &self.transport {
            Transport::Grpc(sender) => sender.send(request).await,
            Transport::Http(sender) => sender.send(request).await,
        }
    }
}
