//! What became of each log source, remembered.

use std::collections::HashMap;
use std::sync::Arc;

use hornpipe_model::LogSource;

use crate::rules::Rules;

/// Sources whose tags are remembered: far more than there are open files.
const MAX_REMEMBERED: usize = 10_000;

/// The results of the rules by source.
pub(crate) struct Sources {
    rules: Arc<Rules>,
    /// By address; each entry keeps its source alive, so that no other can come to the same address.
    known: HashMap<usize, (Arc<LogSource>, Option<Arc<LogSource>>)>,
}

impl Sources {
    /// An empty memory.
    pub(crate) fn new(rules: Arc<Rules>) -> Self {
        Sources { rules, known: HashMap::new() }
    }

    /// Forgets everything where the limit is reached.
    pub(crate) fn make_room(&mut self) {
        if self.known.len() >= MAX_REMEMBERED {
            self.known.clear();
        }
    }

    /// The source that takes the place of this one; `None` where it stays.
    pub(crate) fn tagged(&mut self, source: &Arc<LogSource>) -> Option<Arc<LogSource>> {
        let (_, changed) = self.known.entry(Arc::as_ptr(source).addr()).or_insert_with(|| {
            let changed = self.rules.source(source).map(Arc::new);
            (Arc::clone(source), changed)
        });
        changed.clone()
    }
}
