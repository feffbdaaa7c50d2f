//! What becomes of one record.

use std::borrow::Cow;

use hornpipe_engine::component::Reason;
use hornpipe_engine::logs::{Rules, Verdict};
use hornpipe_model::{Body, Log, Value};

use crate::masks::{MASKED, Masks};

/// What to do with a record.
#[derive(Debug, PartialEq)]
pub(crate) enum Change {
    Drop(Reason),
    /// What is masked takes the place of what was there.
    Mask {
        body: Option<Body>,
        attributes: Option<Vec<(String, Value)>>,
    },
}

/// Everything that is looked for.
pub(crate) struct Filters {
    pub(crate) rules: Rules,
    pub(crate) masks: Masks,
}

impl Filters {
    /// What becomes of a record; `None` where it stays as it is. Rules drop by the record's text alone; masks apply to its
    /// attributes too, where a parser may have put a copy of what the text holds.
    pub(crate) fn change(&self, log: &Log) -> Option<Change> {
        let body = match &log.body {
            Body::Text(text) => self.text(text.as_bytes()),
            Body::Bytes(bytes) => self.text(bytes),
            Body::Value(value) => self.typed(value),
        };
        match body {
            Err(reason) => Some(Change::Drop(reason)),
            Ok(body) => {
                let attributes = self.masked_pairs(&log.attributes);
                (body.is_some() || attributes.is_some()).then_some(Change::Mask { body, attributes })
            }
        }
    }

    fn text(&self, text: &[u8]) -> Result<Option<Body>, Reason> {
        match self.rules.apply(text) {
            Verdict::Drop(reason) => Err(reason),
            Verdict::Keep(Cow::Borrowed(text)) => Ok(self.masks.mask(text).map(Body::from_bytes)),
            Verdict::Keep(Cow::Owned(text)) => Ok(Some(Body::from_bytes(self.masks.mask(&text).unwrap_or(text)))),
        }
    }

    /// The texts of a typed value are lines of one text to the rules.
    fn typed(&self, value: &Value) -> Result<Option<Body>, Reason> {
        let mut texts = Vec::new();
        collect(value, &mut texts);
        match self.rules.apply(texts.join("\n").as_bytes()) {
            Verdict::Drop(reason) => Err(reason),
            Verdict::Keep(_) => Ok(self.masked(value).map(Body::Value)),
        }
    }

    /// The value with its texts masked; `None` where nothing is.
    fn masked(&self, value: &Value) -> Option<Value> {
        match value {
            Value::String(text) => self.masked_text(text).map(Value::String),
            Value::Array(values) => {
                let masked: Vec<Option<Value>> = values.iter().map(|value| self.masked(value)).collect();
                masked.iter().any(Option::is_some).then(|| {
                    let values = masked.into_iter().zip(values);
                    Value::Array(values.map(|(masked, value)| masked.unwrap_or_else(|| value.clone())).collect())
                })
            }
            Value::Map(pairs) => self.masked_pairs(pairs).map(Value::Map),
            Value::Bool(_) | Value::Int(_) | Value::Double(_) | Value::Bytes(_) => None,
        }
    }

    fn masked_pairs(&self, pairs: &[(String, Value)]) -> Option<Vec<(String, Value)>> {
        let mut changed: Option<Vec<(String, Value)>> = None;
        for (index, (key, value)) in pairs.iter().enumerate() {
            let masked = if self.masks.hides(key) { hidden(value) } else { self.masked(value) };
            if let Some(masked) = masked
                && let Some((_, value)) = changed.get_or_insert_with(|| pairs.to_vec()).get_mut(index)
            {
                *value = masked;
            }
        }
        changed
    }

    fn masked_text(&self, text: &str) -> Option<String> {
        let by_rules = self.rules.mask(text.as_bytes());
        let by_masks = self.masks.mask(by_rules.as_deref().unwrap_or(text.as_bytes()));
        let masked = by_masks.or(by_rules)?;
        Some(String::from_utf8(masked).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }
}

/// A secret value: nothing is left of its texts and numbers. `None` where it has none.
fn hidden(value: &Value) -> Option<Value> {
    match value {
        Value::Bool(_) => None,
        Value::String(text) if text.is_empty() => None,
        Value::Array(values) if values.is_empty() => None,
        _ => Some(Value::from(MASKED)),
    }
}

fn collect<'v>(value: &'v Value, texts: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(values) => values.iter().for_each(|value| collect(value, texts)),
        Value::Map(pairs) => pairs.iter().for_each(|(_, value)| collect(value, texts)),
        Value::Bool(_) | Value::Int(_) | Value::Double(_) | Value::Bytes(_) => {}
    }
}
