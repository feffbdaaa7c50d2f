//! What is wrong with a configuration, for people.

use std::fmt;

use super::location::Location;
use super::path::NodePath;
use super::render;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, but probably does not do what was meant.
    Warning,
}

/// One finding. It never holds a secret: whoever makes one names values that came from outside the file by their
/// reference, and the source line is masked when it is rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Where it is, if it is anywhere.
    pub location: Option<Location>,
    /// What it is about.
    pub path: NodePath,
    /// What is wrong: lower case, no final period.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// True where a choice between words is none of them: what stands beside it may well be right for the one that was meant.
    pub(super) is_unknown_choice: bool,
}

impl Diagnostic {
    /// An error without a place.
    pub fn error(message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Error, message.into())
    }

    /// A warning without a place.
    pub fn warning(message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Warning, message.into())
    }

    pub(super) fn new(severity: Severity, message: String) -> Diagnostic {
        Diagnostic { severity, location: None, path: NodePath::root(), message, help: None, is_unknown_choice: false }
    }

    /// The same at a place.
    #[must_use]
    pub fn at(mut self, location: &Location) -> Diagnostic {
        self.location = Some(location.clone());
        self
    }

    /// The same about a path.
    #[must_use]
    pub fn about(mut self, path: NodePath) -> Diagnostic {
        self.path = path;
        self
    }

    /// The same with advice.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Diagnostic {
    /// The finding with its place, source line and advice, without a final line end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render::diagnostic(self, f)
    }
}

/// More findings than this are counted but not kept: nobody reads them, and hostile input may have any number.
const MOST: usize = 500;

/// All findings about a configuration, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    items: Vec<Diagnostic>,
    omitted: usize,
}

impl Diagnostics {
    /// None yet.
    pub fn new() -> Diagnostics {
        Diagnostics::default()
    }

    /// Adds one, unless it is there already.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.items.len() >= MOST {
            self.omitted += 1;
        } else if !self.items.contains(&diagnostic) {
            self.items.push(diagnostic);
        }
    }

    /// Gives those about a path other advice.
    pub(crate) fn advise(&mut self, path: &NodePath, help: &str) {
        self.items.iter_mut().filter(|found| found.path == *path).for_each(|found| found.help = Some(help.to_owned()));
    }

    /// How many were found beyond those that are kept.
    pub fn omitted(&self) -> usize {
        self.omitted
    }

    /// Adds all of another collection.
    pub fn extend(&mut self, other: Diagnostics) {
        self.omitted += other.omitted;
        other.items.into_iter().for_each(|diagnostic| self.push(diagnostic));
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// True when one is an error, or may be one among those that were not kept.
    pub fn has_errors(&self) -> bool {
        self.omitted > 0 || self.count(Severity::Error) > 0
    }

    /// How many there are of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.items.iter().filter(|diagnostic| diagnostic.severity == severity).count()
    }

    /// All by file, line and column; those without a place last.
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut sorted: Vec<&Diagnostic> = self.items.iter().collect();
        sorted.sort_by_key(|d| (d.location.is_none(), d.location.as_ref().map(Location::sort_key), d.severity));
        sorted
    }

    /// In the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.items.iter()
    }
}

impl fmt::Display for Diagnostics {
    /// All, sorted, with an empty line between them and a summary such as `3 errors, 1 warning in pipeline.yaml` at the
    /// end; nothing when there are none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render::all(self, f)
    }
}
