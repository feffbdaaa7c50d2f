//! Several values in a line of the Etsy dialect, each with a type of its own: `name:1|c:320|ms:4|c|@0.1`. Etsy's server
//! splits a line at each `:` (its `stats.js`).

use memchr::memmem;

use crate::parse::{parse_kind, split_once};

/// The line as lines of one value each, which all have its name and tags; none where it is no such line. It is one only where
/// every part has a type: values without one are packed as DogStatsD's, and a `:` may stand in a field of DogStatsD's, too.
pub(crate) fn lines(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (head, tags) = line.split_at(memmem::find(line, b"|#").unwrap_or(line.len()));
    let (name, values) = split_once(head, b':')?;
    let mut parts = values.split(|byte| *byte == b':');
    let is_one = parts.clone().count() > 1 && parts.all(has_type);
    is_one.then(|| values.split(|byte| *byte == b':').map(|part| [name, b":", part, tags].concat()).collect())
}

fn has_type(part: &[u8]) -> bool {
    let fields = split_once(part, b'|').map(|(_, fields)| fields);
    fields.is_some_and(|fields| parse_kind(split_once(fields, b'|').map_or(fields, |(kind, _)| kind)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_whose_values_have_types_is_taken_apart() {
        let taken = |line: &str| {
            let lines = lines(line.as_bytes())?;
            Some(lines.into_iter().map(|line| String::from_utf8(line).unwrap()).collect::<Vec<_>>().join(" "))
        };
        for (line, expected) in [
            ("m:1|c:2|c", Some("m:1|c m:2|c")),
            ("m:1|c|@0.1:320|ms:x|s|#a:b,c", Some("m:1|c|@0.1|#a:b,c m:320|ms|#a:b,c m:x|s|#a:b,c")),
            ("n:5|g:+3|g", Some("n:5|g n:+3|g")),
            ("m:1|c", None),
            ("m:1:2|c", None),
            ("m:1|c|#a:b", None),
            ("m:1|c|c:ci-abc", None),
            ("m:1|c|e:it-false,cn-web|card:low", None),
            ("m:1|c:2|x", None),
            ("m:1|c:2", None),
            ("m", None),
        ] {
            assert_eq!(taken(line).as_deref(), expected, "{line}");
        }
    }
}
