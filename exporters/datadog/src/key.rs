//! The API key: as the settings have it, or as its file has it now.

use std::sync::{Arc, PoisonError, RwLock};

use hornpipe_engine::component::BuildError;
use hornpipe_engine::config::Secret;
use hornpipe_engine::http::Quote;
use http::HeaderValue;

/// What is wrong with a key that cannot be one.
const NOT_A_KEY: &str = "holds a character that no API key has, such as a space or a line end in its middle";

/// Keys that are nobody's: the Agent never asks about them either.
const PLACEHOLDER: &str = "00000000000000000000000000000000";

/// The key in use. A key from a file (`${file:…}`) may change while the program runs.
pub(crate) struct ApiKey {
    current: RwLock<Arc<Key>>,
}

/// One key.
pub(crate) struct Key {
    /// As it was read, which knows its file.
    source: Secret,
    /// Without the white space around it.
    secret: Secret,
    /// As the value of its header.
    header: HeaderValue,
    /// Repeats what the intake says, without the key.
    quote: Quote,
}

impl ApiKey {
    /// # Errors
    /// The text is no key.
    pub(crate) fn new(source: &Secret) -> Result<Self, BuildError> {
        let key = Key::new(source.clone()).map_err(|why| BuildError::new("api.key", why))?;
        Ok(ApiKey { current: RwLock::new(Arc::new(key)) })
    }

    /// The key in use.
    pub(crate) fn current(&self) -> Arc<Key> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the key's file again, where it has one. True where another key is in use now than `known`.
    ///
    /// # Errors
    /// Why the file has no key; the one in use stays.
    pub(crate) async fn refresh(&self, known: &Key) -> Result<bool, String> {
        let current = self.current();
        if current.secret != known.secret {
            return Ok(true);
        }
        let Some(file) = current.source.file().map(|file| file.display().to_string()) else { return Ok(false) };
        let source = current.source.clone();
        let read = tokio::task::spawn_blocking(move || source.read_again());
        let source = read.await.map_err(|_| format!("cannot read {file}"))??;
        let key = Key::new(source).map_err(|why| format!("{file} {why}"))?;
        if key.secret == known.secret {
            return Ok(false);
        }
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
        Ok(true)
    }
}

impl Key {
    fn new(source: Secret) -> Result<Self, &'static str> {
        let secret = Secret::new(source.reveal().trim());
        if secret.is_empty() {
            return Err("is empty");
        }
        if !secret.reveal().chars().all(|c| c.is_ascii_graphic()) {
            return Err(NOT_A_KEY);
        }
        let mut header = HeaderValue::from_str(secret.reveal()).map_err(|_| NOT_A_KEY)?;
        header.set_sensitive(true);
        let quote = Quote::without([secret.reveal()]);
        Ok(Key { source, secret, header, quote })
    }

    /// What is wrong with a text that cannot be a key.
    pub(crate) fn problem(text: &Secret) -> Option<&'static str> {
        Key::new(text.clone()).err()
    }

    /// The value of its header.
    pub(crate) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// Whether it comes from a file.
    pub(crate) fn is_from_file(&self) -> bool {
        self.source.file().is_some()
    }

    /// Whether it only holds the place of a key.
    pub(crate) fn is_placeholder(&self) -> bool {
        self.secret.reveal() == PLACEHOLDER
    }

    /// What repeats an answer to a request with the key.
    pub(crate) fn quote(&self) -> &Quote {
        &self.quote
    }

    /// `API key ending 1a2b3`, or without the end where the key is too short to show a part of it.
    pub(crate) fn name(&self) -> String {
        match self.secret.last_chars(5) {
            "" => "API key".to_owned(),
            end => format!("API key ending {end}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_cannot_be_a_key_is_told_from_one_that_can() {
        let cases = [
            ("0123456789abcdef\n", None),
            ("", Some("is empty")),
            (" \n", Some("is empty")),
            ("0123\n4567", Some(NOT_A_KEY)),
            ("schlüssel", Some(NOT_A_KEY)),
        ];
        for (text, problem) in cases {
            assert_eq!(Key::problem(&text.into()), problem, "{text:?}");
        }
    }

    #[test]
    fn a_key_is_named_by_its_end_unless_it_is_too_short() {
        let name = |text: &str| Key::new(text.into()).unwrap_or_else(|why| panic!("{why}")).name();
        assert_eq!(name(" 0123456789abcdef0123456789a1a2b3\n"), "API key ending 1a2b3");
        assert_eq!(name("abc"), "API key");
    }

    #[tokio::test]
    async fn a_key_that_is_not_from_a_file_stays() {
        let key = ApiKey::new(&"0123456789abcdef".into()).unwrap();
        let known = key.current();
        assert_eq!(key.refresh(&known).await, Ok(false));
        assert!(!known.is_from_file());
    }
}
