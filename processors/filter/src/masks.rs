//! Masks that need no pattern.

use hornpipe_engine::InvalidPattern;
use hornpipe_engine::logs::compile;
use regex::bytes::Regex;

use crate::card;
use crate::config::ReadyMask;

/// What stands in the place of what was found.
pub(crate) const MASKED: &[u8] = b"[masked]";

/// `Authorization` headers whatever they hold, tokens behind a scheme, and JSON Web Tokens wherever they are. A token has
/// at least 16 characters, since `Bearer authentication failed` holds none.
const BEARER_TOKENS: [(&str, &[u8]); 3] = [
    (
        r#"(?i)\b(authorization["']?\s*[:=]\s*["']?(?:(?:basic|bearer|digest|negotiate|token|apikey)\s+)?)[^\s"',;]+"#,
        b"${1}[masked]",
    ),
    (r"(?i)\b((?:bearer|basic)\s+)[a-z0-9._~+/-]{16,}=*", b"${1}[masked]"),
    (r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*", MASKED),
];

/// Values under names that mean a secret, and keys that show by their form whose they are: AWS, GitHub, GitLab, Google,
/// Slack, Stripe, and `sk-` of several.
const API_KEYS: [(&str, &[u8]); 2] = [
    (
        concat!(
            r#"(?i)((?:(?:api|app|application|access|auth|client|private|secret)[_-]?(?:key|token|secret)(?:[_-]?id)?"#,
            r#"|passw(?:or)?d|passphrase|dd-api-key)["']?\s*[:=]\s*["']?)[^\s"'&,;]+"#
        ),
        b"${1}[masked]",
    ),
    (
        concat!(
            r"\b(?:(?:AKIA|ASIA)[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}|glpat-[A-Za-z0-9_-]{20,}",
            r"|AIza[0-9A-Za-z_-]{35}|xox[abeoprs]-[A-Za-z0-9-]{10,}|[rs]k_(?:live|test)_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{20,})"
        ),
        MASKED,
    ),
];

const EMAIL_ADDRESSES: [(&str, &[u8]); 1] = [(r"[\w.%+-]+@[\w-]+(?:\.[\w-]+)*\.[\p{L}\d-]{2,}", MASKED)];

const URL_CREDENTIALS: [(&str, &[u8]); 1] = [(r#"([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/?#"'<>]+@"#, b"${1}[masked]@")];

/// The chosen masks, in order.
pub(crate) struct Masks(Vec<Mask>);

enum Mask {
    Pattern(Regex, &'static [u8]),
    CardNumbers(Regex),
}

impl Masks {
    pub(crate) fn new(chosen: &[ReadyMask]) -> Result<Masks, InvalidPattern> {
        let mut masks = Vec::new();
        for mask in chosen {
            let patterns: &[(&str, &'static [u8])] = match mask {
                ReadyMask::BearerTokens => &BEARER_TOKENS,
                ReadyMask::ApiKeys => &API_KEYS,
                ReadyMask::EmailAddresses => &EMAIL_ADDRESSES,
                ReadyMask::UrlCredentials => &URL_CREDENTIALS,
                ReadyMask::CardNumbers => {
                    masks.push(Mask::CardNumbers(compile(card::CANDIDATE)?));
                    continue;
                }
            };
            for (pattern, placeholder) in patterns {
                masks.push(Mask::Pattern(compile(pattern)?, placeholder));
            }
        }
        Ok(Masks(masks))
    }

    /// The text with everything masked; `None` where nothing is found.
    pub(crate) fn mask(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut masked: Option<Vec<u8>> = None;
        for mask in &self.0 {
            let text = masked.as_deref().unwrap_or(text);
            let next = match mask {
                // Asked first, since looking for groups allocates.
                Mask::Pattern(pattern, placeholder) => {
                    pattern.is_match(text).then(|| pattern.replace_all(text, *placeholder).into_owned())
                }
                Mask::CardNumbers(candidate) => card::mask(candidate, text, MASKED),
            };
            masked = next.or(masked);
        }
        masked
    }
}
