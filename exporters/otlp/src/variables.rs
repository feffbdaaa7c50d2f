//! The `OTEL_EXPORTER_OTLP_*` variables.
//!
//! They are those of the OpenTelemetry specification ("OpenTelemetry Protocol Exporter"). Each exists for all signals and
//! for each alone; the signal's own wins. An empty variable counts as unset, and an option wins over its variable.

use hornpipe_engine::config::Environment;
use hornpipe_model::Signal;

use crate::settings::Problem;

pub(crate) const ENDPOINT: &str = "ENDPOINT";
pub(crate) const HEADERS: &str = "HEADERS";
pub(crate) const PROTOCOL: &str = "PROTOCOL";
pub(crate) const COMPRESSION: &str = "COMPRESSION";
pub(crate) const TIMEOUT: &str = "TIMEOUT";
pub(crate) const INSECURE: &str = "INSECURE";
pub(crate) const CERTIFICATE: &str = "CERTIFICATE";
pub(crate) const CLIENT_CERTIFICATE: &str = "CLIENT_CERTIFICATE";
pub(crate) const CLIENT_KEY: &str = "CLIENT_KEY";

/// A variable that is for metrics alone.
pub(crate) const TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";

/// Another one, which asks for what is not done.
pub(crate) const HISTOGRAMS: &str = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";

/// The variables as one signal sees them.
#[derive(Clone, Copy)]
pub(crate) struct Variables<'a> {
    pub(crate) environment: &'a dyn Environment,
    pub(crate) signal: Signal,
}

/// A variable that is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variable {
    /// Its whole name.
    pub(crate) name: String,
    /// Its value, not empty.
    pub(crate) value: String,
}

impl Variables<'_> {
    /// The signal's own variable, else the one for all.
    ///
    /// # Errors
    /// A value that is not text; `option` is what it is the default of.
    pub(crate) fn find(&self, option: &'static str, name: &str) -> Result<Option<Variable>, Problem> {
        match self.own(option, name)? {
            Some(found) => Ok(Some(found)),
            None => self.shared(option, name),
        }
    }

    /// The variable for this signal alone.
    ///
    /// # Errors
    /// As for [`find`](Self::find).
    pub(crate) fn own(&self, option: &'static str, name: &str) -> Result<Option<Variable>, Problem> {
        let signal = match self.signal {
            Signal::Metrics => "METRICS",
            Signal::Logs => "LOGS",
        };
        variable(self.environment, option, format!("OTEL_EXPORTER_OTLP_{signal}_{name}"))
    }

    /// The variable for all signals.
    ///
    /// # Errors
    /// As for [`find`](Self::find).
    pub(crate) fn shared(&self, option: &'static str, name: &str) -> Result<Option<Variable>, Problem> {
        variable(self.environment, option, format!("OTEL_EXPORTER_OTLP_{name}"))
    }
}

/// A variable by its whole name.
///
/// # Errors
/// A value that is not text.
pub(crate) fn variable(
    environment: &dyn Environment,
    option: &'static str,
    name: String,
) -> Result<Option<Variable>, Problem> {
    match environment.variable(&name) {
        Ok(value) => {
            let value = value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
            Ok(value.map(|value| Variable { name, value }))
        }
        Err(why) => Err(Problem::new(option, format!("{name} cannot be used: {why}"))),
    }
}
