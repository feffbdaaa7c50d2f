//! The HTTP server.

use std::net::TcpListener;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::extract::State;
use axum::http::{Method, Uri, header};
use axum::response::IntoResponse;
use futures_util::future::try_join_all;
use hornpipe_engine::Shutdown;
use hornpipe_engine::component::Extension;
use hornpipe_engine::telemetry::ComponentTelemetry;

use crate::answer::Health;

/// Answers on all its sockets until it is stopped.
pub(crate) struct HealthCheck {
    listeners: Vec<TcpListener>,
    health: Health,
    telemetry: Arc<ComponentTelemetry>,
}

impl HealthCheck {
    pub(crate) fn new(listeners: Vec<TcpListener>, health: Health, telemetry: Arc<ComponentTelemetry>) -> Self {
        HealthCheck { listeners, health, telemetry }
    }
}

#[async_trait]
impl Extension for HealthCheck {
    async fn run(self: Box<Self>, shutdown: Shutdown) -> Result<(), String> {
        let addresses = self.listeners.iter().filter_map(|listener| listener.local_addr().ok());
        let addresses: Vec<String> = addresses.map(|address| format!("http://{address}")).collect();
        let addresses = addresses.join(", ");
        tracing::info!(extension = self.telemetry.identity().id, "answers health checks at {addresses}");
        self.telemetry.set_fact("listens on", addresses);
        let router = Router::new().fallback(answer).with_state(self.health);
        let servers = self.listeners.into_iter().map(|listener| serve(listener, router.clone(), shutdown.clone()));
        try_join_all(servers).await.map_err(|error| format!("no longer answers: {error}"))?;
        Ok(())
    }
}

async fn serve(listener: TcpListener, router: Router, shutdown: Shutdown) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let stop = async move { shutdown.requested().await };
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

/// A probe asks once; a connection that stays open would only hold up the end.
async fn answer(State(health): State<Health>, method: Method, uri: Uri) -> impl IntoResponse {
    let (status, body) = health.answer(&method, uri.path());
    (status, [(header::CONTENT_TYPE, "application/json"), (header::CONNECTION, "close")], body)
}
