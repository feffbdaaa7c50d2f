//! The titles that Gunicorn gives its processes where the `setproctitle` package is installed.
//!
//! `gunicorn: master [NAME]`, `gunicorn: worker [NAME]`, and of Gunicorn 25 and newer `gunicorn: dirty-arbiter` and
//! `gunicorn: dirty-worker [NAME]` (`gunicorn/arbiter.py`, `gunicorn/dirty/`).

/// What all titles begin with.
pub(crate) const PREFIX: &str = "gunicorn: ";

/// What Gunicorn appends to the name of a master that was started by `SIGUSR2`, until the old one has gone.
pub(crate) const UPGRADE: &str = ".2";

/// A process by its title.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Title<'a> {
    /// The master of an application of this name.
    Master(&'a str),
    /// A worker. Its name may be an old one: workers keep theirs when a master is promoted.
    Worker,
    /// Neither: a dirty arbiter, a dirty worker, or what a later Gunicorn may have.
    Other,
}

impl<'a> Title<'a> {
    /// The title that a first argument is; nothing where it is none. Names hold any character, brackets too.
    pub(crate) fn of(argument: &'a str) -> Option<Self> {
        let text = argument.trim_end().strip_prefix(PREFIX)?;
        let master = text.strip_prefix("master [").and_then(|rest| rest.strip_suffix(']'));
        Some(match master {
            Some(name) => Title::Master(name),
            None if text.starts_with("worker [") => Title::Worker,
            None => Title::Other,
        })
    }
}

/// The title of an application's master.
pub(crate) fn master_title(name: &str) -> String {
    format!("{PREFIX}master [{name}]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_read_whole_and_from_their_first_letter() {
        for (argument, expected) in [
            ("gunicorn: master [web1]", Some(Title::Master("web1"))),
            ("gunicorn: master [web1.2]", Some(Title::Master("web1.2"))),
            ("gunicorn: master [app:app]", Some(Title::Master("app:app"))),
            ("gunicorn: master [a (b) [c] d/ü]", Some(Title::Master("a (b) [c] d/ü"))),
            ("gunicorn: master []", Some(Title::Master(""))),
            ("gunicorn: master [web1]  ", Some(Title::Master("web1"))),
            ("gunicorn: master [cut of", Some(Title::Other)),
            ("gunicorn: worker [web1]", Some(Title::Worker)),
            ("gunicorn: worker [a very long name that the memory of the title had no roo", Some(Title::Worker)),
            ("gunicorn: dirty-arbiter", Some(Title::Other)),
            ("gunicorn: dirty-worker [web1]", Some(Title::Other)),
            ("gunicorn: something new", Some(Title::Other)),
            ("vim gunicorn: master [web1]", None),
            ("Gunicorn: master [web1]", None),
            ("/srv/venv/bin/gunicorn", None),
            ("", None),
        ] {
            assert_eq!(Title::of(argument), expected, "{argument:?}");
        }
    }
}
