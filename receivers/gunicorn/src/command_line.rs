//! Gunicorn's command line, where no title has taken its place.
//!
//! `python3 .../bin/gunicorn --name web1 app:app`, `python3 -m gunicorn app:app`, or a frozen program named `gunicorn`.
//! Gunicorn's options are those of `gunicorn/config.py` (27.0).

use std::path::Path;

/// Gunicorn's options that take no value. Every other one takes the argument behind it.
const FLAGS: [&str; 31] = [
    "--capture-output",
    "--check-config",
    "--control-socket-disable",
    "--daemon",
    "--disable-redirect-access-to-syslog",
    "--do-handshake-on-connect",
    "--enable-backlog-metric",
    "--enable-stdio-inheritance",
    "--help",
    "--initgroups",
    "--log-syslog",
    "--no-control-socket",
    "--no-sendfile",
    "--permit-obsolete-folding",
    "--permit-unconventional-http-method",
    "--permit-unconventional-http-version",
    "--preload",
    "--print-config",
    "--proxy-protocol",
    "--reload",
    "--reuse-port",
    "--spew",
    "--strip-header-spaces",
    "--suppress-ragged-eofs",
    "--tolerate-dangerous-framing",
    "--casefold-http-method",
    "--version",
    "-D",
    "-R",
    "-h",
    "-v",
];

/// With these Gunicorn prints something and ends.
const QUESTIONS: [&str; 6] = ["--version", "-v", "--help", "-h", "--check-config", "--print-config"];

/// Python's own options that take the argument behind them, besides `-m` and `-c`.
const PYTHON_OPTIONS: [&str; 3] = ["-W", "-X", "--check-hash-based-pycs"];

/// A command line that starts Gunicorn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommandLine<'a> {
    /// What the program was called by, such as `/srv/venv/bin/python3`.
    program: &'a str,
    /// The script, where the program is an interpreter.
    script: Option<&'a str>,
    /// Gunicorn's own arguments.
    arguments: &'a [String],
}

impl<'a> CommandLine<'a> {
    /// Reads a process's arguments; nothing where they do not start a Gunicorn that serves.
    pub(crate) fn of(arguments: &'a [String]) -> Option<Self> {
        let (program, rest) = arguments.split_first()?;
        let (script, arguments) = match file_name(program) {
            name if is_gunicorn(name) => (None, rest),
            name if is_python(name) => script(rest)?,
            _ => return None,
        };
        let found = CommandLine { program, script, arguments };
        let asks = found.options().any(|(name, _)| QUESTIONS.contains(&name));
        (!asks).then_some(found)
    }

    /// The last value of an option, given by its long and its short name.
    pub(crate) fn option(&self, long: &str, short: Option<&str>) -> Option<&'a str> {
        self.options().filter(|(name, _)| *name == long || Some(*name) == short).filter_map(|(_, value)| value).last()
    }

    /// Whether an option is given, with a value or without.
    pub(crate) fn has(&self, long: &str) -> bool {
        self.options().any(|(name, _)| name == long)
    }

    /// The application, such as `shop.wsgi:app`: what stands there without an option.
    pub(crate) fn application(&self) -> Option<&'a str> {
        let plain = |(name, value): (&'a str, Option<&'a str>)| if name.is_empty() { value } else { None };
        // An option that we do not know to be a flag may have taken the application for its value.
        let last = || self.arguments.last().map(String::as_str).filter(|last| is_application(last));
        self.options().find_map(plain).or_else(last)
    }

    /// The interpreter of the application's environment as a shell takes it, where the command line tells it.
    pub(crate) fn interpreter(&self) -> Option<String> {
        let beside = |script: &str| {
            let folder = Path::new(script).parent().filter(|_| script.starts_with('/'))?;
            Some(folder.join("python").to_string_lossy().into_owned())
        };
        match self.script {
            Some(_) if self.program.starts_with('/') => Some(self.program.to_owned()),
            Some(script) => beside(script).or_else(|| Some(self.program.to_owned())),
            None => None,
        }
    }

    /// The options with their values, and what stands there without an option under the empty name.
    fn options(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        let mut rest = self.arguments.iter().map(String::as_str);
        let mut only_plain = false;
        std::iter::from_fn(move || {
            let argument = rest.next()?;
            if only_plain || argument == "-" || !argument.starts_with('-') {
                return Some(("", Some(argument)));
            }
            if argument == "--" {
                only_plain = true;
                return Some(("--", None));
            }
            if let Some(long) = argument.strip_prefix("--") {
                return Some(match argument.split_once('=') {
                    Some((name, value)) => (name, Some(value)),
                    None if FLAGS.contains(&argument) || long.is_empty() => (argument, None),
                    None => (argument, rest.next()),
                });
            }
            if FLAGS.contains(&argument) {
                return Some((argument, None));
            }
            // `-n web1`, `-nweb1` and `-n=web1` are the same.
            Some(match argument.char_indices().nth(2) {
                None => (argument, rest.next()),
                Some((end, _)) => {
                    let (name, value) = argument.split_at(end);
                    (name, Some(value.strip_prefix('=').unwrap_or(value)))
                }
            })
        })
    }
}

/// The script that Python runs, with the arguments behind it.
fn script(arguments: &[String]) -> Option<(Option<&str>, &[String])> {
    let mut rest = arguments;
    loop {
        let (argument, behind) = rest.split_first()?;
        rest = behind;
        match argument.as_str() {
            "-m" => {
                let (module, behind) = rest.split_first()?;
                let is_it = module == "gunicorn" || module.starts_with("gunicorn.");
                return is_it.then_some((Some(module.as_str()), behind));
            }
            "-c" => return None,
            option if PYTHON_OPTIONS.contains(&option) => rest = rest.split_first()?.1,
            option if option.starts_with('-') => {}
            script if is_gunicorn(file_name(script)) => return Some((Some(script), behind)),
            _ => return None,
        }
    }
}

/// `shop.wsgi:app`, `shop:make()`; neither an address nor a path.
fn is_application(text: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let Some((module, object)) = text.split_once(':') else { return false };
    let begins_well = |text: &str| text.starts_with(|c: char| is_word(c) && !c.is_ascii_digit());
    begins_well(module) && begins_well(object) && module.chars().all(|c| is_word(c) || c == '.')
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// `gunicorn`, `gunicorn3`, `gunicorn-3.11`; not `gunicornc`, which asks a running one.
fn is_gunicorn(name: &str) -> bool {
    let version = name.strip_prefix("gunicorn");
    version.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.' || c == '-'))
}

/// `python3.11`, `Python` (macOS), `pypy3`.
fn is_python(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let version = name.strip_prefix("python").or_else(|| name.strip_prefix("pypy"));
    version.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.' || c == 't'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn gunicorn_is_known_by_what_is_run_and_not_by_a_word_somewhere() {
        for (line, expected) in [
            ("/srv/venv/bin/python3 /srv/venv/bin/gunicorn app:app", true),
            ("python3.11 -u -W ignore /usr/bin/gunicorn3 app:app", true),
            ("/usr/bin/python -m gunicorn app:app", true),
            ("python -X dev -m gunicorn.app.wsgiapp app:app", true),
            ("/opt/homebrew/Frameworks/Python.app/Contents/MacOS/Python /opt/venv/bin/gunicorn app:app", true),
            ("pypy3 /venv/bin/gunicorn app:app", true),
            ("python3.14t /venv/bin/gunicorn app:app", true),
            ("/app/gunicorn -w 2 app:app", true),
            ("gunicorn app:app", true),
            ("vim gunicorn", false),
            ("vim /etc/gunicorn.conf.py", false),
            ("/bin/sh /usr/bin/gunicorn app:app", false),
            ("sudo gunicorn app:app", false),
            ("docker exec web gunicorn --version", false),
            ("python3 /usr/bin/poetry run gunicorn app:app", false),
            ("python3 -c import gunicorn", false),
            ("python3 -m pytest gunicorn", false),
            ("python3 /venv/bin/gunicornc -c show stats", false),
            ("python3 /venv/bin/gunicorn --version", false),
            ("python3 /venv/bin/gunicorn --check-config app:app", false),
            ("python3", false),
            ("python3 -W", false),
            ("", false),
        ] {
            assert_eq!(CommandLine::of(&words(line)).is_some(), expected, "{line}");
        }
        assert_eq!(CommandLine::of(&[]), None);
    }

    #[test]
    fn options_are_read_in_every_spelling() {
        for (line, name, application) in [
            ("gunicorn --name web1 app:app", Some("web1"), Some("app:app")),
            ("gunicorn --name=web1 app:app", Some("web1"), Some("app:app")),
            ("gunicorn -n web1 app:app", Some("web1"), Some("app:app")),
            ("gunicorn -nweb1 app:app", Some("web1"), Some("app:app")),
            ("gunicorn app:app -n web1 --preload", Some("web1"), Some("app:app")),
            ("gunicorn -n old -n web1 app:app", Some("web1"), Some("app:app")),
            ("gunicorn --preload --reload app:app", None, Some("app:app")),
            ("gunicorn -w 3 -b 127.0.0.1:8000 shop.wsgi", None, Some("shop.wsgi")),
            ("gunicorn --some-new-flag app:app", None, Some("app:app")),
            ("gunicorn -c conf.py", None, None),
            ("gunicorn -w 2 --bind localhost:8000", None, None),
            ("gunicorn -- app:app", None, Some("app:app")),
            ("gunicorn -n", None, None),
            ("gunicorn --name", None, None),
            ("gunicorn", None, None),
            ("gunicorn -ü app:app", None, Some("app:app")),
        ] {
            let words = words(line);
            let command = CommandLine::of(&words).unwrap();
            assert_eq!(command.option("--name", Some("-n")), name, "{line}");
            assert_eq!(command.application(), application, "{line}");
        }
        let words = words("gunicorn --dirty-app a:b --no-control-socket app:app");
        let command = CommandLine::of(&words).unwrap();
        assert!(command.has("--dirty-app") && command.has("--no-control-socket") && !command.has("--name"));
    }

    #[test]
    fn the_interpreter_is_that_of_the_applications_environment() {
        for (line, expected) in [
            ("/srv/venv/bin/python3 /srv/venv/bin/gunicorn app:app", Some("/srv/venv/bin/python3")),
            ("python3 /srv/venv/bin/gunicorn app:app", Some("/srv/venv/bin/python")),
            ("python3 -m gunicorn app:app", Some("python3")),
            ("/srv/venv/bin/python3 -m gunicorn app:app", Some("/srv/venv/bin/python3")),
            ("/app/gunicorn app:app", None),
        ] {
            assert_eq!(CommandLine::of(&words(line)).unwrap().interpreter().as_deref(), expected, "{line}");
        }
    }
}
