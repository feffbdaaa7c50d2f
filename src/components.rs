//! Everything that this binary can do: the one list of components built in.

use hornpipe_engine::Registry;

/// The built-in components.
pub fn registry() -> Registry {
    Registry::default()
        .receiver::<hornpipe_filelog_receiver::FilelogConfig>()
        .receiver::<hornpipe_gunicorn_receiver::GunicornConfig>()
        .receiver::<hornpipe_statsd_receiver::StatsdConfig>()
        .processor::<hornpipe_filter_processor::FilterConfig>()
        .processor::<hornpipe_multiline_processor::MultilineConfig>()
        .processor::<hornpipe_parse_processor::ParseConfig>()
        .processor::<hornpipe_percentiles_processor::PercentilesConfig>()
        .processor::<hornpipe_prefer_check_processor::PreferCheckConfig>()
        .processor::<hornpipe_tagging_processor::TaggingConfig>()
        .exporter::<hornpipe_datadog_exporter::DatadogConfig>()
        .exporter::<hornpipe_debug_exporter::DebugConfig>()
        .exporter::<hornpipe_otlp_exporter::OtlpConfig>()
        .exporter::<hornpipe_otlp_exporter::OtlpHttpConfig>()
        .extension::<hornpipe_file_storage_extension::FileStorageConfig>()
        .extension::<hornpipe_health_check_extension::HealthCheckConfig>()
}
