//! Where in which file a piece of configuration stands.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex};

use crate::lock;

/// The text of one configuration file, kept so that a diagnostic can show the line that it is about.
pub struct Source {
    name: String,
    text: String,
    order: usize,
    /// Lines and columns at which values turned out to be secrets.
    secrets: Mutex<BTreeSet<(usize, usize)>>,
}

impl Source {
    /// A file by the name that the user gave it, its text and its place among the `--config` files (from 0).
    pub fn new(name: impl Into<String>, text: impl Into<String>, order: usize) -> Arc<Source> {
        Arc::new(Source { name: name.into(), text: text.into(), order, secrets: Mutex::default() })
    }

    /// The name that diagnostics print.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The columns at which a line holds secrets.
    pub(super) fn secret_columns(&self, line: usize) -> Vec<usize> {
        let secrets = lock(&self.secrets);
        secrets.range((line, 0)..=(line, usize::MAX)).map(|(_, column)| *column).collect()
    }

    /// The line with a number that counts from 1, without its end.
    pub fn line(&self, number: usize) -> Option<&str> {
        self.text.lines().nth(number.checked_sub(1)?)
    }
}

impl fmt::Debug for Source {
    /// The name only: the text may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A place in a file. Prints as `file:line:column`.
#[derive(Clone)]
pub struct Location {
    source: Arc<Source>,
    line: usize,
    column: usize,
    length: usize,
}

impl Location {
    /// A place: line and column count from 1, length and column are in characters.
    pub fn new(source: &Arc<Source>, line: usize, column: usize, length: usize) -> Location {
        Location { source: Arc::clone(source), line: line.max(1), column: column.max(1), length }
    }

    /// The file.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The file's name.
    pub fn file(&self) -> &str {
        self.source.name()
    }

    /// The line, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The column in characters, from 1.
    pub fn column(&self) -> usize {
        self.column
    }

    /// How many characters the thing at this place has; 0 where it has no fixed end, such as a block.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Has the value here hidden whenever its line is printed.
    pub(super) fn mark_secret(&self) {
        let mut secrets = lock(&self.source.secrets);
        secrets.insert((self.line, self.column));
    }

    /// What diagnostics are sorted by: the file's place on the command line, then line and column.
    pub(super) fn sort_key(&self) -> (usize, usize, usize) {
        (self.source.order, self.line, self.column)
    }
}

impl PartialEq for Location {
    fn eq(&self, other: &Location) -> bool {
        self.sort_key() == other.sort_key() && self.file() == other.file()
    }
}

impl Eq for Location {}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file(), self.line, self.column)
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
