//! The nearest valid name to one that is not.

/// The candidate that `name` was probably meant to be: equal but for case, `_` and `-`, or few typing errors away (one
/// in three characters, at most three).
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(name);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let distance = distance(&folded, &fold(candidate));
        let limit = (folded.len().max(candidate.len()) / 3).clamp(1, 3);
        if distance <= limit && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// A help text for an unknown name: the nearest valid one, else all of them under `label`.
pub(super) fn help(name: &str, label: &str, candidates: &[&str]) -> String {
    match nearest(name, candidates.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => list(label, candidates),
    }
}

/// `label: a, b, c`, where other spellings of a name are left out.
pub(super) fn list(label: &str, names: &[&str]) -> String {
    let mut shown: Vec<&str> = Vec::new();
    // Nothing is a value that nobody has to write.
    for name in names.iter().filter(|name| !name.is_empty()) {
        if !shown.iter().any(|known| fold(known) == fold(name)) {
            shown.push(name);
        }
    }
    if shown.is_empty() {
        return format!("{label}: none");
    }
    format!("{label}: {}", shown.join(", "))
}

/// Names longer than this are never typing errors of ours; the bound keeps the table small.
const LONGEST: usize = 80;

fn fold(name: &str) -> Vec<char> {
    name.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).take(LONGEST).collect()
}

/// Edit distance where a swap of neighbours counts as one edit (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let width = b.len() + 1;
    let mut table = vec![0; (a.len() + 1) * width];
    for row in 0..=a.len() {
        for column in 0..=b.len() {
            let at = row * width + column;
            if row == 0 || column == 0 {
                table[at] = row + column;
                continue;
            }
            let replaced = table[at - width - 1] + usize::from(a[row - 1] != b[column - 1]);
            let mut least = replaced.min(table[at - 1] + 1).min(table[at - width] + 1);
            if row > 1 && column > 1 && a[row - 1] == b[column - 2] && a[row - 2] == b[column - 1] {
                least = least.min(table[at - 2 * width - 2] + 1);
            }
            table[at] = least;
        }
    }
    table[a.len() * width + b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_or_none() {
        let known = ["aggregation_interval", "endpoint", "tags", "is_monotonic_counter"];
        for (name, expected) in [
            ("agregation_interval", Some("aggregation_interval")),
            ("aggregationInterval", Some("aggregation_interval")),
            ("end-point", Some("endpoint")),
            ("enpdoint", Some("endpoint")),
            ("tag", Some("tags")),
            ("tgas", Some("tags")),
            ("cat", None),
            ("", None),
            ("address", None),
        ] {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
    }
}
