//! Prometheus text over HTTP.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use opentelemetry_prometheus::PrometheusExporter;
use prometheus::{Registry, TEXT_FORMAT, TextEncoder};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::PrometheusConfig;
use super::instruments::Instruments;
use crate::Shutdown;
use crate::sockets::{Holder, Protocol, resolve_endpoint};

/// Listening sockets, and the registry that what they serve comes from.
pub(super) struct PrometheusReader {
    listeners: Vec<TcpListener>,
    registry: Registry,
}

#[derive(Clone)]
struct Scrape {
    registry: Registry,
    instruments: Arc<Instruments>,
}

impl PrometheusReader {
    /// Binds the sockets; the exporter is for the SDK's meter provider.
    pub(super) async fn bind(config: &PrometheusConfig) -> Result<(Self, PrometheusExporter), String> {
        let listeners = listen(config).await?;
        let registry = Registry::new();
        let mut exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .without_units()
            .scope_info_enabled(!config.without_scope_info);
        if config.without_type_suffix {
            exporter = exporter.without_counter_suffixes();
        }
        let exporter = exporter.build().map_err(|error| error.to_string())?;
        Ok((PrometheusReader { listeners, registry }, exporter))
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok())
    }

    /// Serves until `shutdown`.
    pub(super) fn serve(self, instruments: &Arc<Instruments>, shutdown: &Shutdown) -> Vec<JoinHandle<()>> {
        let scrape = Scrape { registry: self.registry, instruments: Arc::clone(instruments) };
        let router = Router::new().route("/metrics", get(metrics)).with_state(scrape);
        let serve = |listener: TcpListener| {
            let (router, shutdown) = (router.clone(), shutdown.clone());
            tokio::spawn(async move {
                let stop = async move { shutdown.requested().await };
                if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stop).await {
                    tracing::warn!(%error, "own metrics are no longer served");
                }
            })
        };
        self.listeners.into_iter().map(serve).collect()
    }
}

async fn metrics(State(scrape): State<Scrape>) -> Response {
    scrape.instruments.refresh();
    match TextEncoder::new().encode_to_string(&scrape.registry.gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn listen(config: &PrometheusConfig) -> Result<Vec<TcpListener>, String> {
    let PrometheusConfig { host, port, .. } = config;
    let endpoint = match host.parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]:{port}"),
        Err(_) => format!("{host}:{port}"),
    };
    let mut listeners = Vec::new();
    for address in resolve_endpoint(&endpoint).map_err(|error| error.to_string())? {
        // All or none: on half of its addresses the port would answer as another program.
        let listener = TcpListener::bind(address).await.map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => format!("{address} is taken by {}", Holder::of(Protocol::Tcp, address)),
            _ => format!("cannot listen on {address}: {error}"),
        })?;
        listeners.push(listener);
    }
    Ok(listeners)
}
