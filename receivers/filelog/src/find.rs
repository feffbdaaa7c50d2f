//! Finds the files that the patterns name.
//!
//! `*` stands for any characters of a name, `?` for one, `[a-z]` for one of several, `{a,b}` for one of two texts, and `**` for any
//! number of directories. Names that begin with a dot are names like others. Symbolic links are followed, except by `**`.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Component as PathComponent, Path, PathBuf};

use globset::{Glob, GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};

use crate::handle::Meta;
use crate::tailer::Found;

/// The patterns of all file sets.
#[derive(Debug, Default)]
pub(crate) struct Finder {
    patterns: Vec<Pattern>,
    /// What is left out, by set.
    excluded: Vec<GlobSet>,
}

/// A pattern, part by part.
#[derive(Debug)]
struct Pattern {
    set: usize,
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    /// One name.
    Name(OsString),
    /// Names that match.
    Glob(GlobMatcher),
    /// Every name.
    Any,
    /// Directories below each other, none or more.
    Recursive,
}

/// What is there now.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) files: Vec<Found>,
    /// The directories in which files may appear.
    pub(crate) directories: BTreeSet<PathBuf>,
    /// What could not be looked at.
    pub(crate) problems: Vec<(PathBuf, io::Error)>,
    /// Directories that are not there.
    pub(crate) missing: BTreeSet<PathBuf>,
}

impl Finder {
    /// Adds a file set, the next in number.
    ///
    /// # Errors
    /// The pattern at fault and what is wrong with it.
    pub(crate) fn add_set(&mut self, include: &[String], exclude: &[String]) -> Result<(), (String, String)> {
        let set = self.excluded.len();
        for text in include {
            for alternative in alternatives(text) {
                let parts = parts(&alternative).map_err(|error| (text.clone(), error))?;
                self.patterns.push(Pattern { set, parts });
            }
        }
        let mut excluded = GlobSetBuilder::new();
        for text in exclude {
            for alternative in alternatives(text) {
                let path = absolute(&alternative);
                let glob = whole_path(&path.to_string_lossy()).map_err(|error| (text.clone(), error))?;
                excluded.add(glob);
            }
        }
        self.excluded.push(excluded.build().map_err(|error| (exclude.join(", "), error.to_string()))?);
        Ok(())
    }

    /// True where a pattern names a path, or something below it.
    pub(crate) fn may_name(&self, path: &Path) -> bool {
        let names: Vec<&OsStr> = path.components().filter_map(name_of).collect();
        self.patterns.iter().any(|pattern| may_lead(&pattern.parts, &names))
    }

    /// The set whose patterns name a path, where one does.
    pub(crate) fn set_of(&self, path: &Path) -> Option<usize> {
        let names: Vec<&OsStr> = path.components().filter_map(name_of).collect();
        let is_excluded = |set: usize| self.excluded.get(set).is_some_and(|excluded| excluded.is_match(path));
        let found =
            self.patterns.iter().find(|pattern| names_path(&pattern.parts, &names) && !is_excluded(pattern.set));
        found.map(|pattern| pattern.set)
    }

    /// Looks for the files.
    pub(crate) fn find(&self) -> Findings {
        let mut findings = Findings::default();
        for pattern in &self.patterns {
            let excluded = self.excluded.get(pattern.set);
            let mut walk = Walk { set: pattern.set, excluded, findings: &mut findings };
            walk.descend(Path::new("/"), &pattern.parts);
        }
        findings
    }
}

struct Walk<'a> {
    set: usize,
    excluded: Option<&'a GlobSet>,
    findings: &'a mut Findings,
}

impl Walk<'_> {
    fn descend(&mut self, directory: &Path, parts: &[Part]) {
        let Some((part, rest)) = parts.split_first() else { return };
        match part {
            Part::Name(name) => self.visit(directory, name, rest),
            Part::Any => self.visit_all(directory, rest, |_| true),
            Part::Glob(glob) => self.visit_all(directory, rest, |name| glob.is_match(Path::new(name))),
            Part::Recursive => {
                // `**` at the end means all files below.
                self.descend(directory, if rest.is_empty() { &[Part::Any] } else { rest });
                for entry in self.entries(directory) {
                    if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                        self.descend(&entry.path(), parts);
                    }
                }
            }
        }
    }

    fn visit_all(&mut self, directory: &Path, rest: &[Part], matches: impl Fn(&OsStr) -> bool) {
        for entry in self.entries(directory) {
            let name = entry.file_name();
            if matches(&name) {
                self.visit(directory, &name, rest);
            }
        }
    }

    /// Goes on with one name in a directory.
    fn visit(&mut self, directory: &Path, name: &OsStr, rest: &[Part]) {
        let path = directory.join(name);
        if !rest.is_empty() {
            self.descend(&path, rest);
            return;
        }
        self.findings.directories.insert(directory.to_owned());
        if self.excluded.is_some_and(|excluded| excluded.is_match(&path)) {
            return;
        }
        match look(&path) {
            Ok((meta, target)) if meta.is_file => {
                // Where a link points is where changes are told.
                let directory = target.as_deref().and_then(Path::parent);
                self.findings.directories.extend(directory.map(Path::to_owned));
                self.findings.files.push(Found { path, target, set: self.set, meta });
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.note_missing(directory),
            Err(error) => self.findings.problems.push((path, error)),
        }
    }

    fn entries(&mut self, directory: &Path) -> Vec<fs::DirEntry> {
        self.findings.directories.insert(directory.to_owned());
        match fs::read_dir(directory) {
            Ok(entries) => entries.filter_map(Result::ok).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.note_missing(directory);
                Vec::new()
            }
            // A file, where a directory would have to be: then there is nothing below.
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => Vec::new(),
            Err(error) => {
                self.findings.problems.push((directory.to_owned(), error));
                Vec::new()
            }
        }
    }

    /// Notes a directory that is not there, and the nearest one that is: there it will appear.
    fn note_missing(&mut self, directory: &Path) {
        if directory.is_dir() {
            return;
        }
        self.findings.directories.remove(directory);
        if let Some(existing) = directory.ancestors().find(|path| path.is_dir()) {
            self.findings.directories.insert(existing.to_owned());
        }
        self.findings.missing.insert(directory.to_owned());
    }
}

/// What is at a path; and, for a symbolic link, where that is.
fn look(path: &Path) -> io::Result<(Meta, Option<PathBuf>)> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_symlink() {
        return Ok((Meta::from(&metadata), None));
    }
    let target = fs::canonicalize(path)?;
    Ok((Meta::from(&fs::metadata(&target)?), Some(target)))
}

/// True where `names` are the first ones of a path that `parts` name.
fn may_lead(parts: &[Part], names: &[&OsStr]) -> bool {
    let (Some((part, parts_left)), Some((name, names_left))) = (parts.split_first(), names.split_first()) else {
        return names.is_empty();
    };
    match part {
        Part::Name(wanted) => wanted == name && may_lead(parts_left, names_left),
        Part::Glob(glob) => glob.is_match(Path::new(name)) && may_lead(parts_left, names_left),
        Part::Any => may_lead(parts_left, names_left),
        Part::Recursive => true,
    }
}

/// True where `names` are those of a path that `parts` name.
fn names_path(parts: &[Part], names: &[&OsStr]) -> bool {
    let Some((part, parts_left)) = parts.split_first() else { return names.is_empty() };
    if let Part::Recursive = part {
        let below = |skipped| names.get(skipped..).is_some_and(|left| names_path(parts_left, left));
        // `**` at the end means all files below.
        return if parts_left.is_empty() { !names.is_empty() } else { (0..names.len()).any(below) };
    }
    let Some((name, names_left)) = names.split_first() else { return false };
    let is_named = match part {
        Part::Name(wanted) => wanted == name,
        Part::Glob(glob) => glob.is_match(Path::new(name)),
        Part::Any | Part::Recursive => true,
    };
    is_named && names_path(parts_left, names_left)
}

fn name_of(component: PathComponent<'_>) -> Option<&OsStr> {
    match component {
        PathComponent::Normal(name) => Some(name),
        PathComponent::ParentDir => Some(OsStr::new("..")),
        _ => None,
    }
}

/// An absolute path; relative ones are below the current directory.
fn absolute(text: &str) -> PathBuf {
    std::path::absolute(text).unwrap_or_else(|_| PathBuf::from(text))
}

fn parts(text: &str) -> Result<Vec<Part>, String> {
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    let path = absolute(text);
    let parts = path.components().filter_map(name_of).map(part).collect::<Result<Vec<Part>, String>>()?;
    if parts.is_empty() { Err("names no file".to_owned()) } else { Ok(parts) }
}

fn part(name: &OsStr) -> Result<Part, String> {
    let Some(text) = name.to_str() else { return Ok(Part::Name(name.to_owned())) };
    if text == "**" {
        Ok(Part::Recursive)
    } else if text.contains(['*', '?', '[', '\\']) {
        whole_path(text).map(|glob| Part::Glob(glob.compile_matcher()))
    } else {
        Ok(Part::Name(name.to_owned()))
    }
}

fn whole_path(text: &str) -> Result<Glob, String> {
    let glob = GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build();
    glob.map_err(|error| error.kind().to_string())
}

/// A pattern without `{a,b}`: one for each choice, nested ones too. Braces that do not close are ordinary characters.
fn alternatives(text: &str) -> Vec<String> {
    let Some((start, end, commas)) = first_braces(text) else { return vec![text.to_owned()] };
    let (before, after) = (text.get(..start).unwrap_or_default(), text.get(end + 1..).unwrap_or_default());
    let mut edges = vec![start];
    edges.extend(commas);
    edges.push(end);
    let choices = edges.windows(2).filter_map(|edge| match edge {
        [from, to] => text.get(from + 1..*to),
        _ => None,
    });
    choices.flat_map(|choice| alternatives(&format!("{before}{choice}{after}"))).collect()
}

/// Where the first braces open and close, and their own commas.
fn first_braces(text: &str) -> Option<(usize, usize, Vec<usize>)> {
    let (mut depth, mut start, mut commas) = (0, 0, Vec::new());
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        if std::mem::take(&mut is_escaped) {
            continue;
        }
        match byte {
            b'\\' => is_escaped = true,
            b'{' => {
                if depth == 0 {
                    (start, commas) = (at, Vec::new());
                }
                depth += 1;
            }
            b',' if depth == 1 => commas.push(at),
            b'}' if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    return Some((start, at, commas));
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Directory;

    /// The files that patterns find below a directory, without it.
    fn found(directory: &Directory, include: &[&str], exclude: &[&str]) -> Vec<String> {
        let below = |patterns: &[&str]| -> Vec<String> {
            patterns.iter().map(|pattern| format!("{}/{pattern}", directory.path().display())).collect()
        };
        let mut finder = Finder::default();
        finder.add_set(&below(include), &below(exclude)).unwrap();
        let prefix = directory.path();
        let name = |found: &Found| found.path.strip_prefix(prefix).unwrap().display().to_string();
        let mut names: Vec<String> = finder.find().files.iter().map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn patterns_name_files() {
        let directory = Directory::new();
        for path in
            ["a.log", "b.log", ".c.log", "x.txt", "web/a.log", "web/deep/er/a.log", "db/a.log", "a.log.d/f", "[1].log"]
        {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        for (include, exclude, expected) in [
            (&["a.log"][..], &[][..], &["a.log"][..]),
            (&["*.log"], &[], &[".c.log", "[1].log", "a.log", "b.log"]),
            (&["?.log"], &["b.*"], &["a.log"]),
            (&["[ab].log"], &[], &["a.log", "b.log"]),
            (&["[^a].log"], &[], &["b.log"]),
            (&["\\[1\\].log"], &[], &["[1].log"]),
            (&["*/a.log"], &[], &["db/a.log", "web/a.log"]),
            (&["**/a.log"], &[], &["a.log", "db/a.log", "web/a.log", "web/deep/er/a.log"]),
            (&["**/a.log"], &["web/**"], &["a.log", "db/a.log"]),
            (&["web/**"], &[], &["web/a.log", "web/deep/er/a.log"]),
            (&["{web/deep/er,db}/a.log"], &[], &["db/a.log", "web/deep/er/a.log"]),
            (&["{a,b{,.x}}.log"], &[], &["a.log", "b.log"]),
            (&["a.log*"], &[], &["a.log"]),
            (&["missing/*.log", "x.txt"], &[], &["x.txt"]),
        ] {
            assert_eq!(found(&directory, include, exclude), expected, "{include:?} without {exclude:?}");
        }
    }

    #[test]
    fn a_directory_that_is_not_there_is_looked_for_where_it_would_appear() {
        let directory = Directory::new();
        let mut finder = Finder::default();
        finder.add_set(&[format!("{}/a/b/*.log", directory.path().display())], &[]).unwrap();
        let findings = finder.find();
        assert_eq!(findings.missing, BTreeSet::from([directory.path().join("a/b")]));
        assert_eq!(findings.directories, BTreeSet::from([directory.path().to_owned()]));
        fs::create_dir_all(directory.path().join("a/b")).unwrap();
        assert_eq!(finder.find().missing, BTreeSet::new());
        assert_eq!(finder.find().directories, BTreeSet::from([directory.path().join("a/b")]));
    }

    #[test]
    fn names_that_no_pattern_could_lead_through_are_known() {
        let mut finder = Finder::default();
        finder.add_set(&["/var/log/*/a.log".to_owned(), "/srv/**/x".to_owned()], &[]).unwrap();
        for (path, expected) in [
            ("/var/log/web", true),
            ("/var/log/web/a.log", true),
            ("/var/log/web/b.log", false),
            ("/var/log/web/a.log/x", false),
            ("/var/lib", false),
            ("/srv/any/thing", true),
        ] {
            assert_eq!(finder.may_name(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn the_set_that_names_a_path_is_known_without_looking() {
        let mut finder = Finder::default();
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        finder.add_set(&owned(&["/var/log/*/a.log"]), &owned(&["/var/log/not/*"])).unwrap();
        finder.add_set(&owned(&["/srv/**/x", "/opt/**"]), &[]).unwrap();
        for (path, expected) in [
            ("/var/log/web/a.log", Some(0)),
            ("/var/log/not/a.log", None),
            ("/var/log/web", None),
            ("/var/log/web/a.log/x", None),
            ("/srv/x", Some(1)),
            ("/srv/a/b/x", Some(1)),
            ("/srv/a/b", None),
            ("/opt/a/b", Some(1)),
            ("/opt", None),
        ] {
            assert_eq!(finder.set_of(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn a_pattern_that_is_none_is_refused_by_name() {
        let error = Finder::default().add_set(&["/var/log/[a".to_owned()], &[]).unwrap_err();
        assert_eq!(error.0, "/var/log/[a");
        assert!(error.1.contains("unclosed"), "{}", error.1);
        assert!(Finder::default().add_set(&[String::new()], &[]).is_err());
    }

    #[test]
    fn symbolic_links_are_followed_but_not_round_and_round() {
        let directory = Directory::new();
        fs::create_dir(directory.path().join("real")).unwrap();
        fs::write(directory.path().join("real/a.log"), "x").unwrap();
        std::os::unix::fs::symlink(directory.path().join("real/a.log"), directory.path().join("link.log")).unwrap();
        std::os::unix::fs::symlink(directory.path(), directory.path().join("real/round")).unwrap();
        assert_eq!(found(&directory, &["*.log", "**/a.log"], &[]), ["link.log", "real/a.log"]);
    }
}
