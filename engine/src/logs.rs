//! What is done with the lines of a log before they are records: joining, and the rules of the Agent's `logs:` lists.
//!
//! All of it is pure: lines and the time come in, records come out. Receivers of files and processors share it, so that a
//! pattern means the same wherever it is written.

mod boundary;
mod join;
mod pattern;
mod rules;
mod traceback;

pub use boundary::Boundary;
pub use join::{Carried, Joined, Joiner, Joining, PART, Part};
pub use pattern::compile;
pub use rules::{EXCLUDED, NOT_INCLUDED, Rule, RuleKind, Rules, Verdict};
pub use traceback::{Exception, exception};

#[cfg(test)]
mod tests;
