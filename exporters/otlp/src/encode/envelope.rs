//! What stands around points and records: resource and scope.

use hornpipe_model::{Resource, Scope};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource as OtlpResource;

use super::attributes;

/// The most that a field of a message adds to its content: a tag and a length (protobuf varint), in bytes.
pub(super) const FIELD_OVERHEAD: usize = 6;
/// A generous bound of what an attribute takes beside its two texts.
pub(super) const ATTRIBUTE_OVERHEAD: usize = 4 * FIELD_OVERHEAD;

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
