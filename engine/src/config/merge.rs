//! Several files as one.

use std::collections::HashMap;

use super::node::{Node, Value};

/// Lays `over` on `base`: mappings key by key, all else replaced, `null` included. Every value keeps its own place.
pub fn merge(mut base: Node, over: Node) -> Node {
    match (&mut base.value, over.value) {
        (Value::Mapping(entries), Value::Mapping(newer)) => {
            let places: HashMap<String, usize> =
                entries.iter().enumerate().map(|(at, entry)| (entry.key.clone(), at)).collect();
            for entry in newer {
                match places.get(&entry.key).and_then(|at| entries.get_mut(*at)) {
                    Some(known) => {
                        let old =
                            std::mem::replace(&mut known.value, Node::new(entry.key_location.clone(), Value::Null));
                        known.value = merge(old, entry.value);
                        known.key_location = entry.key_location;
                    }
                    None => entries.push(entry),
                }
            }
            base
        }
        (_, value) => Node { value, ..over },
    }
}
