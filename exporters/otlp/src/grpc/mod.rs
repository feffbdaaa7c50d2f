//! OTLP over gRPC: one unary call per request.

mod codec;
mod connect;

use std::time::Duration;

use hornpipe_engine::Clock;
use hornpipe_engine::component::{BuildError, Request, SendOutcome};
use hornpipe_engine::http::{Compression, Endpoint, TlsConfig};
use http::Uri;
use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;

use crate::response;
use crate::settings::Settings;
use codec::BytesCodec;
use connect::Connector;

/// The methods that take the signals.
pub(crate) const METRICS_ROUTE: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
pub(crate) const LOGS_ROUTE: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

const USER_AGENT: &str = concat!("hornpipe/", env!("CARGO_PKG_VERSION"));

/// While a request waits, the connection is asked for a sign of life: one that a firewall forgot would otherwise take
/// every retry until the kernel gives it up after a quarter of an hour. Servers in Go tolerate two such pings a call.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends requests to one backend. A clone shares its connection.
#[derive(Clone)]
pub(crate) struct GrpcSender {
    channel: Channel,
    endpoint: Endpoint,
    metadata: MetadataMap,
    compression: Option<CompressionEncoding>,
}

impl GrpcSender {
    /// A sender; it connects at its first request.
    ///
    /// # Errors
    /// TLS settings that cannot be used, such as an unreadable file.
    pub(crate) fn new(
        endpoint: &Endpoint,
        settings: &Settings,
        tls: &TlsConfig,
        clock: Clock,
    ) -> Result<Self, BuildError> {
        let unusable = |error: &dyn std::fmt::Display| BuildError::new("endpoint", format!("cannot be used: {error}"));
        // TLS is the connector's, so tonic sees plaintext; `origin` is what the backend sees as scheme and authority.
        let origin: Uri = endpoint.to_string().parse().map_err(|error| unusable(&error))?;
        let address = tonic::transport::Endpoint::from_shared(format!("http://{}", endpoint.authority()))
            .and_then(|address| address.user_agent(USER_AGENT))
            .map_err(|error| unusable(&error))?
            .origin(origin)
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        let connector = Connector::new(endpoint, tls, clock)?;
        Ok(GrpcSender {
            channel: address.connect_with_connector_lazy(connector.into_service()),
            endpoint: endpoint.clone(),
            metadata: MetadataMap::from_headers(settings.headers.clone()),
            compression: encoding(settings.compression),
        })
    }

    /// Sends a request; its body is the message, which is compressed here.
    pub(crate) async fn send(&self, request: &Request) -> SendOutcome {
        let mut client = Grpc::new(self.channel.clone());
        if let Some(compression) = self.compression {
            client = client.send_compressed(compression);
        }
        for known in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
            client = client.accept_compressed(known);
        }
        if let Err(error) = client.ready().await {
            return connect::failure(&error, &self.endpoint);
        }
        let mut call = tonic::Request::new(request.body.clone());
        *call.metadata_mut() = self.metadata.clone();
        match client.unary(call, PathAndQuery::from_static(request.route), BytesCodec).await {
            Ok(answer) => response::of_success(answer.get_ref(), &self.endpoint),
            Err(status) => match std::error::Error::source(&status) {
                // Made on this side: the call did not get through, whatever code tonic gave it.
                Some(cause) => connect::failure(cause, &self.endpoint),
                None => response::of_grpc(&status, &self.endpoint),
            },
        }
    }
}

fn encoding(compression: Compression) -> Option<CompressionEncoding> {
    match compression {
        Compression::Gzip => Some(CompressionEncoding::Gzip),
        Compression::Zstd => Some(CompressionEncoding::Zstd),
        // Deflate is refused with the settings.
        Compression::None | Compression::Deflate => None,
    }
}
