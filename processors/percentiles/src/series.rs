//! A distribution as separate series.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use hornpipe_model::distribution::Rendering;
use hornpipe_model::{Context, MetricPoint, MetricValue, Samples, catalogue};

use crate::MAX_REMEMBERED;

/// The contexts of the series made from a context, so that they too live across windows.
#[derive(Default)]
pub struct SeriesNames {
    known: HashMap<(Arc<Context>, Cow<'static, str>), Arc<Context>>,
}

impl SeriesNames {
    /// The wanted series of a point's samples: a count for `.count`, gauges for all else.
    pub fn series(&mut self, point: &MetricPoint, wanted: &Rendering, samples: &Samples) -> Vec<MetricPoint> {
        wanted
            .render(samples)
            .map(|rendered| {
                let value = if rendered.is_count {
                    MetricValue::Count { sum: rendered.value, samples: samples.len() as u64 }
                } else {
                    MetricValue::Gauge(rendered.value)
                };
                let context = self.context(&point.context, rendered.suffix, rendered.is_count);
                MetricPoint { context, value, ..point.clone() }
            })
            .collect()
    }

    fn context(&mut self, base: &Arc<Context>, suffix: Cow<'static, str>, is_count: bool) -> Arc<Context> {
        if self.known.len() >= MAX_REMEMBERED {
            self.known.clear();
        }
        let made = self.known.entry((Arc::clone(base), suffix)).or_insert_with_key(|(base, suffix)| {
            let name = format!("{}.{suffix}", base.name());
            let unit: Cow<'static, str> = match catalogue::find(&name) {
                Some(known) => Cow::Borrowed(known.ucum),
                None if is_count => Cow::Borrowed(""),
                None => Cow::Owned(base.unit().to_owned()),
            };
            Arc::new(Context::with_unit(&name, base.tags().clone(), base.host(), unit))
        });
        Arc::clone(made)
    }
}
