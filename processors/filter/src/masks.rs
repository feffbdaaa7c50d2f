//! Masks that need no pattern.

use hornpipe_engine::InvalidPattern;
use hornpipe_engine::logs::compile;
use regex::bytes::{Captures, Regex};

use crate::card;
use crate::config::ReadyMask;

/// What stands in the place of what was found.
pub(crate) const MASKED: &str = "[masked]";

/// `Authorization` headers whatever they hold, tokens behind a scheme, and JSON Web Tokens wherever they are. A token has
/// at least 16 characters, since `Bearer authentication failed` holds none.
const BEARER_TOKENS: [(&str, &[u8]); 3] = [
    (
        r#"(?i)\b(authorization["']?\s*[:=]\s*["']?(?:(?:basic|bearer|digest|negotiate|token|apikey)\s+)?)[^\s"',;]+"#,
        b"${1}[masked]",
    ),
    (r"(?i)\b((?:bearer|basic)\s+)[a-z0-9._~+/-]{16,}=*", b"${1}[masked]"),
    (r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*", MASKED.as_bytes()),
];

/// What stands for a value in quotation marks, without the closing one: to that, escapes included, or to the line's end. Within JSON in
/// JSON the marks are escaped themselves. The opening one is a group of its own.
macro_rules! quoted {
    () => {
        r#"(")(?-u:[^"\\\n]|\\.)+|(')(?-u:[^'\\\n]|\\.)+|(\\")(?-u:\\\\\\"|[^"\\\n]|\\[^"\n])+"#
    };
}

/// Names that mean a secret whatever stands behind them.
macro_rules! secret_names {
    () => {
        concat!(
            r"(?:api|app|application|access|auth|client|private|secret|refresh)[_-]?(?:key|token|secret)(?:[_-]?id)?",
            r"|\b(?:id|csrf|session)[_-]?token|dd-api-key"
        )
    };
}

/// Names that mean a password.
macro_rules! password_names {
    () => {
        "passw(?:or)?d|passphrase"
    };
}

/// One of these is in every name. Whether any is there is told in a tenth of the time that the patterns take, and mostly none is.
const IN_NAMES: &str = "(?i)key|token|secret|passw|passphrase|pwd|authorization";

/// Values under names that mean a secret, quoted or not, also in a query that is encoded (`%3D`), and under names that often mean one.
const NAMED: [(&str, &[u8]); 6] = [
    // In JSON what is no text: JSON it stays.
    (
        concat!("(?i)((?:", secret_names!(), "|", password_names!(), r#")(\\?["'])\s*:\s*)(?-u:[^\s"'\\&,;\[\]{}])+"#),
        b"${1}${2}[masked]${2}",
    ),
    (
        concat!(
            "(?i)((?:",
            secret_names!(),
            "|",
            password_names!(),
            r#")(["'])\s*:\s*\[)(?-u:[^"'\[\]{}\n]|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')+\]"#
        ),
        b"${1}${2}[masked]${2}]",
    ),
    (
        concat!(
            "(?i)((?:",
            secret_names!(),
            "|",
            password_names!(),
            r#")\\?["']?\s*[:=]\s*)(?:"#,
            quoted!(),
            ")|((?:",
            secret_names!(),
            "|",
            password_names!(),
            r#")(?:\s*[:=]|\\?["']\s*=)\s*)(?-u:[^\s"'&,;])+"#
        ),
        b"${1}${2}${3}${4}${5}[masked]",
    ),
    // Up to `%26`.
    (
        concat!(
            "(?i)((?:",
            secret_names!(),
            "|",
            password_names!(),
            r#")%3d)(?:[^\s"'&,;%]|%[013-9a-f][0-9a-f]|%2[0-57-9a-f])+"#
        ),
        b"${1}[masked]",
    ),
    // `api-key "…"`.
    (concat!("(?i)((?:", secret_names!(), r")\s+)(?:", quoted!(), ")"), b"${1}${2}${3}${4}[masked]"),
    (
        concat!(
            r#"(?i)(\\?["'](?:token|secret|pwd)\\?["']\s*:\s*|\b(?:secret|pwd)\s*[:=]\s*|\btoken\s*=\s*)"#,
            "(?:",
            quoted!(),
            ")"
        ),
        b"${1}${2}${3}${4}[masked]",
    ),
];

/// A value without quotation marks under a name that often means a secret, and often not: `token: abc123secret`, and
/// `token: expired`. Directories (`PWD=/srv/app1`) are none.
const LIKELY: &str = r"(?i)(\b(?:token|secret|pwd)\s*[:=]\s*)([a-z0-9._~+-][a-z0-9._~+/=-]{4,})";

/// Keys that show by their form whose they are: AWS, GitHub, GitLab, Google, Slack, Stripe, and `sk-` of several.
const API_KEYS: [(&str, &[u8]); 1] = [(
    concat!(
        r"\b(?:(?:AKIA|ASIA)[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}|glpat-[A-Za-z0-9_-]{20,}",
        r"|AIza[0-9A-Za-z_-]{35}|xox[abeoprs]-[A-Za-z0-9-]{10,}|[rs]k_(?:live|test)_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{20,})"
    ),
    MASKED.as_bytes(),
)];

const EMAIL_ADDRESSES: [(&str, &[u8]); 1] = [(r"[\w.%+-]+@[\w-]+(?:\.[\w-]+)*\.[\p{L}\d-]{2,}", MASKED.as_bytes())];

/// The second is for a password with a slash in it; what stands between colon and slash is a port where it is a number.
const URL_CREDENTIALS: [(&str, &[u8]); 2] = [
    (r#"([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/?#"'<>]+@"#, b"${1}[masked]@"),
    (
        r#"([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/?#"'<>:@\[\]]*:\d*[^\s/?#"'<>@\d][^\s/?#"'<>@]*[/?#][^\s"'<>]*@"#,
        b"${1}[masked]@",
    ),
];

/// The chosen masks, in order.
pub(crate) struct Masks {
    all: Vec<Mask>,
    in_names: Regex,
}

enum Mask {
    Pattern(Regex, &'static [u8]),
    /// The second group, where it has letters and digits.
    Likely(Regex),
    /// Others, where the pattern is there.
    Where(Regex, Vec<Mask>),
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
            masks.extend(compiled(patterns)?);
            if *mask == ReadyMask::ApiKeys {
                let mut named = compiled(&NAMED)?;
                named.push(Mask::Likely(compile(LIKELY)?));
                masks.push(Mask::Where(compile(IN_NAMES)?, named));
            }
        }
        Ok(Masks { all: masks, in_names: compile(IN_NAMES)? })
    }

    /// The text with everything masked; `None` where nothing is found.
    pub(crate) fn mask(&self, text: &[u8]) -> Option<Vec<u8>> {
        mask_all(&self.all, text)
    }

    /// Whether an attribute of this key is masked whatever it holds, as it would be in JSON.
    pub(crate) fn hides(&self, key: &str) -> bool {
        let in_json = || self.mask(format!("\"{key}\": \"x\"").as_bytes());
        self.in_names.is_match(key.as_bytes()) && in_json().is_some_and(|masked| masked.ends_with(b": \"[masked]\""))
    }
}

fn mask_all(masks: &[Mask], text: &[u8]) -> Option<Vec<u8>> {
    let mut masked: Option<Vec<u8>> = None;
    for mask in masks {
        let text = masked.as_deref().unwrap_or(text);
        let next = match mask {
            // Asked first, since looking for groups allocates.
            Mask::Pattern(pattern, placeholder) => {
                pattern.is_match(text).then(|| pattern.replace_all(text, *placeholder).into_owned())
            }
            Mask::Likely(candidate) => candidate.is_match(text).then(|| mask_likely(candidate, text)),
            Mask::Where(names, masks) => names.is_match(text).then(|| mask_all(masks, text)).flatten(),
            Mask::CardNumbers(candidate) => card::mask(candidate, text, MASKED.as_bytes()),
        };
        masked = next.or(masked);
    }
    masked
}

fn compiled(patterns: &[(&str, &'static [u8])]) -> Result<Vec<Mask>, InvalidPattern> {
    patterns.iter().map(|(pattern, placeholder)| Ok(Mask::Pattern(compile(pattern)?, placeholder))).collect()
}

fn mask_likely(candidate: &Regex, text: &[u8]) -> Vec<u8> {
    let replacement = |found: &Captures<'_>| {
        let [all, name, value] =
            [0, 1, 2].map(|group| found.get(group).map(|part| part.as_bytes()).unwrap_or_default());
        let has = |kind: fn(&u8) -> bool| value.iter().any(kind);
        match has(u8::is_ascii_alphabetic) && has(u8::is_ascii_digit) {
            true => [name, MASKED.as_bytes()].concat(),
            false => all.to_vec(),
        }
    };
    candidate.replace_all(text, replacement).into_owned()
}
