//! From a [`Node`] to a typed configuration, with every error in one go.
//!
//! serde stops at the first error of a value. So a value is decoded again and again: what failed is reported and taken
//! out, until the rest decodes. What follows only from something taken out is not reported.

mod access;
mod cursor;
mod error;
mod fill;

use std::collections::HashSet;

use serde::de::DeserializeOwned;

use super::diagnostic::Diagnostics;
use super::node::Node;
use super::path::NodePath;
use cursor::Cursor;
use error::DecodeError;

/// More errors than this in one value are not reported.
const MAX_ERRORS: usize = 100;

/// What bounds the attempts, whatever they end in.
const MAX_ATTEMPTS: usize = 1_000;

/// Decodes `node`, which stands at the dotted `path`, and adds all that is wrong with it to `diagnostics`.
///
/// Also where there are errors this gives a value if it can, with defaults where the errors are, so that it can be
/// validated further; it must not be used when `diagnostics` has errors.
///
/// A `null` stands for the default; a number or truth value is taken as it is written where text is wanted; a text with
/// commas is taken as a list of texts.
pub fn decode<T: DeserializeOwned>(node: &Node, path: &str, diagnostics: &mut Diagnostics) -> Option<T> {
    let path = NodePath::parse(path);
    let mut attempts = Attempts { taken_out: TakenOut::default(), errors: 0 };
    for _ in 0..MAX_ATTEMPTS {
        let cursor = Cursor::root(node, &path, &attempts.taken_out);
        match T::deserialize(cursor) {
            Ok(value) => return Some(value),
            Err(error) => {
                let error = error.at(&cursor);
                attempts.learn(error, node, diagnostics)?;
            }
        }
    }
    None
}

/// A node's identity for as long as its tree is borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct NodeId(usize);

impl NodeId {
    fn of(node: &Node) -> NodeId {
        NodeId(std::ptr::from_ref(node).addr())
    }
}

/// What later attempts do without.
#[derive(Debug, Default)]
struct TakenOut {
    /// Values that are skipped.
    nodes: HashSet<NodeId>,
    /// Values that miss something which was taken out of them.
    wounded: HashSet<NodeId>,
    /// Fields that are required but missing, of which structs get a stand-in so that their other errors show.
    filled: HashSet<(NodeId, &'static str)>,
}

struct Attempts {
    taken_out: TakenOut,
    errors: usize,
}

impl Attempts {
    /// Notes an error and takes its cause out; `None` when nothing is left to try.
    fn learn(&mut self, error: DecodeError, root: &Node, diagnostics: &mut Diagnostics) -> Option<()> {
        let (kind, place) = error.into_parts()?;
        let missing = kind.missing_field();
        let is_wounded = self.taken_out.wounded.contains(&place.node);
        if kind.is_news(&place, is_wounded) {
            self.errors += 1;
            diagnostics.push(kind.diagnostic(&place));
        }
        if self.errors >= MAX_ERRORS {
            return None;
        }
        if let Some(field) = missing
            && self.taken_out.filled.insert((place.node, field))
        {
            self.taken_out.wounded.insert(place.node);
            return Some(());
        }
        let is_root = place.node == NodeId::of(root);
        self.taken_out.nodes.insert(place.node);
        self.taken_out.wounded.extend(place.parents);
        (!is_root).then_some(())
    }
}
