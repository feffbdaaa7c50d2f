//! The name of an application whose master has no title.
//!
//! Gunicorn's name is the option `proc_name`, from the command line, `GUNICORN_CMD_ARGS` or the configuration file, in this
//! order, else the application itself (`gunicorn/config.py`). Once found it stays the master's: files may change meanwhile.

use std::collections::HashMap;
use std::io;
use std::sync::LazyLock;

use regex::Regex;

use crate::command_line::CommandLine;
use crate::process::{Process, ProcessId};
use crate::table::ProcessTable;

/// Where Gunicorn looks for its settings where nothing is said.
const DEFAULT_FILE: &str = "gunicorn.conf.py";
/// More of a settings file is not read, in bytes.
const LONGEST_FILE: u64 = 256 * 1024;

/// A setting whose value is a plain text, in Python.
static SETTING: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?m)^(proc_name|wsgi_app)[ \t]*=[ \t]*(?:(["'])([^"'\\\n]*)["'][ \t]*(?:#.*)?\r?$)?"#).ok()
});

/// What an application is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub text: String,
    /// False where its settings could not be read, or compute the name: then this is a guess.
    pub is_certain: bool,
}

/// The names of untitled masters.
#[derive(Default)]
pub(crate) struct Names {
    known: HashMap<ProcessId, Name>,
}

impl Names {
    /// The name of a master by its command line and settings.
    pub(crate) fn of(&mut self, process: &Process, command: &CommandLine<'_>, table: &mut ProcessTable) -> Name {
        self.known.entry(process.id).or_insert_with(|| find(process.id.pid, command, table)).clone()
    }

    /// Forgets processes that are not among these.
    pub(crate) fn keep(&mut self, processes: &[Process]) {
        self.known.retain(|id, _| processes.binary_search_by_key(id, |process| process.id).is_ok());
    }
}

fn find(pid: u32, command: &CommandLine<'_>, table: &mut ProcessTable) -> Name {
    let certain = |text: &str| Name { text: text.to_owned(), is_certain: true };
    if let Some(name) = command.option("--name", Some("-n")) {
        return certain(name);
    }
    let variable = table.variable(pid, "GUNICORN_CMD_ARGS").unwrap_or_default();
    let words = std::iter::once("gunicorn".to_owned()).chain(split(&variable)).collect::<Vec<_>>();
    let more = CommandLine::of(&words);
    if let Some(name) = more.and_then(|more| more.option("--name", Some("-n"))) {
        return certain(name);
    }
    let given = |command: &CommandLine<'_>| command.option("--config", Some("-c")).map(str::to_owned);
    let settings = Settings::read(pid, given(command).or_else(|| given(&more?)), table);
    match (settings.name, command.application().map(str::to_owned).or(settings.application)) {
        (Some(name), _) => Name { text: name, is_certain: true },
        (None, Some(application)) => Name { text: application, is_certain: settings.is_whole },
        (None, None) => Name { text: "gunicorn".to_owned(), is_certain: false },
    }
}

/// What a settings file says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Settings {
    name: Option<String>,
    application: Option<String>,
    /// Whether that is all that could be said.
    is_whole: bool,
}

impl Settings {
    fn read(pid: u32, given: Option<String>, table: &mut ProcessTable) -> Self {
        let path = given.as_deref().map_or(DEFAULT_FILE, |path| path.strip_prefix("file:").unwrap_or(path));
        match table.file_of(pid, path, LONGEST_FILE) {
            Ok(content) => Settings::of(&String::from_utf8_lossy(&content)),
            // Without a file there are no settings; one that was asked for is somewhere else.
            Err(error) => {
                let has_none = given.is_none() && error.kind() == io::ErrorKind::NotFound;
                Settings { is_whole: has_none, ..Settings::default() }
            }
        }
    }

    fn of(text: &str) -> Self {
        let mut settings = Settings { is_whole: true, ..Settings::default() };
        for found in SETTING.iter().flat_map(|setting| setting.captures_iter(text)) {
            let value = found.get(3).map(|value| value.as_str().to_owned());
            match found.get(1).map(|key| key.as_str()) {
                Some("wsgi_app") => settings.application = value,
                _ => {
                    settings.is_whole = value.is_some();
                    settings.name = value;
                }
            }
        }
        settings
    }
}

/// Words as a shell splits them, with quotes.
fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_settings_file_names_the_application_where_it_does_so_plainly() {
        let settings = |name: Option<&str>, application: Option<&str>, is_whole| Settings {
            name: name.map(str::to_owned),
            application: application.map(str::to_owned),
            is_whole,
        };
        for (text, expected) in [
            ("", settings(None, None, true)),
            ("workers = 3\nproc_name = \"web1\"\n", settings(Some("web1"), None, true)),
            ("proc_name='web1' # ours\r\nwsgi_app = 'shop:app'", settings(Some("web1"), Some("shop:app"), true)),
            ("proc_name = os.environ['NAME']", settings(None, None, false)),
            ("proc_name = f\"web{n}\"", settings(None, None, false)),
            ("proc_name = \"a\" + suffix", settings(None, None, false)),
            ("proc_name = 'first'\nproc_name = 'second'", settings(Some("second"), None, true)),
            ("# proc_name = 'no'\nif x:\n    proc_name = 'no'", settings(None, None, true)),
            ("default_proc_name = 'no'", settings(None, None, true)),
        ] {
            assert_eq!(Settings::of(text), expected, "{text:?}");
        }
    }

    #[test]
    fn words_are_split_as_a_shell_does() {
        assert_eq!(
            split("--name 'my web' -w\t2  --bind=\"a:1\"b ''"),
            ["--name", "my web", "-w", "2", "--bind=a:1b", ""]
        );
        assert_eq!(split(" "), [""; 0]);
        assert_eq!(split("'open"), ["open"]);
    }
}
