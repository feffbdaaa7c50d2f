//! Keeps literal secrets out of printed source lines.

use super::location::Source;
use super::path::{NodePath, Segment};

/// What stands for a secret.
pub(super) const REDACTED: &str = "[REDACTED]";

/// A line of a file as it may be printed. Hidden are: values that were decoded as secrets, the value of a key that
/// looks like a secret, anything below such a key, the password of a URL, and words that look like tokens.
pub(super) fn line(source: &Source, number: usize) -> String {
    let text = source.line(number).unwrap_or_default();
    match secret_parent(source, number) {
        Some(parent) if parent.to_lowercase().contains("header") => return hide_from(text, vec![first_value(text)]),
        Some(_) => return hide_from(text, vec![indentation(text)]),
        None => {}
    }
    let marked = source.secret_columns(number).into_iter().filter_map(|column| {
        let (start, _) = text.char_indices().nth(column - 1)?;
        Some(start + value_at(&text[start..]))
    });
    let mut starts: Vec<usize> = marked.collect();
    starts.extend(keys(text).into_iter().filter(|(key, _)| is_secret_key(key)).map(|(_, value)| value));
    starts.sort_unstable();
    hide_from(text, starts)
}

/// True for names such as `api_key`, `token`, `password`, `authorization` and `headers`.
pub(super) fn is_secret_key(key: &str) -> bool {
    let folded: String = key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let holds =
        ["secret", "token", "password", "passwd", "passphrase", "credential", "authorization", "bearer", "cookie"];
    folded.ends_with("key")
        || matches!(folded.as_str(), "headers" | "header" | "pwd" | "pass" | "dsn" | "auth")
        || holds.iter().any(|part| folded.contains(part))
}

/// True when the path leads to or through a key that looks like a secret.
pub(super) fn is_secret_path(path: &NodePath) -> bool {
    path.segments().iter().any(|segment| matches!(segment, Segment::Key(key) if is_secret_key(key)))
}

/// The key above the line, by indentation, that looks like a secret.
fn secret_parent(source: &Source, number: usize) -> Option<&str> {
    let mut lines = source.text().lines().take(number).collect::<Vec<_>>().into_iter().rev();
    let mut limit = parent_limit(lines.next()?);
    for line in lines.filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#')) {
        let column = content_column(line);
        if column < limit {
            if let Some((key, _)) = keys(line).into_iter().find(|(key, _)| is_secret_key(key)) {
                return Some(key);
            }
            limit = parent_limit(line);
        } else if column == limit {
            // The first key of a list's item stands behind its dash.
            limit = parent_limit(line);
        }
        if limit == 0 {
            break;
        }
    }
    None
}

/// The column before which the parent of a line starts; that of a list's item may start where the dash does.
fn parent_limit(line: &str) -> usize {
    let (dash, content) = (indentation(line), content_column(line));
    if dash < content { dash + 1 } else { content }
}

/// Where a line's text starts, behind the dashes of a list.
fn content_column(line: &str) -> usize {
    let mut rest = line.trim_start();
    while let Some(item) = rest.strip_prefix("- ") {
        rest = item.trim_start();
    }
    line.len() - rest.len()
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Where the first value of a line starts, behind its key or dash.
fn first_value(text: &str) -> usize {
    match keys(text).first() {
        Some((_, value)) => *value,
        None => content_column(text),
    }
}

/// Where the value starts that a text begins with, behind its key if it has one: a block is marked at its key.
fn value_at(text: &str) -> usize {
    match keys(text).first() {
        Some((key, value)) if text.starts_with(key) => *value,
        _ => 0,
    }
}

/// The text with the values at `starts` hidden. One that is a mere reference to the outside is no secret and stays; of
/// all else the rest of the line is hidden with it, for only YAML knows where it ends.
fn hide_from(text: &str, starts: Vec<usize>) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut position = 0;
    for start in starts {
        if start < position || text[start..].trim().is_empty() {
            continue;
        }
        shown.push_str(&tokens(&text[position..start]));
        let Some((reference, length)) = reference(&text[start..]) else {
            return shown + REDACTED;
        };
        shown.push_str(&reference);
        position = start + length;
        if text[position..].trim_start().starts_with('#') {
            return shown;
        }
    }
    shown + &tokens(&text[position..])
}

/// The reference that a value consists of, its default hidden, and its length in the text.
fn reference(value: &str) -> Option<(String, usize)> {
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    let inside = &value[quote.map_or(0, char::len_utf8)..];
    let body = inside.strip_prefix("${")?;
    let end = super::expand::closing_brace(body)?;
    let (body, after) = (&body[..end], &body[end + 1..]);
    let after = match quote {
        Some(quote) => after.strip_prefix(quote)?,
        None => after,
    };
    let ends_value = after.is_empty() || after.starts_with([' ', '\t', ',', '}', ']']);
    let name = body.split_once(":-").map_or(body, |(name, _)| name);
    if !ends_value || name.contains(['{', '}', ' ']) {
        return None;
    }
    let default = match body.split_once(":-") {
        Some((_, default)) if !default.is_empty() => format!(":-{REDACTED}"),
        Some(_) => ":-".to_owned(),
        None => String::new(),
    };
    let quote = quote.map(String::from).unwrap_or_default();
    Some((format!("{quote}${{{name}{default}}}{quote}"), value.len() - after.len()))
}

/// The keys on a line, each with the byte at which its value starts.
fn keys(line: &str) -> Vec<(&str, usize)> {
    let mut found = Vec::new();
    for (colon, _) in line.match_indices(':') {
        let after = &line[colon + 1..];
        if !(after.is_empty() || after.starts_with([' ', '\t', '"', '\''])) {
            continue;
        }
        let before = line[..colon].trim_end().trim_end_matches(['"', '\'']);
        let start = before.rfind([' ', '\t', '{', ',', '[', '"', '\'']).map_or(0, |at| at + 1);
        let value = line.len() - after.trim_start().len();
        found.push((&before[start..], value));
    }
    found
}

/// The shortest word that can be a token.
const TOKEN: usize = 20;

/// Hides words that look like tokens, and passwords in URLs.
pub(super) fn tokens(text: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '_' | '-' | '=');
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| is_word(c) != is_word(first)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        masked.push_str(if is_word(first) && is_token(word) { REDACTED } else { word });
        rest = after;
    }
    mask_url_password(masked)
}

fn is_token(word: &str) -> bool {
    let count = |test: fn(&u8) -> bool| word.bytes().filter(test).count();
    word.len() >= TOKEN && count(u8::is_ascii_digit) >= 3 && count(u8::is_ascii_alphabetic) >= 3
}

fn mask_url_password(text: String) -> String {
    let Some((before, rest)) = text.split_once("://") else { return text };
    let end = rest.find(['/', ' ', '"', '\'', ',']).unwrap_or(rest.len());
    let Some(at) = rest[..end].rfind('@') else { return text };
    match rest[..at].split_once(':') {
        Some((user, _)) => format!("{before}://{user}:{REDACTED}{}", &rest[at..]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str, number: usize) -> String {
        line(&Source::new("x", text, 0), number)
    }

    #[test]
    fn literal_secrets_are_hidden_and_the_rest_is_shown() {
        for (text, expected) in [
            ("api_key: abc", "api_key: [REDACTED]"),
            ("  - apiKey: 'abc' # mine", "  - apiKey: [REDACTED]"),
            ("a: {site: us, token: abc, x: 1}", "a: {site: us, token: [REDACTED]"),
            ("headers: {x: y}", "headers: [REDACTED]"),
            ("\"password\": x", "\"password\": [REDACTED]"),
            ("{\"password\":\"x\"}", "{\"password\":[REDACTED]"),
            ("password:", "password:"),
            ("api_key: ${env:DD_API_KEY}", "api_key: ${env:DD_API_KEY}"),
            ("api_key: \"${env:DD_API_KEY}\"", "api_key: \"${env:DD_API_KEY}\""),
            ("api_key: ${env:K:-hunter2}", "api_key: ${env:K:-[REDACTED]}"),
            (
                "{api_key: \"${env:K}\", token: '${A:-b}', x: y}",
                "{api_key: \"${env:K}\", token: '${A:-[REDACTED]}', x: y}",
            ),
            ("{api_key: \"${env:K}\", token: b, x: y}", "{api_key: \"${env:K}\", token: [REDACTED]"),
            ("api_key: ${env:K} # hunter2", "api_key: ${env:K}"),
            ("authorization: Bearer ${env:K}x", "authorization: [REDACTED]"),
            ("endpoint: localhost:8125", "endpoint: localhost:8125"),
            ("aggregation_interval: 10s", "aggregation_interval: 10s"),
            ("url: https://u:pw@host/a", "url: https://u:[REDACTED]@host/a"),
            ("api_kee_: 0123456789abcdef0123456789abcdef", "api_kee_: [REDACTED]"),
            ("sitte: 0123456789abcdef0123456789abcdef", "sitte: [REDACTED]"),
            ("hornpipe_percentiles_processor_2: x", "hornpipe_percentiles_processor_2: x"),
        ] {
            assert_eq!(masked(text, 1), expected, "{text}");
        }
    }

    #[test]
    fn lines_below_a_secret_key_are_hidden() {
        let text = "a:\n  headers:\n    # c\n    x-one: abc\n    x-two:\n      - def\n  b: ghi\ntoken: |\n  line\nlist_key:\n- jkl\n- m\nc: d\n";
        assert_eq!(masked(text, 4), "    x-one: [REDACTED]");
        assert_eq!(masked(text, 6), "      - [REDACTED]");
        assert_eq!(masked(text, 7), "  b: ghi");
        assert_eq!(masked(text, 9), "  [REDACTED]");
        assert_eq!(masked(text, 12), "[REDACTED]");
        assert_eq!(masked(text, 13), "c: d");
        let text = "actions:\n  - key: a\n    value: b\n    deep:\n      c: d\n- api_key:\n    e: f\n  g: h\n";
        assert_eq!(masked(text, 3), "    value: b");
        assert_eq!(masked(text, 5), "      c: d");
        assert_eq!(masked(text, 7), "    [REDACTED]");
        assert_eq!(masked(text, 8), "  g: h");
    }
}
