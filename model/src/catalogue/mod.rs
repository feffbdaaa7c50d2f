//! Metrics whose meaning is known before they arrive.
//!
//! The 72 metrics of Datadog's Gunicorn integration, as its catalogue lists them (name, type, unit), with descriptions
//! of our own. They stand here once, as data: receivers take a new context's unit from it, exporters the unit and
//! description of what they send.

use std::collections::HashMap;
use std::sync::LazyLock;

/// How Datadog's catalogue types a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value at a time.
    Gauge,
    /// An amount a second.
    Rate,
}

/// A metric known in advance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WellKnown {
    /// The name at the Datadog intake.
    pub name: &'static str,
    /// Its type there.
    pub kind: Kind,
    /// Datadog's name of the unit (`request`, `millisecond`); for a rate, what is counted.
    pub unit: &'static str,
    /// The same unit as a UCUM code (`{request}`, `ms`), which OTLP uses.
    pub ucum: &'static str,
    /// What it tells.
    pub description: &'static str,
}

static GUNICORN: &str = include_str!("gunicorn.csv");

static BY_NAME: LazyLock<HashMap<&'static str, WellKnown>> =
    LazyLock::new(|| GUNICORN.lines().skip(1).filter_map(parse_row).map(|known| (known.name, known)).collect());

/// The metric of that exact name.
pub fn find(name: &str) -> Option<&'static WellKnown> {
    // A prefix test first: most names of other applications never reach the map.
    if name.starts_with("gunicorn.") { BY_NAME.get(name) } else { None }
}

/// Every well-known metric, in no particular order.
pub fn all() -> impl Iterator<Item = &'static WellKnown> {
    BY_NAME.values()
}

/// Datadog's name for a UCUM unit code; empty where Datadog has none.
pub fn datadog_unit(ucum: &str) -> &'static str {
    UNITS.iter().find(|(_, code)| *code == ucum).map_or("", |(name, _)| name)
}

/// Datadog unit names and their UCUM codes.
const UNITS: [(&str, &str); 8] = [
    ("byte", "By"),
    ("microsecond", "us"),
    ("millisecond", "ms"),
    ("nanosecond", "ns"),
    ("occurrence", "{occurrence}"),
    ("request", "{request}"),
    ("second", "s"),
    ("worker", "{worker}"),
];

fn parse_row(row: &'static str) -> Option<WellKnown> {
    let mut fields = row.splitn(5, ',');
    let name = fields.next()?;
    let kind = match fields.next()? {
        "gauge" => Kind::Gauge,
        "rate" => Kind::Rate,
        _ => return None,
    };
    let unit = fields.next()?;
    let _per_unit = fields.next()?;
    let ucum = UNITS.iter().find(|(datadog, _)| *datadog == unit)?.1;
    Some(WellKnown { name, kind, unit, ucum, description: fields.next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_72_metrics_parse() {
        assert_eq!(all().count(), 72);
        assert_eq!(GUNICORN.lines().count(), 73);
        assert_eq!(all().filter(|known| known.name.starts_with("gunicorn.request.status.")).count(), 61);
    }

    #[test]
    fn types_and_units_are_the_integrations() {
        let requests = find("gunicorn.requests").unwrap();
        assert_eq!((requests.kind, requests.unit, requests.ucum), (Kind::Rate, "request", "{request}"));
        let median = find("gunicorn.request.duration.median").unwrap();
        assert_eq!((median.kind, median.unit, median.ucum), (Kind::Gauge, "millisecond", "ms"));
        assert!(find("gunicorn.request.status.418").is_none(), "418 is not in the catalogue");
        assert!(find("app.requests").is_none());
    }

    #[test]
    fn ucum_codes_have_a_datadog_name() {
        assert_eq!(datadog_unit("ms"), "millisecond");
        assert_eq!(datadog_unit("{parrot}"), "");
    }
}
