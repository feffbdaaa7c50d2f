//! What became of each context, remembered.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use hornpipe_model::{Context, Tags};

use crate::rules::Rules;

/// The number of a series that goes out.
pub(crate) type SeriesId = usize;

/// What became of a context.
#[derive(Clone, Debug)]
pub(crate) struct Tagged {
    /// The new context; `None` where it stays as it is.
    pub(crate) context: Option<Arc<Context>>,
    /// The series that it is part of from here on.
    pub(crate) series: SeriesId,
}

/// The results of the rules by context, so that they run once a context and not once a window, and the series that more
/// than one context leads to, so that nobody looks for points to merge where there cannot be any.
pub(crate) struct Contexts {
    rules: Arc<Rules>,
    limit: usize,
    known: HashMap<Arc<Context>, Tagged>,
    series: HashMap<Series, SeriesId>,
    is_shared: Vec<bool>,
}

impl Contexts {
    /// An empty memory for about `limit` contexts.
    pub(crate) fn new(rules: Arc<Rules>, limit: usize) -> Self {
        Contexts { rules, limit, known: HashMap::new(), series: HashMap::new(), is_shared: Vec::new() }
    }

    /// Forgets everything where the limit is reached. Only between batches: within one, all contexts have to be known
    /// to tell which series are shared.
    pub(crate) fn make_room(&mut self) {
        if self.known.len() >= self.limit {
            self.known.clear();
            self.series.clear();
            self.is_shared.clear();
        }
    }

    /// What becomes of a context.
    pub(crate) fn tagged(&mut self, context: &Arc<Context>) -> Tagged {
        if let Some(known) = self.known.get(context) {
            return known.clone();
        }
        let changed = self.rules.context(context).map(Arc::new);
        let series = self.join_series(changed.as_ref().unwrap_or(context));
        let tagged = Tagged { context: changed, series };
        self.known.insert(Arc::clone(context), tagged.clone());
        tagged
    }

    /// True where several contexts became this series, so that it can have several points a window.
    pub(crate) fn is_shared(&self, series: SeriesId) -> bool {
        self.is_shared.get(series).copied().unwrap_or(false)
    }

    fn join_series(&mut self, context: &Arc<Context>) -> SeriesId {
        let next = self.is_shared.len();
        let series = *self.series.entry(Series(Arc::clone(context))).or_insert(next);
        match self.is_shared.get_mut(series) {
            Some(is_shared) => *is_shared = true,
            None => self.is_shared.push(false),
        }
        series
    }
}

/// A context as backends tell series apart: by name, tags and host. A unit is not part of it, since of the series that
/// become one some may have a unit (`gunicorn.request.status.200`) and some none (`gunicorn.request.status.418`).
struct Series(Arc<Context>);

impl Series {
    fn identity(&self) -> (&str, &Tags, Option<&str>) {
        (self.0.name(), self.0.tags(), self.0.host())
    }
}

impl PartialEq for Series {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Series {}

impl Hash for Series {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}
