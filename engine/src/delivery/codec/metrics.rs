//! Metric points.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use hornpipe_model::distribution::{
    Aggregate, Buckets, ExponentialHistogram, Percentile, Rendering, SamplesEntries, SamplesParts,
};
use hornpipe_model::{
    CheckStatus, Context, Distribution, MetricBatch, MetricPoint, MetricValue, Origin, Samples, ServiceCheck,
    Temporality, Timestamp, Window, WireType,
};

use super::Unreadable;
use super::bytes::{Reader, Writer};
use super::shared::{read_origin, read_tags, write_origin, write_tags};

const COUNT: u8 = 0;
const GAUGE: u8 = 1;
const DISTRIBUTION: u8 = 2;
const SERVICE_CHECK: u8 = 3;
const SUM: u8 = 4;
const EXPONENTIAL_HISTOGRAM: u8 = 5;

const EXACT: u8 = 0;
const SKETCH: u8 = 1;

/// Window, context and value at their smallest.
const SMALLEST_POINT: usize = 24;

pub(super) fn write(batch: &MetricBatch, writer: &mut Writer<'_>) {
    let MetricBatch { resource, scope, points } = batch;
    write_origin(resource, scope, writer);
    writer.list(points.iter(), write_point);
}

pub(super) fn read(reader: &mut Reader<'_>) -> Result<MetricBatch, Unreadable> {
    let (resource, scope) = read_origin(reader)?;
    let points = reader.list(SMALLEST_POINT, read_point)?;
    Ok(MetricBatch { resource, scope, points })
}

fn write_point(point: &MetricPoint, writer: &mut Writer<'_>) {
    let MetricPoint { context, window, origin, value } = point;
    let Window { start, end, interval } = window;
    writer.fixed(start.as_nanos());
    writer.fixed(end.as_nanos());
    // A span of 584 years fits; none is written as 0, which is no interval.
    writer.number(interval.map_or(0, |interval| u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX)));
    writer.byte(match origin {
        Origin::Statsd => 0,
        Origin::Check => 1,
        Origin::Otlp => 2,
        Origin::Own => 3,
    });
    writer.text(context.name());
    write_tags(context.tags(), writer);
    write_optional(context.host(), writer, |host, writer| writer.text(host));
    writer.text(context.unit());
    write_value(value, writer);
}

fn read_point(reader: &mut Reader<'_>) -> Result<MetricPoint, Unreadable> {
    let start = Timestamp::from_nanos(reader.fixed()?);
    let end = Timestamp::from_nanos(reader.fixed()?);
    let interval = Some(reader.number()?).filter(|nanos| *nanos > 0).map(Duration::from_nanos);
    let origin = match reader.byte()? {
        0 => Origin::Statsd,
        1 => Origin::Check,
        2 => Origin::Otlp,
        3 => Origin::Own,
        _ => return Err(Unreadable),
    };
    let name = reader.text()?;
    let tags = read_tags(reader)?;
    let host = read_optional(reader, Reader::text)?;
    let unit = Cow::Owned(reader.text()?.to_owned());
    let context = Arc::new(Context::with_unit(name, tags, host, unit));
    Ok(MetricPoint { context, window: Window { start, end, interval }, origin, value: read_value(reader)? })
}

fn write_value(value: &MetricValue, writer: &mut Writer<'_>) {
    match value {
        MetricValue::Count { sum, samples } => {
            writer.byte(COUNT);
            writer.float(*sum);
            writer.number(*samples);
        }
        MetricValue::Gauge(value) => {
            writer.byte(GAUGE);
            writer.float(*value);
        }
        MetricValue::Distribution(distribution) => {
            writer.byte(DISTRIBUTION);
            write_distribution(distribution, writer);
        }
        MetricValue::ServiceCheck(check) => {
            let ServiceCheck { status, message } = check.as_ref();
            writer.byte(SERVICE_CHECK);
            writer.byte(*status as u8);
            writer.text(message);
        }
        MetricValue::Sum { value, monotonic, temporality } => {
            writer.byte(SUM);
            writer.float(*value);
            writer.byte(u8::from(*monotonic));
            write_temporality(*temporality, writer);
        }
        MetricValue::ExponentialHistogram { histogram, temporality } => {
            writer.byte(EXPONENTIAL_HISTOGRAM);
            write_temporality(*temporality, writer);
            write_histogram(histogram, writer);
        }
    }
}

fn read_value(reader: &mut Reader<'_>) -> Result<MetricValue, Unreadable> {
    Ok(match reader.byte()? {
        COUNT => MetricValue::Count { sum: reader.float()?, samples: reader.number()? },
        GAUGE => MetricValue::Gauge(reader.float()?),
        DISTRIBUTION => MetricValue::Distribution(read_distribution(reader)?),
        SERVICE_CHECK => {
            let status = match reader.byte()? {
                0 => CheckStatus::Ok,
                1 => CheckStatus::Warning,
                2 => CheckStatus::Critical,
                3 => CheckStatus::Unknown,
                _ => return Err(Unreadable),
            };
            MetricValue::ServiceCheck(Box::new(ServiceCheck { status, message: reader.text()?.into() }))
        }
        SUM => MetricValue::Sum {
            value: reader.float()?,
            monotonic: reader.byte()? != 0,
            temporality: read_temporality(reader)?,
        },
        EXPONENTIAL_HISTOGRAM => {
            let temporality = read_temporality(reader)?;
            MetricValue::ExponentialHistogram { histogram: Arc::new(read_histogram(reader)?), temporality }
        }
        _ => return Err(Unreadable),
    })
}

fn write_temporality(temporality: Temporality, writer: &mut Writer<'_>) {
    writer.byte(match temporality {
        Temporality::Delta => 0,
        Temporality::Cumulative => 1,
    });
}

fn read_temporality(reader: &mut Reader<'_>) -> Result<Temporality, Unreadable> {
    match reader.byte()? {
        0 => Ok(Temporality::Delta),
        1 => Ok(Temporality::Cumulative),
        _ => Err(Unreadable),
    }
}

fn write_distribution(distribution: &Distribution, writer: &mut Writer<'_>) {
    let Distribution { wire_type, note, samples } = distribution;
    writer.byte(match wire_type {
        WireType::Histogram => 0,
        WireType::Timing => 1,
        WireType::Distribution => 2,
    });
    write_optional(note.as_deref(), writer, |note, writer| {
        let Rendering { aggregates, percentiles } = note;
        writer.list(aggregates.iter(), |aggregate, writer| writer.text(aggregate.as_str()));
        writer.list(percentiles.iter(), |percentile, writer| writer.float(percentile.fraction()));
    });
    let SamplesParts { samples, count, sum, min, max, entries } = samples.parts();
    writer.number(samples);
    count.into_iter().chain(sum).chain([min, max]).for_each(|number| writer.float(number));
    match entries {
        SamplesEntries::Exact { values, weights } => {
            writer.byte(EXACT);
            write_floats(&values, writer);
            write_floats(&weights, writer);
        }
        SamplesEntries::Sketch { keys, weights } => {
            writer.byte(SKETCH);
            writer.list(keys.iter(), |key, writer| writer.signed(i64::from(*key)));
            write_floats(&weights, writer);
        }
    }
}

fn read_distribution(reader: &mut Reader<'_>) -> Result<Distribution, Unreadable> {
    let wire_type = match reader.byte()? {
        0 => WireType::Histogram,
        1 => WireType::Timing,
        2 => WireType::Distribution,
        _ => return Err(Unreadable),
    };
    let note = read_optional(reader, |reader| {
        let aggregates = reader.list(1, |reader| reader.text()?.parse::<Aggregate>().map_err(|_| Unreadable))?;
        let percentiles = reader.list(8, |reader| Percentile::try_from(reader.float()?).map_err(|_| Unreadable))?;
        Ok(Arc::new(Rendering { aggregates, percentiles }))
    })?;
    let parts = SamplesParts {
        samples: reader.number()?,
        count: [reader.float()?, reader.float()?],
        sum: [reader.float()?, reader.float()?],
        min: reader.float()?,
        max: reader.float()?,
        entries: match reader.byte()? {
            EXACT => {
                SamplesEntries::Exact { values: read_floats(reader)?.into(), weights: read_floats(reader)?.into() }
            }
            SKETCH => {
                let key = |reader: &mut Reader<'_>| i32::try_from(reader.signed()?).map_err(|_| Unreadable);
                SamplesEntries::Sketch { keys: reader.list(1, key)?.into(), weights: read_floats(reader)?.into() }
            }
            _ => return Err(Unreadable),
        },
    };
    let samples = Arc::new(Samples::from_parts(parts).ok_or(Unreadable)?);
    Ok(Distribution { wire_type, note, samples })
}

fn write_histogram(histogram: &ExponentialHistogram, writer: &mut Writer<'_>) {
    let ExponentialHistogram { scale, zero_count, positive, negative, count, sum, min, max } = histogram;
    writer.signed(i64::from(*scale));
    writer.number(*zero_count);
    for Buckets { offset, counts } in [positive, negative] {
        writer.signed(i64::from(*offset));
        writer.list(counts.iter(), |count, writer| writer.number(*count));
    }
    writer.number(*count);
    [sum, min, max].into_iter().for_each(|number| writer.float(*number));
}

fn read_histogram(reader: &mut Reader<'_>) -> Result<ExponentialHistogram, Unreadable> {
    let small = |reader: &mut Reader<'_>| i32::try_from(reader.signed()?).map_err(|_| Unreadable);
    let buckets = |reader: &mut Reader<'_>| {
        Ok::<_, Unreadable>(Buckets { offset: small(reader)?, counts: reader.list(1, Reader::number)? })
    };
    Ok(ExponentialHistogram {
        scale: small(reader)?,
        zero_count: reader.number()?,
        positive: buckets(reader)?,
        negative: buckets(reader)?,
        count: reader.number()?,
        sum: reader.float()?,
        min: reader.float()?,
        max: reader.float()?,
    })
}

fn write_floats(numbers: &[f64], writer: &mut Writer<'_>) {
    writer.list(numbers.iter(), |number, writer| writer.float(*number));
}

fn read_floats(reader: &mut Reader<'_>) -> Result<Vec<f64>, Unreadable> {
    reader.list(8, Reader::float)
}

fn write_optional<T>(value: Option<T>, writer: &mut Writer<'_>, write: impl FnOnce(T, &mut Writer<'_>)) {
    writer.byte(u8::from(value.is_some()));
    if let Some(value) = value {
        write(value, writer);
    }
}

fn read_optional<'a, T>(
    reader: &mut Reader<'a>,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, Unreadable>,
) -> Result<Option<T>, Unreadable> {
    match reader.byte()? {
        0 => Ok(None),
        1 => read(reader).map(Some),
        _ => Err(Unreadable),
    }
}
