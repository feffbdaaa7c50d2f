//! A backend's words in a message of ours.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::config::Secret;

/// How much is repeated, in bytes.
const LIMIT: usize = 1000;
/// What is shorter hides nothing, and would be found in every other word.
const SHORTEST_VALUE: usize = 4;
/// A word of a value counts by itself from this length on: the token of `Bearer …`, but not what stands before it.
const SHORTEST_WORD: usize = 8;

/// Repeats what a backend says as one line of bounded length, without the secrets that a request holds: a backend that refuses
/// one likes to repeat it, and something in between may send the whole request back to us.
#[derive(Clone, Debug, Default)]
pub struct Quote {
    /// The longest first, so that none is left over of which another one is a part.
    secrets: Vec<Secret>,
}

impl Quote {
    /// Repeats all but these: keys, and values of headers. Of a `Basic` login its password is left out too, as it is.
    pub fn without<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut texts: Vec<Cow<'_, str>> = Vec::new();
        for secret in secrets.into_iter().map(str::trim).filter(|secret| secret.len() >= SHORTEST_VALUE) {
            texts.push(secret.into());
            texts.extend(secret.split_whitespace().filter(|word| word.len() >= SHORTEST_WORD).map(Cow::Borrowed));
            texts.extend(password(secret).filter(|password| password.len() >= SHORTEST_VALUE).map(Cow::Owned));
        }
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        texts.dedup();
        Quote { secrets: texts.iter().map(|text| Secret::from(&**text)).collect() }
    }

    /// Repeats bytes; what is not UTF-8 in them is replaced, white space and control characters become single spaces.
    pub fn bytes(&self, bytes: &[u8]) -> String {
        self.text(&String::from_utf8_lossy(bytes))
    }

    /// Repeats a text.
    pub fn text(&self, text: &str) -> String {
        // The secrets first: a part of one that is cut through would not be found.
        let without = |text: String, secret: &Secret| match text.contains(secret.reveal()) {
            true => text.replace(secret.reveal(), &secret.to_string()),
            false => text,
        };
        let text = self.secrets.iter().fold(text.to_owned(), without);
        let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
        let mut line = words.collect::<Vec<_>>().join(" ");
        line.truncate(line.floor_char_boundary(LIMIT));
        line
    }
}

/// The password in the value of a header that is a `Basic` login (RFC 7617).
fn password(value: &str) -> Option<String> {
    let (_, login) = value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))?;
    let login = String::from_utf8(STANDARD.decode(login.trim()).ok()?).ok()?;
    login.split_once(':').map(|(_, password)| password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_repeated_is_one_line_of_bounded_length() {
        let long = "é".repeat(LIMIT);
        let cases: [(&[u8], &str); 5] = [
            (b"{\"errors\":[\"bad\"]}\r\n", "{\"errors\":[\"bad\"]}"),
            (b"a\n\n\x1b[31mb\0c", "a [31mb c"),
            (long.as_bytes(), &long[..LIMIT]),
            (b"a\xc3", "a\u{fffd}"),
            (b"", ""),
        ];
        for (bytes, expected) in cases {
            assert_eq!(Quote::default().bytes(bytes), expected);
        }
    }

    #[test]
    fn the_password_of_a_login_is_not_repeated_either() {
        // `ada:hunter2:secret`, and a password that is too short to be found.
        let quote = Quote::without(["basic  YWRhOmh1bnRlcjI6c2VjcmV0", "Basic YWRhOmFiYw==", "Basic %%%%", "Basic"]);
        let said = "YWRhOmh1bnRlcjI6c2VjcmV0: password hunter2:secret of ada is not abc";
        assert_eq!(quote.text(said), "[REDACTED]: password [REDACTED] of ada is not abc");
    }

    #[test]
    fn secrets_are_not_repeated_and_no_part_of_one_either() {
        let quote = Quote::without(["hunter2secret", "Bearer to-k-en-1", "one", "", "hunter2secret-2", " pass "]);
        let cases = [
            ("invalid api-key: hunter2secret", "invalid api-key: [REDACTED]"),
            ("hunter2secret-2 hunter2secret", "[REDACTED] [REDACTED]"),
            ("Authorization: Bearer to-k-en-1, to-k-en-1", "Authorization: [REDACTED], [REDACTED]"),
            ("one Bearer", "one Bearer"),
            ("a pass-port", "a [REDACTED]-port"),
        ];
        for (text, expected) in cases {
            assert_eq!(quote.text(text), expected);
        }
        let cut_through = quote.text(&format!("{}hunter2secret", "x".repeat(LIMIT - 5)));
        assert!(cut_through.ends_with("x[REDA"), "{cut_through}");
        assert!(!format!("{quote:?}").contains("hunter2"), "{quote:?}");
    }
}
