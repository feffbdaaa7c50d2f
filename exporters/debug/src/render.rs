//! Data as lines for people.

use std::fmt::Write;
use std::time::Duration;

use hornpipe_model::distribution::Rendering;
use hornpipe_model::{
    Body, CheckStatus, Data, Distribution, Event, Log, MetricPoint, MetricValue, Resource, Tags, Temporality,
    Timestamp, Value,
};

use crate::Verbosity;
use crate::shown::{Shown, ShownLines};

/// The items of `data` at the indexes `items` as lines.
pub fn render(data: &Data, items: &[u32], verbosity: Verbosity) -> String {
    let mut out = String::new();
    if verbosity != Verbosity::Normal {
        let _ = write!(out, "{} {}", items.len(), data.signal().items().replace('_', " "));
        if verbosity == Verbosity::Detailed {
            write_resource(&mut out, resource(data));
        }
        out.push('\n');
    }
    if verbosity == Verbosity::Basic {
        return out;
    }
    for &index in items {
        match data {
            Data::Metrics(batch) => {
                if let Some(point) = batch.points.get(index as usize)
                    && (verbosity == Verbosity::Detailed || !is_zero_fill(&point.value))
                {
                    write_point(&mut out, point);
                }
            }
            Data::Logs(batch) => {
                if let Some(log) = batch.records.get(index as usize) {
                    write_log(&mut out, log);
                }
            }
        }
    }
    out
}

fn resource(data: &Data) -> &Resource {
    match data {
        Data::Metrics(batch) => &batch.resource,
        Data::Logs(batch) => &batch.resource,
    }
}

fn write_resource(out: &mut String, resource: &Resource) {
    out.push_str(" from");
    for (key, value) in &resource.attributes {
        let _ = match value {
            Value::String(text) => write!(out, " {}={}", Shown(key), Shown(text)),
            other => write!(out, " {}={other:?}", Shown(key)),
        };
    }
}

/// A counter known from before that saw nothing: it would be printed for minutes after its last sample.
fn is_zero_fill(value: &MetricValue) -> bool {
    matches!(value, MetricValue::Count { samples: 0, .. })
}

/// `12:00:10  count         gunicorn.requests  5  (0.5/s)  env:prod`
fn write_point(out: &mut String, point: &MetricPoint) {
    let (kind, value) = describe(&point.value, point.window.interval);
    let name = Shown(point.context.name());
    let _ = write!(out, "{}  {kind:<12}  {name}  {value}", clock_time(point.window.end));
    if !point.context.unit().is_empty() && !point.context.unit().starts_with('{') {
        let _ = write!(out, " {}", Shown(point.context.unit()));
    }
    write_tags(out, point.context.tags());
    if let Some(host) = point.context.host() {
        let _ = write!(out, "  host:{}", Shown(host));
    }
    out.push('\n');
}

fn describe(value: &MetricValue, interval: Option<Duration>) -> (&'static str, String) {
    match value {
        MetricValue::Count { sum, .. } => {
            let rate = interval.filter(|span| !span.is_zero()).map(|span| sum / span.as_secs_f64());
            ("count", rate.map_or_else(|| sum.to_string(), |rate| format!("{sum}  ({rate:.3}/s)")))
        }
        MetricValue::Gauge(value) => ("gauge", value.to_string()),
        MetricValue::Distribution(distribution) => ("distribution", describe_distribution(distribution)),
        MetricValue::ServiceCheck(check) => {
            ("check", format!("{} {}", status_name(check.status), Shown(&check.message)))
        }
        MetricValue::Sum { value, temporality, .. } => ("sum", format!("{value}{}", since_start(*temporality))),
        MetricValue::ExponentialHistogram { histogram, temporality } => {
            ("histogram", format!("count={} sum={}{}", histogram.count, histogram.sum, since_start(*temporality)))
        }
    }
}

fn describe_distribution(distribution: &Distribution) -> String {
    let default = Rendering::default();
    let wanted = distribution.note.as_deref().unwrap_or(&default);
    let mut text = String::new();
    for rendered in wanted.render(&distribution.samples) {
        let gap = if text.is_empty() { "" } else { " " };
        let _ = write!(text, "{gap}{}={:.6}", rendered.suffix, rendered.value);
        while text.ends_with('0') {
            text.pop();
        }
        if text.ends_with('.') {
            text.pop();
        }
    }
    text
}

const fn since_start(temporality: Temporality) -> &'static str {
    match temporality {
        Temporality::Delta => "",
        Temporality::Cumulative => " in all",
    }
}

const fn status_name(status: CheckStatus) -> &'static str {
    match status {
        CheckStatus::Ok => "OK",
        CheckStatus::Warning => "WARNING",
        CheckStatus::Critical => "CRITICAL",
        CheckStatus::Unknown => "UNKNOWN",
    }
}

fn write_tags(out: &mut String, tags: &Tags) {
    for (position, tag) in tags.iter().enumerate() {
        let gap = if position == 0 { "  " } else { "," };
        let _ = write!(out, "{gap}{}", Shown(tag));
    }
}

fn write_log(out: &mut String, log: &Log) {
    let _ = write!(out, "{}  log  ", clock_time(log.time_or_observed()));
    if !log.event_name.is_empty() {
        let _ = write!(out, "[{}] ", Shown(&log.event_name));
    }
    if let Some(event) = Event::from_log(log) {
        let _ = write!(out, "{}: ", Shown(&event.title));
    }
    match &log.body {
        Body::Text(text) => {
            let _ = write!(out, "{}", ShownLines(text));
        }
        Body::Bytes(bytes) => {
            let _ = write!(out, "{}", ShownLines(&String::from_utf8_lossy(bytes)));
        }
        Body::Value(value) => {
            let _ = write!(out, "{value:?}");
        }
    }
    write_tags(out, &log.source.tags);
    out.push('\n');
}

/// Time of day, UTC.
fn clock_time(time: Timestamp) -> String {
    let seconds = time.as_secs() % 86_400;
    format!("{:02}:{:02}:{:02}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hornpipe_model::{Context, MetricBatch, Origin, Samples, Scope, ServiceCheck, Window, WireType};

    use super::*;

    fn point(name: &str, tags: &[&str], value: MetricValue) -> MetricPoint {
        MetricPoint {
            context: Arc::new(Context::new(name, tags.iter().collect())),
            window: Window {
                start: Timestamp::from_secs(36_000),
                end: Timestamp::from_secs(36_010),
                interval: Some(Duration::from_secs(10)),
            },
            origin: Origin::Statsd,
            value,
        }
    }

    fn batch() -> Data {
        let mut samples = Samples::new();
        for value in 1..=20 {
            samples.push(f64::from(value), 1.0);
        }
        let duration = Distribution { wire_type: WireType::Timing, note: None, samples: Arc::new(samples) };
        let mut resource = Resource::default();
        resource.set(Resource::HOST_NAME, "web1");
        let points = vec![
            point("gunicorn.requests", &["env:prod", "canary"], MetricValue::Count { sum: 5.0, samples: 5 }),
            point("queue.depth", &[], MetricValue::Gauge(2.5)),
            point("gunicorn.request.duration", &[], MetricValue::Distribution(duration)),
        ];
        MetricBatch { resource: Arc::new(resource), scope: Arc::new(Scope::default()), points }.into()
    }

    #[test]
    fn every_point_is_one_line() {
        let text = render(&batch(), &[0, 1, 2], Verbosity::Normal);
        assert_eq!(
            text,
            "10:00:10Z  count         gunicorn.requests  5  (0.500/s)  canary,env:prod\n\
             10:00:10Z  gauge         queue.depth  2.5\n\
             10:00:10Z  distribution  gunicorn.request.duration  max=20 median=10 avg=10.5 count=20 95percentile=19\n"
        );
    }

    #[test]
    fn what_comes_from_outside_cannot_write_to_the_terminal() {
        let check = ServiceCheck { status: CheckStatus::Ok, message: "fine\x1b[0m".into() };
        let points = vec![point("a\x1b[31m\nb", &["t:\x07"], MetricValue::ServiceCheck(Box::new(check)))];
        let (resource, scope) = (Arc::new(Resource::default()), Arc::new(Scope::default()));
        let text = render(&MetricBatch { resource, scope, points }.into(), &[0], Verbosity::Normal);
        assert_eq!(text, "10:00:10Z  check         a\\u{1b}[31m\\nb  OK fine\\u{1b}[0m  t:\\u{7}\n");
    }

    #[test]
    fn a_counter_that_saw_nothing_is_printed_only_in_detail() {
        let point = point("gunicorn.requests", &[], MetricValue::Count { sum: 0.0, samples: 0 });
        let (resource, scope) = (Arc::new(Resource::default()), Arc::new(Scope::default()));
        let batch = Data::from(MetricBatch { resource, scope, points: vec![point] });
        assert_eq!(render(&batch, &[0], Verbosity::Normal), "");
        assert!(render(&batch, &[0], Verbosity::Detailed).contains("gunicorn.requests  0"));
    }

    #[test]
    fn basic_counts_and_detailed_names_the_resource() {
        assert_eq!(render(&batch(), &[0, 1], Verbosity::Basic), "2 metric points\n");
        let detailed = render(&batch(), &[1], Verbosity::Detailed);
        assert!(detailed.starts_with("1 metric points from host.name=web1\n10:00:10Z  gauge"), "{detailed}");
    }
}
