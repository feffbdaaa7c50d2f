//! How fast log files reach a backend, and whether every line does: the same comparison for the `filelog` receiver.
//!
//! 1. [`lines`] makes lines of an access log, each with a number, and knows a line that is not as it was written.
//! 2. `writer` writes them into files; [`verify`] is a backend that decodes what it gets and checks it off, number by number.
//! 3. [`subject`] knows how each program is told what to read and where to send it.
//! 4. [`compare`] measures all of them in turn and prints medians, with what was lost or came twice.

pub mod compare;
pub mod lines;
pub mod subject;
mod table;
pub mod verify;
mod writer;
