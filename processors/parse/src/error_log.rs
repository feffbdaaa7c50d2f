//! Records of Gunicorn's error log.

use hornpipe_engine::logs::exception;
use hornpipe_model::{Severity, Value};

use crate::fields::Fields;
use crate::level;
use crate::time;

/// `[2026-11-22 10:35:59 +0000] [7] [INFO] message`, as Gunicorn writes it; `[2026-11-22 10:35:59,123] INFO message`, as a
/// logging configuration of its own may; or a traceback alone, as Python prints it. A traceback in the message, or in the
/// lines behind it, becomes `exception.*`.
pub(crate) fn fields(text: &str) -> Option<Fields> {
    let mut fields = Fields::default();
    let has_prefix = prefix(text, &mut fields).is_some();
    let exception = exception(text);
    if !has_prefix {
        // Nobody says how severe it is.
        exception.filter(|exception| text.starts_with(exception.stacktrace))?;
        fields = Fields { severity: Some((Severity::ERROR, String::new())), ..Fields::default() };
    }
    if let Some(exception) = exception {
        fields.add_exception(exception);
    }
    Some(fields)
}

fn prefix(text: &str, fields: &mut Fields) -> Option<()> {
    let (time, rest) = text.strip_prefix('[')?.split_once(']')?;
    fields.time = Some(time::usual(time.as_bytes())?);
    let rest = rest.strip_prefix(' ')?;
    let level = match rest.strip_prefix('[') {
        Some(rest) => {
            let (pid, rest) = rest.split_once("] [")?;
            fields.add("process.pid", Value::Int(pid.parse().ok()?));
            rest.split_once(']')?.0
        }
        None => rest.split([' ', '\n']).next().unwrap_or_default(),
    };
    fields.severity = Some((level::severity(level)?, level.to_owned()));
    Some(())
}
