//! The `health_check` extension: tells orchestrators and load balancers over HTTP whether hornpipe works.
//!
//! The process is alive where it answers at all, and ready where its configuration is loaded and every receiver is up. A
//! backend that fails does not count unless asked for: data is kept for it meanwhile, and a revoked key must not take the
//! application beside hornpipe out of its load balancer.

mod answer;
mod config;
mod serve;

pub use config::HealthCheckConfig;

use hornpipe_engine::component::{BuildError, ComponentType, Extension, ExtensionConfig, ExtensionContext};
use hornpipe_engine::config::Report;
use hornpipe_engine::sockets::resolve_endpoint;
use hornpipe_model::Signal;

use answer::Health;
use serve::HealthCheck;

impl ComponentType for HealthCheckConfig {
    const TYPE: &'static str = "health_check";
    const SIGNALS: &'static [Signal] = &[];
    const SUMMARY: &'static str = "tells orchestrators over HTTP whether hornpipe works";
}

impl ExtensionConfig for HealthCheckConfig {
    fn validate(&self, report: &mut Report) {
        self.check(report);
    }

    fn build(&self, context: ExtensionContext) -> Result<Box<dyn Extension>, BuildError> {
        let unusable = |error: hornpipe_engine::sockets::BindError| BuildError::new("endpoint", error.to_string());
        let addresses = resolve_endpoint(&self.endpoint).map_err(unusable)?;
        let listeners: Result<Vec<_>, _> = addresses.into_iter().map(|address| context.sockets.tcp(address)).collect();
        let health = Health { path: self.path.clone(), with_backends: self.backends, status: context.status };
        Ok(Box::new(HealthCheck::new(listeners.map_err(unusable)?, health, context.telemetry)))
    }
}

#[cfg(test)]
mod tests;
