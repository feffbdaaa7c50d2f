//! What stands around points and records: resource and scope.

use hornpipe_model::{Resource, Scope};

use super::attributes::{put_pair, put_value, put_values};
use super::owner::Owner;
use super::wire::{Field, field_len, put_bytes, put_header, put_text, text_len};

/// The field of `ExportMetricsServiceRequest` and `ExportLogsServiceRequest` that repeats.
pub(super) const GROUPS: Field = 1;

/// Fields of `ResourceMetrics` and `ResourceLogs`, of `ScopeMetrics` and `ScopeLogs`: they have the same shape.
const OWNER: Field = 1;
const CONTENT: Field = 2;
const SCHEMA_URL: Field = 3;

/// Fields of `Resource`.
const RESOURCE_ATTRIBUTES: Field = 1;

/// Fields of `InstrumentationScope`.
const SCOPE_NAME: Field = 1;
const SCOPE_VERSION: Field = 2;
const SCOPE_ATTRIBUTES: Field = 3;

/// The most that a message's own header takes: a tag and a length, in bytes.
pub(super) const HEADER_BYTES: usize = 6;

/// The resource and the scope around one group of metrics or records, as messages.
#[derive(Clone, Debug)]
pub(super) struct Envelope<'a> {
    resource: Vec<u8>,
    resource_schema_url: &'a str,
    scope: Vec<u8>,
    scope_schema_url: &'a str,
}

impl<'a> Envelope<'a> {
    /// The envelope of a batch's resource and scope, with the resource's attributes replaced by those of `owner`; an empty
    /// text takes the attribute away.
    pub(super) fn new(resource: &'a Resource, scope: &'a Scope, owner: Owner<'_>) -> Self {
        Envelope {
            resource: resource_message(resource, owner),
            resource_schema_url: &resource.schema_url,
            scope: scope_message(scope),
            scope_schema_url: &scope.schema_url,
        }
    }

    /// Bytes of the envelope around nothing, at most.
    pub(super) fn bytes(&self) -> usize {
        self.len(0) + 2 * HEADER_BYTES
    }

    /// Bytes of the `ResourceMetrics` or `ResourceLogs` around so many bytes of content.
    pub(super) fn len(&self, content: usize) -> usize {
        field_len(self.resource.len()) + field_len(self.scope_len(content)) + text_len(self.resource_schema_url)
    }

    fn scope_len(&self, content: usize) -> usize {
        field_len(self.scope.len()) + content + text_len(self.scope_schema_url)
    }

    /// Writes the whole group into `GROUPS`; `put_content` writes so many bytes, each metric or record into
    /// [`Envelope::CONTENT`].
    pub(super) fn put(&self, buffer: &mut Vec<u8>, content: usize, put_content: impl FnOnce(&mut Vec<u8>)) {
        self.put_front(buffer, content);
        put_content(buffer);
        self.put_end(buffer);
    }

    /// Writes what stands before so many bytes of content.
    pub(super) fn put_front(&self, buffer: &mut Vec<u8>, content: usize) {
        put_header(buffer, GROUPS, self.len(content));
        put_bytes(buffer, OWNER, &self.resource);
        put_header(buffer, CONTENT, self.scope_len(content));
        put_bytes(buffer, OWNER, &self.scope);
    }

    /// Writes what stands behind the content.
    pub(super) fn put_end(&self, buffer: &mut Vec<u8>) {
        put_text(buffer, SCHEMA_URL, self.scope_schema_url);
        put_text(buffer, SCHEMA_URL, self.resource_schema_url);
    }

    /// The field of the scope that holds its metrics or records.
    pub(super) const CONTENT: Field = CONTENT;
}

fn resource_message(resource: &Resource, owner: Owner<'_>) -> Vec<u8> {
    let mut message = Vec::new();
    let replaced = |key: &str| owner.attributes().find(|(replaced, _)| *replaced == key);
    for (key, value) in &resource.attributes {
        match replaced(key) {
            None => put_value(&mut message, RESOURCE_ATTRIBUTES, key, value),
            Some((_, "")) => {}
            Some((_, text)) => put_pair(&mut message, RESOURCE_ATTRIBUTES, key, text),
        }
    }
    for (key, text) in owner.attributes().filter(|(key, text)| !text.is_empty() && resource.get(key).is_none()) {
        put_pair(&mut message, RESOURCE_ATTRIBUTES, key, text);
    }
    message
}

fn scope_message(scope: &Scope) -> Vec<u8> {
    let mut message = Vec::new();
    put_text(&mut message, SCOPE_NAME, &scope.name);
    put_text(&mut message, SCOPE_VERSION, &scope.version);
    put_values(&mut message, SCOPE_ATTRIBUTES, &scope.attributes);
    message
}
