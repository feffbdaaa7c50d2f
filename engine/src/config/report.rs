//! What a component finds wrong with its own settings.

use std::borrow::Cow;

use super::diagnostic::{Diagnostic, Diagnostics, Severity};
use super::mask;
use super::node::{Node, Value};
use super::path::{NodePath, Segment};
use super::suggest;

/// Collects what `validate` finds. Paths are relative to the component: `endpoint`, `sending_queue.max_bytes`,
/// `rules[0].match`; an empty one means the component itself. Messages are lower case, without a final period, and hold
/// no secret; in those that are put together, values from outside the file are replaced by their references.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    problems: Vec<Problem>,
}

/// One problem, without its place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The option at fault, relative to the component.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// Which of the two are words of the program itself, in which there is no value from outside.
    own_words: OwnWords,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct OwnWords {
    message: bool,
    help: bool,
}

impl Report {
    /// Nothing found yet.
    pub fn new() -> Report {
        Report::default()
    }

    /// The settings cannot be used because of the option at `path`.
    pub fn error(&mut self, path: &str, message: impl Into<Cow<'static, str>>) {
        self.add(Severity::Error, path, message.into(), None);
    }

    /// The same, with what to do about it.
    pub fn error_with_help(
        &mut self,
        path: &str,
        message: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
    ) {
        self.add(Severity::Error, path, message.into(), Some(help.into()));
    }

    /// The option at `path` probably does not do what was meant.
    pub fn warning(&mut self, path: &str, message: impl Into<Cow<'static, str>>) {
        self.add(Severity::Warning, path, message.into(), None);
    }

    /// The same, with what to do about it.
    pub fn warning_with_help(
        &mut self,
        path: &str,
        message: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
    ) {
        self.add(Severity::Warning, path, message.into(), Some(help.into()));
    }

    fn add(&mut self, severity: Severity, path: &str, message: Cow<'static, str>, help: Option<Cow<'static, str>>) {
        let is_own = |words: &Cow<'static, str>| matches!(words, Cow::Borrowed(_));
        let own_words = OwnWords { message: is_own(&message), help: help.as_ref().is_some_and(is_own) };
        let (path, message, help) = (path.to_owned(), message.into_owned(), help.map(Cow::into_owned));
        self.problems.push(Problem { severity, path, message, help, own_words });
    }

    /// True when nothing was found.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// True when an error was found.
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// What was found, in order.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Gives each problem its place in the settings `node`, which stand at the dotted `path`, or that of the nearest
    /// key that exists. A problem about a value that did not decode, or whose key is mistyped, is left out: it follows
    /// from that. So is one of a rule, an action and the like whose kind is not known.
    pub fn into_diagnostics(self, node: &Node, path: &str, diagnostics: &mut Diagnostics) {
        let base = NodePath::parse(path);
        let known: Vec<NodePath> = diagnostics.iter().map(|diagnostic| diagnostic.path.clone()).collect();
        let choices = diagnostics.iter().filter(|diagnostic| diagnostic.is_unknown_choice);
        let undecided: Vec<NodePath> =
            choices.filter_map(|choice| choice.path.parent()).filter(|holder| *holder != base).collect();
        for problem in self.problems {
            let relative = with_indexes(node, &NodePath::parse(&problem.path));
            let path = base.join(&relative);
            let mut below = known.iter().filter(|known| base.contains(known) && **known != base);
            let is_absent = node.find(&relative).is_none();
            let follows = undecided.iter().any(|holder| holder.contains(&path))
                || below.any(|known| {
                    path.contains(known) || known.contains(&path) || (is_absent && is_mistyped(known, &path))
                });
            if !follows {
                diagnostics.push(place(problem, node, &relative, path));
            }
        }
    }
}

/// True when an unknown key was probably meant to be the last key of `path`.
fn is_mistyped(unknown: &NodePath, path: &NodePath) -> bool {
    match (unknown.segments(), path.segments()) {
        ([parents @ .., Segment::Key(unknown)], [others @ .., Segment::Key(key)]) => {
            parents == others && suggest::nearest(unknown, [key.as_str()]).is_some()
        }
        _ => false,
    }
}

fn place(problem: Problem, node: &Node, relative: &NodePath, path: NodePath) -> Diagnostic {
    let (location, found) = node.locate(relative).unwrap_or_else(|| (node.location().clone(), None));
    if let Some(found) = found
        && mask::is_secret_path(&path)
    {
        found.hide();
    }
    let Problem { severity, message, help, own_words, .. } = problem;
    let shown = |words: String, is_own: bool| if is_own { words } else { without_values(words, node) };
    let mut diagnostic = Diagnostic::new(severity, shown(message, own_words.message));
    diagnostic.help = help.map(|help| shown(help, own_words.help));
    diagnostic.at(&location).about(path)
}

/// The path with numbers as indexes where the settings have a list there.
fn with_indexes(node: &Node, path: &NodePath) -> NodePath {
    let mut at = Some(node);
    let steps = path.segments().iter().map(|segment| {
        let is_list = at.is_some_and(|node| matches!(node.value(), Value::Sequence(_)));
        let segment = match segment {
            Segment::Key(key) if is_list => key.parse().map_or_else(|_| segment.clone(), Segment::Index),
            other => other.clone(),
        };
        at = at.and_then(|node| node.find(&std::iter::once(segment.clone()).collect()));
        segment
    });
    steps.collect()
}

/// Values from outside shorter than this are not looked for in messages: they are no secrets, and common in other
/// words.
const SHORTEST_VALUE: usize = 4;

/// The message with values that came from outside the file replaced by the references that they came from.
fn without_values(mut message: String, node: &Node) -> String {
    node.walk(&mut |node| {
        if let (Some(origin), Some(text)) = (node.origin(), node.as_text())
            && text.len() >= SHORTEST_VALUE
            && message.contains(text)
        {
            message = message.replace(text, origin);
        }
    });
    message
}
