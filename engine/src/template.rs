//! Texts with `$1`, as components' options have them.

use regex::Captures;

/// A text in which `$1` (or `${1}`, where a digit follows) stands for what a group of a pattern matched, and any other
/// `$` for itself. The regex library's own templates would read `$1_total` as a group named `1_total`, which is nobody's
/// wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Group(usize),
}

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut pieces = text.split('$');
        parts.push(Part::Text(pieces.next().unwrap_or_default().to_owned()));
        for piece in pieces {
            match group_at_start(piece) {
                Some((group, rest)) => parts.extend([Part::Group(group), Part::Text(rest.to_owned())]),
                None => parts.push(Part::Text(format!("${piece}"))),
            }
        }
        Template { parts }
    }

    /// The highest group that it names; 0 where it names none.
    pub fn highest_group(&self) -> usize {
        let groups = self.parts.iter().map(|part| match part {
            Part::Group(group) => *group,
            Part::Text(_) => 0,
        });
        groups.max().unwrap_or(0)
    }

    /// The text for a match. A group that took no part in it is empty.
    pub fn fill(&self, groups: &Captures<'_>) -> String {
        let parts = self.parts.iter().map(|part| match part {
            Part::Text(text) => text.as_str(),
            Part::Group(group) => groups.get(*group).map_or("", |found| found.as_str()),
        });
        parts.collect()
    }
}

/// The group in `1rest` or `{1}rest`, and what follows.
fn group_at_start(text: &str) -> Option<(usize, &str)> {
    if let Some((number, rest)) = text.strip_prefix('{').and_then(|inside| inside.split_once('}')) {
        return Some((number.parse().ok()?, rest));
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    Some((number.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::Regex;

    #[test]
    fn groups_are_filled_in_and_other_dollars_stay() {
        let pattern = Regex::new(r"^(\w+)\.(\d+)(x)?$").unwrap();
        let groups = pattern.captures("status.404").unwrap();
        for (text, expected, highest) in [
            ("plain", "plain", 0),
            ("", "", 0),
            ("$1", "status", 1),
            ("$1_total", "status_total", 1),
            ("http.$1.of.$2", "http.status.of.404", 2),
            ("${2}00", "40400", 2),
            ("$0", "status.404", 0),
            ("$3", "", 3),
            ("$", "$", 0),
            ("a$b ${c} ${", "a$b ${c} ${", 0),
        ] {
            let template = Template::parse(text);
            assert_eq!(template.fill(&groups), expected, "{text}");
            assert_eq!(template.highest_group(), highest, "{text}");
        }
    }
}
