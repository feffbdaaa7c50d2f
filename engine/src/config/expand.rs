//! `${env:NAME}`, `${env:NAME:-default}`, `${file:/path}` and `$$` in one text. `${1}` stays: that is a group of a regular
//! expression, as the Agent's masks name it, and no variable.

use super::environment::Environment;
use super::node::Unresolved;

/// How deep references may nest, in values and in defaults.
const MAX_DEPTH: usize = 16;

/// How many references a configuration may hold, those in substituted values included.
const MAX_REFERENCES: usize = 10_000;

/// How many bytes substitution may bring in, in all.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Expands texts, within bounds that hold for all of them together.
pub(super) struct Expander<'a> {
    environment: &'a dyn Environment,
    references: usize,
    bytes: usize,
}

/// A text after substitution.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Expanded {
    pub text: String,
    /// True when the whole text was one reference.
    pub whole: bool,
    /// The references that brought in text from outside, without their defaults.
    pub origins: Vec<String>,
    /// The file whose content the whole text is, less line ends at its end.
    pub file: Option<String>,
}

/// Whose text is being read: in values from outside, `$$` is an escape only before `{`, and nothing of them is printed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Text {
    OfFile,
    FromOutside,
}

impl<'a> Expander<'a> {
    pub fn new(environment: &'a dyn Environment) -> Expander<'a> {
        Expander { environment, references: MAX_REFERENCES, bytes: MAX_BYTES }
    }

    /// Expands a text of a configuration file.
    pub fn expand(&mut self, text: &str) -> Result<Expanded, Unresolved> {
        self.text(text, Text::OfFile, 0)
    }

    fn text(&mut self, text: &str, kind: Text, depth: usize) -> Result<Expanded, Unresolved> {
        if depth > MAX_DEPTH {
            return Err(failure(
                format!("references nest more than {MAX_DEPTH} deep"),
                "does a value refer to itself?",
            ));
        }
        let mut expanded = Expanded::default();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            let (before, from) = rest.split_at(at);
            expanded.text.push_str(before);
            if from.starts_with("$${") || (from.starts_with("$$") && kind == Text::OfFile) {
                expanded.text.push('$');
                let escaped = usize::from(from.starts_with("$${"));
                expanded.text.push_str(&from[2..2 + escaped]);
                rest = &from[2 + escaped..];
                continue;
            }
            let Some(inside) = from.strip_prefix("${") else {
                expanded.text.push('$');
                rest = &from[1..];
                continue;
            };
            let Some(end) = closing_brace(inside) else { return Err(unclosed()) };
            let (body, after) = (&inside[..end], &inside[end + 1..]);
            if is_group(body) {
                expanded.text.push_str(&from[..from.len() - after.len()]);
                rest = after;
                continue;
            }
            let value = self.reference(body, depth)?;
            expanded.whole = at == 0 && after.is_empty() && from.len() == text.len();
            expanded.file = value.file.filter(|_| expanded.whole);
            expanded.text.push_str(&value.text);
            expanded.origins.extend(value.origins);
            rest = after;
        }
        expanded.text.push_str(rest);
        Ok(expanded)
    }

    /// What a reference stands for.
    fn reference(&mut self, body: &str, depth: usize) -> Result<Expanded, Unresolved> {
        let Some(left) = self.references.checked_sub(1) else {
            return Err(failure(format!("more than {MAX_REFERENCES} references"), "does a value refer to itself?"));
        };
        self.references = left;
        if let Some(path) = body.strip_prefix("file:") {
            let origin = format!("${{file:{path}}}");
            let path = self.text(path, Text::OfFile, depth + 1)?.text;
            let content = self.environment.file(&path).map_err(|why| cannot_read(&origin, &why))?;
            let content = without_line_end(&content);
            let expanded = self.outside_text(content, origin, depth)?;
            let file = (expanded.text == content).then_some(path);
            return Ok(Expanded { file, ..expanded });
        }
        let (name, default) = split_default(body.strip_prefix("env:").unwrap_or(body));
        let origin = format!("${{{}}}", &body[..body.len() - default.map_or(0, |default| default.len() + 2)]);
        let name = self.text(name, Text::OfFile, depth + 1)?.text;
        if !is_variable(&name) {
            return Err(not_a_variable(&origin, body));
        }
        let value = self.environment.variable(&name).map_err(|why| cannot_read(&origin, &why))?;
        match (value, default) {
            (Some(value), _) => self.outside_text(&value, origin, depth),
            (None, Some(default)) => self.text(default, Text::OfFile, depth + 1),
            (None, None) => Err(unset(&origin, &name)),
        }
    }

    /// Expands a value in turn. Its references must not be printed, so they fail under the name of the outer one.
    fn outside_text(&mut self, value: &str, origin: String, depth: usize) -> Result<Expanded, Unresolved> {
        let Some(left) = self.bytes.checked_sub(value.len()) else {
            return Err(failure(format!("substitution brings in more than {MAX_BYTES} bytes"), "use smaller values"));
        };
        self.bytes = left;
        let expanded = self.text(value, Text::FromOutside, depth + 1).map_err(|_| {
            let message = format!("the value of `{origin}` holds a `${{…}}` that cannot be resolved");
            failure(message, "write `$${` in the value if it is meant literally")
        })?;
        Ok(Expanded { origins: vec![origin], ..expanded })
    }
}

/// A file's content as a value: editors put a line end behind it.
pub(super) fn without_line_end(content: &str) -> &str {
    content.trim_end_matches(['\r', '\n'])
}

/// The name of the environment variable where a text is one reference to it, with a default or without.
pub(super) fn variable_of(text: &str) -> Option<&str> {
    let inside = text.strip_prefix("${")?;
    let body = inside.get(..closing_brace(inside)?)?;
    let (name, _) = split_default(body.strip_prefix("env:").unwrap_or(body));
    (body.len() + 1 == inside.len() && is_variable(name)).then_some(name)
}

/// The end of a reference whose inside may hold braces, as long as they are balanced.
pub(super) fn closing_brace(inside: &str) -> Option<usize> {
    let mut open = 0_usize;
    for (at, byte) in inside.bytes().enumerate() {
        match byte {
            b'{' => open += 1,
            b'}' if open == 0 => return Some(at),
            b'}' => open -= 1,
            _ => {}
        }
    }
    None
}

/// A name and its default, which starts at the first `:-` that is not within a nested reference.
fn split_default(text: &str) -> (&str, Option<&str>) {
    let mut open = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => open += 1,
            b'}' => open = open.saturating_sub(1),
            b':' if open == 0 && text[at..].starts_with(":-") => return (&text[..at], Some(&text[at + 2..])),
            _ => {}
        }
    }
    (text, None)
}

fn is_variable(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn failure(message: String, help: impl Into<String>) -> Unresolved {
    Unresolved { message, help: Some(help.into()), counts: true }
}

fn unclosed() -> Unresolved {
    let help = "add the `}`, quote a value that contains ` #` or `: `, or write `$${` for a literal `${`";
    failure("`${` is never closed".to_owned(), help)
}

fn unset(origin: &str, name: &str) -> Unresolved {
    if origin.contains("${env:${") || origin.contains("${${") {
        return failure(
            format!("the environment variable that `{origin}` names is not set"),
            "set it, or give a default",
        );
    }
    let help = format!("set {name}, or give a default: ${{env:{name}:-value}}");
    failure(format!("environment variable `{name}` is not set"), help)
}

fn cannot_read(origin: &str, why: &str) -> Unresolved {
    Unresolved { message: format!("cannot use `{origin}`: {why}"), help: None, counts: true }
}

/// True for the number of a group of a regular expression.
fn is_group(body: &str) -> bool {
    !body.is_empty() && body.bytes().all(|byte| byte.is_ascii_digit())
}

fn not_a_variable(origin: &str, body: &str) -> Unresolved {
    let help = "write ${env:NAME}, ${env:NAME:-default} or ${file:/path}; `$${` is a literal `${`";
    match body.split_once(':') {
        Some((scheme, _)) if is_variable(scheme) && scheme != "env" => {
            failure(format!("`{origin}` asks for `{scheme}`, which is not a source of values"), help)
        }
        _ => failure(format!("`{origin}` does not name an environment variable"), help),
    }
}

#[cfg(test)]
mod tests {
    use super::super::environment::FixedEnvironment;
    use super::*;

    fn environment() -> FixedEnvironment {
        FixedEnvironment::new()
            .with_variable("A", "one")
            .with_variable("EMPTY", "")
            .with_variable("NAME", "A")
            .with_variable("DOLLARS", "a$$b$c")
            .with_variable("LITERAL", "$${A}")
            .with_variable("INDIRECT", "<${env:A}>")
            .with_variable("LOOP", "${env:LOOP}${env:LOOP}")
            .with_variable("SECRET", "x${env:hunter2}")
            .with_variable("KEY_FILE", "${file:/k}")
            .with_file("/k", "key\n")
            .with_file("/reference", "${env:A}\n")
    }

    #[test]
    fn references_are_replaced_and_dollars_escaped() {
        let environment = environment();
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("${env:A}", "one"),
            ("${A}", "one"),
            ("<${env:A}-${A}>", "<one-one>"),
            ("${env:B:-two}", "two"),
            ("${B:-two}", "two"),
            ("${env:EMPTY:-two}", ""),
            ("${env:B:-}", ""),
            ("${env:B:-{a: [b]}}", "{a: [b]}"),
            ("${env:B:-${env:A}}", "one"),
            ("${env:A:-${env:UNSET}}", "one"),
            ("${env:${env:NAME}}", "one"),
            ("${file:/k}", "key"),
            ("${env:INDIRECT}", "<one>"),
            ("${env:DOLLARS}", "a$$b$c"),
            ("${env:LITERAL}", "${A}"),
            ("$$", "$"),
            ("a$b", "a$b"),
            ("$${env:A}", "${env:A}"),
            ("$$${env:A}", "$one"),
            ("$$$${env:A}", "$${env:A}"),
            ("100$", "100$"),
            ("a=${1}, ${A}", "a=${1}, one"),
        ] {
            let expanded = Expander::new(&environment).expand(text).unwrap();
            assert_eq!(expanded.text, expected, "{text}");
        }
    }

    #[test]
    fn what_fails_says_why_without_values() {
        let environment = environment();
        for (text, expected) in [
            ("${env:B}", "environment variable `B` is not set"),
            ("${B}", "environment variable `B` is not set"),
            ("${env:B", "`${` is never closed"),
            ("${env:}", "`${env:}` does not name an environment variable"),
            ("${}", "`${}` does not name an environment variable"),
            ("${env:a b:-x}", "`${env:a b}` does not name an environment variable"),
            ("${yaml:a}", "`${yaml:a}` asks for `yaml`, which is not a source of values"),
            ("${file:/none}", "cannot use `${file:/none}`: there is no such file"),
            ("${env:SECRET}", "the value of `${env:SECRET}` holds a `${…}` that cannot be resolved"),
            ("${env:LOOP}", "the value of `${env:LOOP}` holds a `${…}` that cannot be resolved"),
        ] {
            let failure = Expander::new(&environment).expand(text).unwrap_err();
            assert_eq!(failure.message, expected, "{text}");
        }
    }

    #[test]
    fn a_text_that_is_one_reference_has_a_variable() {
        for (text, expected) in [
            ("${env:A}", Some("A")),
            ("${A}", Some("A")),
            ("${env:A:-[b, ${env:C}]}", Some("A")),
            ("${env:${env:A}}", None),
            ("${file:/a}", None),
            ("${env:A}b", None),
            ("${env:A", None),
            ("A", None),
        ] {
            assert_eq!(variable_of(text), expected, "{text}");
        }
    }

    #[test]
    fn a_text_that_is_a_files_content_knows_the_file() {
        let environment = environment();
        for (text, file) in [
            ("${file:/k}", Some("/k")),
            ("${file:/${env:NAME_OF_KEY:-k}}", Some("/k")),
            ("${env:B:-${file:/k}}", Some("/k")),
            ("${env:KEY_FILE}", Some("/k")),
            ("${file:/k} ", None),
            ("<${file:/k}", None),
            ("${file:/k}${file:/k}", None),
            ("${file:/reference}", None),
            ("${env:A:-${file:/k}}", None),
        ] {
            let expanded = Expander::new(&environment).expand(text).unwrap();
            assert_eq!(expanded.file.as_deref(), file, "{text}");
        }
    }

    #[test]
    fn only_a_reference_alone_is_whole_and_only_outside_text_has_an_origin() {
        let environment = environment();
        for (text, whole, origins) in [
            ("${env:A}", true, vec!["${env:A}"]),
            ("${A:-x}", true, vec!["${A}"]),
            ("${env:B:-x}", true, vec![]),
            ("${env:B:-${file:/k}}", true, vec!["${file:/k}"]),
            ("${env:A}${env:A}", false, vec!["${env:A}", "${env:A}"]),
            (" ${env:A}", false, vec!["${env:A}"]),
            ("$${env:A}", false, vec![]),
        ] {
            let expanded = Expander::new(&environment).expand(text).unwrap();
            assert_eq!(
                (expanded.whole, expanded.origins),
                (whole, origins.iter().map(ToString::to_string).collect()),
                "{text}"
            );
        }
    }
}
