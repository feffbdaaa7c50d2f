//! Diagnostics as text.

use std::fmt::{self, Formatter, Write};

use super::diagnostic::{Diagnostic, Diagnostics, Severity};
use super::location::Location;
use super::mask;

/// Source lines longer than this are cut around the caret, in characters.
const WIDTH: usize = 140;

pub(super) fn diagnostic(diagnostic: &Diagnostic, f: &mut Formatter<'_>) -> fmt::Result {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    write!(f, "{severity}: {}", one_line(&diagnostic.message))?;
    let help = diagnostic.help.as_deref().map(one_line);
    let Some(location) = &diagnostic.location else {
        if !diagnostic.path.is_root() {
            write!(f, "\n  --> {}", diagnostic.path)?;
        }
        return help.map_or(Ok(()), |help| write!(f, "\n  = help: {help}"));
    };
    let margin = " ".repeat(location.line().to_string().len() + 1);
    write!(f, "\n{margin}--> {location}")?;
    if !diagnostic.path.is_root() {
        write!(f, " ({})", diagnostic.path)?;
    }
    source_line(location, &margin, f)?;
    help.map_or(Ok(()), |help| write!(f, "\n{margin} = help: {help}"))
}

fn source_line(location: &Location, margin: &str, f: &mut Formatter<'_>) -> fmt::Result {
    let Some(_) = location.source().line(location.line()) else { return Ok(()) };
    let line = mask::line(location.source(), location.line());
    let (line, start) = window(&line, location.column() - 1);
    let carets = location.length().min(line.chars().count().saturating_sub(start)).max(1);
    write!(f, "\n{margin} |\n {} | {line}\n{margin} | ", location.line())?;
    write!(f, "{}{}", " ".repeat(start), "^".repeat(carets))
}

/// The part of a line around a column (from 0), without characters that a terminal would act on, and the column in it.
fn window(line: &str, column: usize) -> (String, usize) {
    let chars: Vec<char> = printable(line.trim_end()).chars().collect();
    let column = column.min(chars.len());
    if chars.len() <= WIDTH {
        return (chars.into_iter().collect(), column);
    }
    let from = column.saturating_sub(WIDTH / 2).min(chars.len() - WIDTH);
    let cut: String = chars.into_iter().skip(from).take(WIDTH).collect();
    (cut, column - from)
}

/// Each control character replaced by one that stays in its place.
fn printable(text: &str) -> String {
    let shown = |c: char| match c {
        '\t' => ' ',
        c if c.is_control() || is_bidi(c) => '\u{fffd}',
        c => c,
    };
    text.chars().map(shown).collect()
}

/// A message on one line, whoever wrote it.
fn one_line(text: &str) -> String {
    printable(&text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" "))
}

/// Characters that change the direction of what follows.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

pub(super) fn all(diagnostics: &Diagnostics, f: &mut Formatter<'_>) -> fmt::Result {
    if diagnostics.is_empty() {
        return Ok(());
    }
    let sorted = diagnostics.sorted();
    let mut files: Vec<&str> = Vec::new();
    for diagnostic in &sorted {
        write!(f, "{diagnostic}\n\n")?;
        if let Some(location) = &diagnostic.location
            && !files.contains(&location.file())
        {
            files.push(location.file());
        }
    }
    let mut summary = String::new();
    count(diagnostics.count(Severity::Error), "error", &mut summary)?;
    count(diagnostics.count(Severity::Warning), "warning", &mut summary)?;
    if diagnostics.omitted() > 0 {
        write!(summary, " and {} more that are not shown", diagnostics.omitted())?;
    }
    let place = if files.is_empty() { String::new() } else { format!(" in {}", files.join(", ")) };
    writeln!(f, "{summary}{place}")
}

fn count(count: usize, noun: &str, text: &mut String) -> fmt::Result {
    if count == 0 {
        return Ok(());
    }
    let comma = if text.is_empty() { "" } else { ", " };
    let plural = if count == 1 { "" } else { "s" };
    write!(text, "{comma}{count} {noun}{plural}")
}
