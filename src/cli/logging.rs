//! Our own logs, on standard error.

use std::io::IsTerminal;

use hornpipe_engine::telemetry::{LogEncoding, LogLevel, LogsConfig};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::lines::Lines;

/// Starts logging by way of `to`: hornpipe's own messages from the configured level up, libraries' from warnings up. Coloured on a
/// terminal, unless `NO_COLOR` is set (no-color.org).
pub fn start(config: &LogsConfig, to: &Lines) {
    let level = match config.level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    let targets = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("hornpipe", level);
    let to = to.clone();
    let lines = tracing_subscriber::fmt::layer().with_writer(move || to.clone()).with_target(false);
    let layer = match config.encoding {
        LogEncoding::Console => lines.with_ansi(is_coloured()).boxed(),
        LogEncoding::Json => lines.json().flatten_event(true).boxed(),
    };
    // Only a second start can fail, and there is none.
    let _ = tracing_subscriber::registry().with(layer.with_filter(targets)).try_init();
}

fn is_coloured() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
