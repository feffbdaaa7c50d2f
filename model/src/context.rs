//! What a series is called.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hash, Hasher};

use crate::Tags;
use crate::catalogue;

/// The identity of a series: name, tags, host override and unit.
///
/// Made once, shared by `Arc`, and kept across windows: a cache keyed by context sees the same value again. Its hash
/// is computed once; equality compares addresses first.
#[derive(Debug)]
pub struct Context {
    name: Box<str>,
    tags: Tags,
    host: Option<Box<str>>,
    unit: Cow<'static, str>,
    hash: u64,
}

impl Context {
    /// A context whose unit is the one of a well-known metric of that name, if there is one.
    pub fn new(name: &str, tags: Tags) -> Self {
        let unit = catalogue::find(name).map_or("", |known| known.ucum);
        Context::with_unit(name, tags, None, Cow::Borrowed(unit))
    }

    /// A context with everything said. `host` is the client's own override of `host.name`: empty means "no host".
    /// `unit` is a UCUM code (`ms`, `By`, `{request}`), empty where unknown.
    pub fn with_unit(name: &str, tags: Tags, host: Option<&str>, unit: Cow<'static, str>) -> Self {
        // Fixed keys: contexts of equal content hash alike wherever they were made.
        let hash = FixedState.hash_one((name, &tags, host, &unit));
        Context { name: name.into(), tags, host: host.map(Into::into), unit, hash }
    }

    /// The metric's name, as the client wrote it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its tags.
    pub fn tags(&self) -> &Tags {
        &self.tags
    }

    /// The client's own host (`host:` tag), which replaces the resource's `host.name`; empty means "no host".
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// UCUM code of the unit, empty where unknown.
    pub fn unit(&self) -> &str {
        &self.unit
    }

    /// Bytes that this context takes, itself included.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.name.len() + self.tags.heap_bytes() + self.host.as_ref().map_or(0, |host| host.len())
    }
}

impl PartialEq for Context {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
            || (self.hash == other.hash
                && self.name == other.name
                && self.tags == other.tags
                && self.host == other.host
                && self.unit == other.unit)
    }
}

impl Eq for Context {}

impl Hash for Context {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// SipHash with fixed keys.
struct FixedState;

impl BuildHasher for FixedState {
    type Hasher = std::hash::DefaultHasher;

    fn build_hasher(&self) -> Self::Hasher {
        std::hash::DefaultHasher::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_content_is_the_same_series() {
        let tags = || ["b:2", "a:1"].into_iter().collect::<Tags>();
        assert_eq!(Context::new("x", tags()), Context::new("x", ["a:1", "b:2"].into_iter().collect()));
        assert_ne!(Context::new("x", tags()), Context::new("y", tags()));
        let elsewhere = Context::with_unit("x", tags(), Some("web2"), Cow::Borrowed(""));
        assert_ne!(Context::new("x", tags()), elsewhere);
    }

    #[test]
    fn a_well_known_metric_brings_its_unit() {
        assert_eq!(Context::new("gunicorn.requests", Tags::default()).unit(), "{request}");
        assert_eq!(Context::new("some.app.metric", Tags::default()).unit(), "");
    }
}
