//! What stands around points and records: resource and scope.

use hornpipe_model::{Resource, Scope, Tags};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource as OtlpResource;

use super::attributes;

/// The scope of a batch.
pub(super) fn scope(scope: &Scope) -> InstrumentationScope {
    InstrumentationScope {
        name: scope.name.clone(),
        version: scope.version.clone(),
        attributes: attributes::from_values(&scope.attributes),
        dropped_attributes_count: 0,
    }
}

/// The resource of a batch, with some attributes replaced by others; an empty text takes the attribute away.
pub(super) fn resource(shared: &Resource, replaced: &[(&str, Option<&str>)]) -> OtlpResource {
    let mut all = attributes::from_values(&shared.attributes);
    for &(key, value) in replaced {
        let Some(value) = value else { continue };
        let attribute = attributes::key_value(key, attributes::text(value));
        match all.iter_mut().find(|known| known.key == key) {
            Some(known) => *known = attribute,
            None => all.push(attribute),
        }
        all.retain(|known| known.key != key || !value.is_empty());
    }
    OtlpResource { attributes: all, ..OtlpResource::default() }
}

/// The value of a tag that stands once with a value.
pub(super) fn only<'a>(tags: &'a Tags, key: &'a str) -> Option<&'a str> {
    let values = tags.iter().filter_map(move |tag| tag.strip_prefix(key)?.strip_prefix(':'));
    let mut values = values.filter(|value| !value.is_empty());
    let value = values.next()?;
    values.next().is_none().then_some(value)
}
