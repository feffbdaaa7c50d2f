//! The `filelog` receiver: log files, read as they grow.
//!
//! # The life of a line
//!
//! 1. The patterns are looked up (`find`), and the directories behind them watched (`watch`).
//! 2. A file that is new to us is compared with what is known (`tailer`): it may be new, renamed, or a copy.
//! 3. A file that grew is read on (`tail`): what was read before is checked first, new bytes are cut into lines
//!    (`splitter`), decoded (`encoding`) and made into records (`records`). Every file gets its share; a batch takes from
//!    several.
//! 4. A batch goes out with one ack (`receiver`). While too much is on its way, files wait.
//! 5. When it is delivered, durably queued or counted as dropped, the settled prefix of its files grows (`progress`), and is
//!    written to disk at most twice a second (`checkpoint`). After a crash reading goes on from there.
//!
//! All that touches a disk is done in steps (`core`) on a thread for such work; everything but `receiver` is free of the
//! runtime.

mod agent;
mod checkpoint;
mod config;
mod core;
mod encoding;
mod find;
mod fingerprint;
mod handle;
mod problem;
mod progress;
mod receiver;
mod records;
mod reports;
mod splitter;
mod tail;
mod tailer;
mod watch;

#[cfg(test)]
mod tests;

pub use agent::{AgentLog, AgentLogKind, StartPosition};
pub use config::{FilelogConfig, MultilineConfig, StartAt};
pub use encoding::Encoding;
pub use handle::Compression;
pub use receiver::FilelogReceiver;
