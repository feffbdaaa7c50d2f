//! What a plain scalar means: the core schema of YAML 1.2.

/// A scalar's meaning by the core schema.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Core {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`, in the three spellings of the schema.
    Bool(bool),
    /// A decimal, `0o` octal or `0x` hexadecimal number.
    Int(i128),
    /// A decimal fraction, `.inf` or `.nan`.
    Float(f64),
    /// Anything else is text.
    Text,
}

/// Resolves a plain scalar.
pub fn resolve(text: &str) -> Core {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Core::Null,
        "true" | "True" | "TRUE" => return Core::Bool(true),
        "false" | "False" | "FALSE" => return Core::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Core::Float(f64::NAN),
        _ => {}
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return Core::Float(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    int(text).map(Core::Int).or_else(|| float(text, unsigned).map(Core::Float)).unwrap_or(Core::Text)
}

fn int(text: &str) -> Option<i128> {
    let radix = |digits: &str, radix| {
        let valid = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
        valid.then(|| i128::from_str_radix(digits, radix).ok()).flatten()
    };
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    text.parse().ok()
}

/// The schema's `[-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`. Rust reads the same numbers, and
/// a few words such as `infinity` that are text here.
fn float(text: &str, unsigned: &str) -> Option<f64> {
    let number = unsigned.starts_with(|c: char| c.is_ascii_digit())
        || unsigned.strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_follow_the_core_schema() {
        for (text, expected) in [
            ("", Core::Null),
            ("~", Core::Null),
            ("null", Core::Null),
            ("true", Core::Bool(true)),
            ("False", Core::Bool(false)),
            ("yes", Core::Text),
            ("on", Core::Text),
            ("0", Core::Int(0)),
            ("0123", Core::Int(123)),
            ("-17", Core::Int(-17)),
            ("+1", Core::Int(1)),
            ("0o17", Core::Int(15)),
            ("0xfF", Core::Int(255)),
            ("0x", Core::Text),
            ("0x-1", Core::Text),
            ("1_000", Core::Text),
            ("1.5", Core::Float(1.5)),
            ("1.", Core::Float(1.0)),
            (".5e1", Core::Float(5.0)),
            (".", Core::Text),
            ("1e", Core::Text),
            ("-.inf", Core::Float(f64::NEG_INFINITY)),
            ("infinity", Core::Text),
            ("nan", Core::Text),
            ("10s", Core::Text),
            ("1.2.3", Core::Text),
        ] {
            assert_eq!(resolve(text), expected, "{text}");
        }
    }
}
