//! Asking the running process.

use hornpipe_engine::control;
use hornpipe_engine::resource::process_variable;

/// Asks the process of this environment's state directory over its control socket; the answer's JSON.
///
/// # Errors
/// Why there is no answer, where it was looked for and what to do, in words for the operator.
pub fn ask(request: &str) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    runtime.block_on(control::ask(&process_variable, request)).map_err(|error| error.to_string())
}
