//! OTLP over gRPC: one unary call per request.
//!
//! tonic's channel carries the calls; what is said over it is ours. A request was put into gRPC's frame, compressed, when it was
//! encoded, so that a retry repeats the same bytes. And an answer is read so that nothing in it can cost data: tonic's own
//! reading panics on details that are not base64.

mod answer;
mod connect;

use hornpipe_engine::Clock;
use hornpipe_engine::component::{BuildError, Request, SendOutcome};
use hornpipe_engine::http::Compression;
use http::header::{CONTENT_TYPE, HeaderName, TE};
use http::{HeaderMap, HeaderValue, Method, Uri, Version};
use http_body_util::Full;
use tonic::body::Body;
use tonic::transport::Channel;
use tower::ServiceExt;

use crate::config::Keepalive;
use crate::response::Peer;
use crate::settings::Destination;
use connect::Connector;

/// The methods that take the signals.
pub(crate) const METRICS_ROUTE: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
pub(crate) const LOGS_ROUTE: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

const USER_AGENT: &str = concat!("hornpipe/", env!("CARGO_PKG_VERSION"));

const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// Sends the requests of one signal to one backend. A clone shares its connection.
#[derive(Clone)]
pub(crate) struct GrpcSender {
    channel: Channel,
    peer: Peer,
    headers: HeaderMap,
    clock: Clock,
}

impl GrpcSender {
    /// A sender; it connects at its first request.
    ///
    /// # Errors
    /// TLS settings that cannot be used, such as an unreadable file.
    pub(crate) fn new(destination: &Destination, keepalive: &Keepalive, clock: Clock) -> Result<Self, BuildError> {
        let unusable = |error: &dyn std::fmt::Display| BuildError::new("endpoint", format!("cannot be used: {error}"));
        let endpoint = &destination.endpoint;
        // TLS is the connector's, so tonic sees plaintext; `origin` is what the backend sees as scheme and authority.
        let origin: Uri = endpoint.to_string().parse().map_err(|error| unusable(&error))?;
        let address = tonic::transport::Endpoint::from_shared(format!("http://{}", endpoint.authority()))
            .and_then(|address| address.user_agent(USER_AGENT))
            .map_err(|error| unusable(&error))?
            .origin(origin)
            .http2_keep_alive_interval(keepalive.time.get())
            .keep_alive_timeout(keepalive.timeout.get())
            .keep_alive_while_idle(keepalive.permit_without_stream);
        let connector = Connector::new(endpoint, &destination.tls, clock.clone())?;
        let channel = address.connect_with_connector_lazy(connector.into_service());
        Ok(GrpcSender { channel, peer: Peer::of(destination), headers: all_headers(destination), clock })
    }

    /// The same with the headers of another signal.
    pub(crate) fn to(self, destination: &Destination) -> Self {
        GrpcSender { peer: Peer::of(destination), headers: all_headers(destination), ..self }
    }

    /// Sends a request, whose body is a frame already.
    pub(crate) async fn send(&self, request: &Request) -> SendOutcome {
        let mut call = http::Request::new(Body::new(Full::new(request.body.clone())));
        *call.method_mut() = Method::POST;
        *call.version_mut() = Version::HTTP_2;
        *call.uri_mut() = Uri::from_static(request.route);
        *call.headers_mut() = self.headers.clone();
        let response = match self.channel.clone().oneshot(call).await {
            Ok(response) => response,
            Err(error) => return connect::failure(&error, &self.peer.endpoint),
        };
        match answer::read(response).await {
            Ok(answer) => answer.outcome(&self.peer, self.clock.unix()),
            // The status comes last, so the call did not get through.
            Err(error) => connect::failure(&error, &self.peer.endpoint),
        }
    }
}

/// What every call of a signal says. Answers are to come as they are: they are short.
fn all_headers(destination: &Destination) -> HeaderMap {
    let mut headers = destination.headers.clone();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    let encoding = match destination.compression {
        Compression::Gzip => Some("gzip"),
        Compression::Zstd => Some("zstd"),
        // Deflate is refused with the settings.
        Compression::None | Compression::Deflate => None,
    };
    if let Some(encoding) = encoding {
        headers.insert(GRPC_ENCODING, HeaderValue::from_static(encoding));
    }
    headers
}
