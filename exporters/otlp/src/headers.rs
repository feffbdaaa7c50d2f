//! Headers that the operator sets. Their values are secrets and stand in no message.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::OtlpConfig;
use crate::settings::Problem;
use crate::variables::{self, Variable, Variables};

/// Headers that the exporter itself has to set.
const RESERVED: [&str; 6] = ["content-type", "content-encoding", "content-length", "te", "host", "transfer-encoding"];

/// The headers of a destination.
#[derive(Debug, Default)]
pub(crate) struct Headers {
    pub(crate) map: HeaderMap,
    /// The variable whose headers this destination does not get.
    pub(crate) withheld: Option<String>,
}

/// The headers that are set, or the environment's where they are meant for this backend: they are most likely the secret
/// of the one that the environment names, and no other is told it.
///
/// # Errors
/// Every name or value that cannot stand in a header.
pub(crate) fn resolve(
    config: &OtlpConfig,
    is_of_environment: bool,
    variables: Variables<'_>,
) -> Result<Headers, Vec<Problem>> {
    let map = |map| Headers { map, withheld: None };
    if let Some(headers) = &config.headers {
        return collect(headers.0.iter().map(|(name, value)| (name.as_str(), value.reveal())), "").map(map);
    }
    match variables.find("headers", variables::HEADERS) {
        Ok(None) => Ok(Headers::default()),
        Ok(Some(found)) if is_of_environment => from_list(&found).map(map),
        Ok(Some(found)) => Ok(Headers { withheld: Some(found.name), ..Headers::default() }),
        Err(problem) => Err(vec![problem]),
    }
}

/// `name=value` pairs separated by commas; values may hold `%`-escapes (W3C Baggage, as the specification wants it).
fn from_list(Variable { name: origin, value: list }: &Variable) -> Result<HeaderMap, Vec<Problem>> {
    let mut pairs = Vec::new();
    for (index, entry) in list.split(',').map(str::trim).enumerate().filter(|(_, entry)| !entry.is_empty()) {
        let unusable = || {
            let message = format!("{origin}: entry {} is not name=value", index + 1);
            vec![Problem::new("headers", message)]
        };
        let (name, value) = entry.split_once('=').ok_or_else(unusable)?;
        pairs.push((name.trim(), percent_decoded(value.trim()).ok_or_else(unusable)?));
    }
    collect(pairs.iter().map(|(name, value)| (*name, value.as_str())), origin)
}

/// `origin` is the variable that the headers come from, empty for the option.
fn collect<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>, origin: &str) -> Result<HeaderMap, Vec<Problem>> {
    let mut headers = HeaderMap::new();
    let mut problems = Vec::new();
    for (name, value) in pairs {
        match header(name, value) {
            Ok((name, value)) => {
                headers.append(name, value);
            }
            Err(why) => {
                let prefix = if origin.is_empty() { String::new() } else { format!("{origin}: ") };
                problems.push(Problem::new("headers", format!("{prefix}{why}")));
            }
        }
    }
    if problems.is_empty() { Ok(headers) } else { Err(problems) }
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let parsed = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("`{}` cannot be a header's name", name.escape_default()))?;
    let lower = parsed.as_str();
    if RESERVED.contains(&lower) || lower.starts_with("grpc-") || lower.ends_with("-bin") {
        return Err(format!("header `{lower}` cannot be set: the protocol uses it"));
    }
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| format!("the value of header `{lower}` has characters that a header cannot hold"))?;
    value.set_sensitive(true);
    Ok((parsed, value))
}

/// The text without its `%`-escapes; `None` where one is broken.
pub(crate) fn percent_decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(part.get(2..)?.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(value: &str) -> Variable {
        Variable { name: "VARIABLE".to_owned(), value: value.to_owned() }
    }

    #[test]
    fn a_list_of_pairs_becomes_headers() {
        let headers = from_list(&variable("api-key=abc%20d%3D, x-Tenant = one ,,")).expect("headers");
        assert_eq!(headers.get("api-key").map(|value| value.to_str().ok()), Some(Some("abc d=")));
        assert_eq!(headers.get("x-tenant").map(|value| value.to_str().ok()), Some(Some("one")));
        assert_eq!(headers.len(), 2);
        assert!(headers.values().all(HeaderValue::is_sensitive));
    }

    #[test]
    fn what_cannot_be_a_header_is_named_without_its_value() {
        for (name, value) in
            [("bad name", "hunter2"), ("", "hunter2"), ("key", "hunter2\n"), ("Content-Type", "hunter2")]
        {
            let problems = collect([(name, value)].into_iter(), "").expect_err(name);
            assert_eq!(problems.len(), 1);
            assert!(!format!("{problems:?}").contains("hunter2"), "{problems:?}");
        }
        for list in ["hunter2", "a=%zzhunter2", "a=%e9hunter2", "a=b,hunter2"] {
            let problems = from_list(&variable(list)).expect_err(list);
            assert!(problems[0].message.starts_with("VARIABLE: entry "), "{problems:?}");
            assert!(!problems[0].message.contains("hunter2"));
        }
    }

    #[test]
    fn all_unusable_headers_are_reported() {
        let problems = collect([("a b", ""), ("te", ""), ("ok", "")].into_iter(), "VARIABLE").expect_err("two");
        assert_eq!(problems.len(), 2);
        assert!(problems.iter().all(|problem| problem.message.starts_with("VARIABLE: ")));
    }
}
