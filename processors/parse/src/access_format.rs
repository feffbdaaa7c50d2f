//! Gunicorn's access log formats: Python's `%(atom)s` between literal text.
//! (Gunicorn's documentation of `access_log_format`; `gunicorn/glogging.py`.)

/// What an atom stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Atom {
    /// `h`: the address that the request came from.
    Client,
    /// `u`: the user's name.
    User,
    /// `t`: the time.
    Time,
    /// `r`: method, target and protocol.
    RequestLine,
    /// `m`
    Method,
    /// `U`: the path without a query.
    Path,
    /// `q`
    Query,
    /// `H`
    Protocol,
    /// `s`
    Status,
    /// `b`, `B`: bytes of the response.
    Bytes,
    /// `f`
    Referer,
    /// `a`
    UserAgent,
    /// `T`, `M`, `L`, `D`: how long it took, with what a unit is in seconds; later ones are more precise.
    Duration(Unit),
    /// `p`: the process, in angle brackets.
    Process,
    /// `{name}i`: a header of the request, by its attribute.
    RequestHeader(String),
    /// `{name}o`: a header of the response, by its attribute.
    ResponseHeader(String),
    /// `{name}e`: a variable of the WSGI environment, by its attribute.
    Variable(String),
    /// `l` and others that say nothing.
    Ignored,
}

/// Units of durations, from the least to the most precise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unit {
    Seconds,
    Milliseconds,
    DecimalSeconds,
    Microseconds,
}

/// An atom and the text in front of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) before: String,
    pub(crate) atom: Atom,
}

/// A format: its atoms, and the text behind the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) after: String,
}

impl Format {
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn new(format: &str) -> Result<Format, String> {
        let (mut pieces, mut literal) = (Vec::new(), String::new());
        let mut rest = format;
        while let Some(at) = rest.find('%') {
            literal.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(behind) = rest.strip_prefix('%') {
                literal.push('%');
                rest = behind;
                continue;
            }
            let inside =
                rest.strip_prefix('(').ok_or_else(|| format!("`(` is missing behind `%` in `%{}`", start(rest)))?;
            let (name, behind) =
                inside.split_once(')').ok_or_else(|| format!("`)` is missing behind `%({}`", start(inside)))?;
            let atom = atom(name).ok_or_else(|| format!("`%({name})` is no atom of Gunicorn's access log"))?;
            rest = behind
                .strip_prefix(['s', 'd'])
                .ok_or_else(|| format!("`s` is missing behind `%({name})`, as in `%({name})s`"))?;
            if literal.is_empty() && !pieces.is_empty() {
                return Err(format!("nothing stands between `%({name})s` and the atom before it, to tell them apart"));
            }
            pieces.push(Piece { before: std::mem::take(&mut literal), atom });
        }
        literal.push_str(rest);
        if pieces.is_empty() {
            return Err("it has no atom".to_owned());
        }
        Ok(Format { pieces, after: literal })
    }
}

/// The beginning of a text, for errors.
fn start(text: &str) -> String {
    text.chars().take(10).collect()
}

fn atom(name: &str) -> Option<Atom> {
    if let Some(inside) = name.strip_prefix('{') {
        let (name, kind) = inside.split_once('}')?;
        let lower = name.to_ascii_lowercase();
        return match kind {
            "i" if lower == "user-agent" => Some(Atom::UserAgent),
            "i" => Some(Atom::RequestHeader(format!("http.request.header.{lower}"))),
            "o" => Some(Atom::ResponseHeader(format!("http.response.header.{lower}"))),
            "e" => Some(Atom::Variable(format!("wsgi.environ.{name}"))),
            _ => None,
        };
    }
    Some(match name {
        "h" => Atom::Client,
        "l" => Atom::Ignored,
        "u" => Atom::User,
        "t" => Atom::Time,
        "r" => Atom::RequestLine,
        "m" => Atom::Method,
        "U" => Atom::Path,
        "q" => Atom::Query,
        "H" => Atom::Protocol,
        "s" => Atom::Status,
        "b" | "B" => Atom::Bytes,
        "f" => Atom::Referer,
        "a" => Atom::UserAgent,
        "T" => Atom::Duration(Unit::Seconds),
        "M" => Atom::Duration(Unit::Milliseconds),
        "L" => Atom::Duration(Unit::DecimalSeconds),
        "D" => Atom::Duration(Unit::Microseconds),
        "p" => Atom::Process,
        _ => return None,
    })
}
