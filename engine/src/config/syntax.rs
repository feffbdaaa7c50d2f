//! Syntax errors in plain words.

use std::sync::Arc;

use super::diagnostic::Diagnostic;
use super::location::{Location, Source};

/// What the parser found, at its place, with a hint where the cause is a common one.
pub(super) fn explain(source: &Arc<Source>, error: &serde_yaml::Error) -> Diagnostic {
    let raw = error.to_string();
    let words = raw.rsplit_once(" at line ").map_or(raw.as_str(), |(words, _)| words);
    let number = |n: u64| usize::try_from(n).unwrap_or(1);
    let (line, column) = error.location().map_or((1, 1), |place| (number(place.line()), number(place.column())));
    let (line, column) = within_file(source, line, column);
    let text = source.line(line).unwrap_or_default();
    let place = Location::new(source, line, column, 1);
    if let Some(reference) = unquoted_reference(text, column) {
        let message = format!("`{reference}` must be quoted here, where YAML reads its punctuation");
        return Diagnostic::error(message).at(&place).with_help(format!("quote it: \"{reference}\""));
    }
    let at = text.chars().nth(column.saturating_sub(1));
    let (message, help) = plain_words(words, at);
    let diagnostic = Diagnostic::error(message).at(&place);
    match help {
        Some(help) => diagnostic.with_help(help),
        None => diagnostic,
    }
}

/// The end of the file is reported on a line that may not exist: show the last line that does.
fn within_file(source: &Source, line: usize, column: usize) -> (usize, usize) {
    let lines = source.text().lines().count();
    if line <= lines || lines == 0 {
        return (line, column);
    }
    let last = source.line(lines).map_or(0, |text| text.trim_end().chars().count());
    (lines, last + 1)
}

/// The `${…}` around a column (from 1), where it is not quoted, without its default. YAML gives up at its `{` inside a
/// list in brackets or a mapping in braces, and at a `: ` within its default.
fn unquoted_reference(line: &str, column: usize) -> Option<String> {
    let end_of_prefix = line.char_indices().nth(column).map_or(line.len(), |(at, _)| at);
    let start = line.get(..end_of_prefix)?.rfind("${")?;
    let reference = line.get(start..)?;
    let end = reference.find('}')?;
    let before_column = start + end >= end_of_prefix.saturating_sub(1);
    let quotes = line.get(..start)?.matches(['"', '\'']).count();
    if !before_column || quotes % 2 == 1 {
        return None;
    }
    let body = reference.get(2..end)?;
    let (name, default) = body.split_once(":-").map_or((body, ""), |(name, _)| (name, ":-…"));
    let is_name = name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | ':' | '/' | '.' | '-'));
    is_name.then(|| format!("${{{name}{default}}}"))
}

fn plain_words(words: &str, at: Option<char>) -> (String, Option<String>) {
    let has = |part: &str| words.contains(part);
    let (message, help) = if has("mapping values are not allowed") || has("illegal placement of ':'") {
        (
            "`: ` is not allowed here",
            "quote text that contains `: `; or a `:`, a closing bracket or the right indentation is missing above",
        )
    } else if has("tab") {
        ("a tab cannot indent YAML", "use spaces")
    } else if has("did not find expected key") || has("expected <document start>") || has("expected '-' indicator") {
        (
            "this line's indentation does not fit the lines above",
            "items of one list or mapping start in the same column",
        )
    } else if has("parsing a flow") || has("implicit flow mapping") {
        (
            "`,` or a closing bracket is missing, or there is one too many",
            "check the brackets, and quote text that contains any",
        )
    } else if has("unclosed bracket") {
        ("this bracket is never closed", "add the closing bracket, or quote the text")
    } else if has("misplaced bracket") {
        ("this bracket was never opened", "remove it, or quote the text")
    } else if has("multiline quoted scalar") || has("quoted scalar, found unexpected end") {
        (
            "a quoted text is not closed, or goes on with too little indentation",
            "add the closing quote to the line above",
        )
    } else if has("trailing content after") {
        ("text follows a closing quote", "quote the whole value, or escape the quote inside it")
    } else if has("unknown escape") {
        ("an escape in double quotes is unknown", "write `\\\\` for a backslash, or use single quotes")
    } else if has("unknown anchor") {
        ("`*` refers to an anchor that is not defined", "quote text that starts with `*`")
    } else if has("recursive references") {
        ("an alias contains itself", "write the value out")
    } else if has("multiple YAML documents") {
        ("a second document starts here", "keep one document in a file; give more files with --config")
    } else if has("unexpected character") {
        let start = at.map_or_else(String::new, |c| format!(" with `{}`", c.escape_debug()));
        return (format!("plain text cannot start{start}"), Some("quote it".to_owned()));
    } else if has("limit") || has("budget") || has("exceed") {
        ("the file nests too deeply or has too many values", "is this really a configuration file?")
    } else {
        return (format!("not valid YAML: {words}"), None);
    };
    (message.to_owned(), Some(help.to_owned()))
}
