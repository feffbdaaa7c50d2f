//! What the items of a batch share.

use crate::heap::block;

/// A typed attribute value, as in OTLP's `AnyValue`.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    String(String),
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// Raw bytes.
    Bytes(Vec<u8>),
    /// A list of values.
    Array(Vec<Value>),
    /// Keys and values.
    Map(Vec<(String, Value)>),
}

impl Value {
    /// The text, where the value is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// Heap memory that this value holds.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Value::String(text) => block(text.capacity()),
            Value::Bytes(bytes) => block(bytes.capacity()),
            Value::Array(values) => {
                block(values.capacity() * size_of::<Value>()) + values.iter().map(Value::heap_bytes).sum::<usize>()
            }
            Value::Map(pairs) => pairs_bytes(pairs),
            Value::Bool(_) | Value::Int(_) | Value::Double(_) => 0,
        }
    }
}

/// Heap memory of keys with values.
pub(crate) fn pairs_bytes(pairs: &Vec<(String, Value)>) -> usize {
    let each = pairs.iter().map(|(key, value)| block(key.capacity()) + value.heap_bytes());
    block(pairs.capacity() * size_of::<(String, Value)>()) + each.sum::<usize>()
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(text.to_owned())
    }
}

/// Who produced a batch: OpenTelemetry resource attributes, by the semantic conventions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resource {
    /// Attributes with unique keys, in the order in which they were added.
    pub attributes: Vec<(String, Value)>,
    /// Schema URL of the conventions that the keys follow; empty where unknown.
    pub schema_url: String,
}

impl Resource {
    /// The key of the host's name.
    pub const HOST_NAME: &'static str = "host.name";
    /// The key of the service's name.
    pub const SERVICE_NAME: &'static str = "service.name";
    /// The key of the service's version.
    pub const SERVICE_VERSION: &'static str = "service.version";
    /// The key of the environment that a service runs in, such as `prod`.
    pub const DEPLOYMENT_ENVIRONMENT_NAME: &'static str = "deployment.environment.name";
    /// The key that tells apart processes of one service on one host.
    pub const SERVICE_INSTANCE_ID: &'static str = "service.instance.id";
    /// The key by which an OTLP resource names Datadog's `source` of its logs, which selects their pipeline there.
    pub const LOG_SOURCE: &'static str = "datadog.log.source";

    /// The value of an attribute.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.attributes.iter().find(|(found, _)| found == key).map(|(_, value)| value)
    }

    /// Sets an attribute, replacing an earlier value.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        let value = value.into();
        match self.attributes.iter_mut().find(|(found, _)| found == key) {
            Some((_, old)) => *old = value,
            None => self.attributes.push((key.to_owned(), value)),
        }
    }

    /// The host's name, where it is known.
    pub fn host(&self) -> Option<&str> {
        self.get(Self::HOST_NAME).and_then(Value::as_str)
    }
}

/// Which instrumentation made a batch; for our receivers their own name and version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scope {
    /// Name of the instrumentation scope.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Attributes with unique keys.
    pub attributes: Vec<(String, Value)>,
    /// Schema URL; empty where unknown.
    pub schema_url: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_twice_keeps_one_value() {
        let mut resource = Resource::default();
        resource.set(Resource::HOST_NAME, "a");
        resource.set(Resource::HOST_NAME, "b");
        assert_eq!(resource.host(), Some("b"));
        assert_eq!(resource.attributes.len(), 1);
    }
}
