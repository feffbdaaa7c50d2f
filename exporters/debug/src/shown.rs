//! Text from outside, as a terminal may have it: control characters could change what it shows, or what it does.

use std::fmt::{self, Write};

/// A text with every control character escaped.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

/// The same, but for line breaks and tabs: a traceback stays readable.
pub(crate) struct ShownLines<'a>(pub(crate) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(self.0, char::is_control, f)
    }
}

impl fmt::Display for ShownLines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(self.0, |character| character.is_control() && !matches!(character, '\n' | '\t'), f)
    }
}

fn write(text: &str, is_escaped: impl Fn(char) -> bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut rest = text;
    while let Some(place) = rest.find(&is_escaped) {
        let (before, from_there) = rest.split_at(place);
        f.write_str(before)?;
        let mut characters = from_there.chars();
        characters
            .next()
            .into_iter()
            .flat_map(char::escape_default)
            .try_for_each(|character| f.write_char(character))?;
        rest = characters.as_str();
    }
    f.write_str(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_all_else_stays() {
        let text = "a\x1b[31mü\tb\nc\u{9b}\\d\r";
        assert_eq!(Shown(text).to_string(), "a\\u{1b}[31mü\\tb\\nc\\u{9b}\\d\\r");
        assert_eq!(ShownLines(text).to_string(), "a\\u{1b}[31mü\tb\nc\\u{9b}\\d\\r");
    }
}
