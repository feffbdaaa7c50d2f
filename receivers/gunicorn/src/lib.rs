//! The `gunicorn` receiver: counts Gunicorn's workers and says whether each application runs, by its processes.
//!
//! # The life of a collection
//!
//! 1. A thread of its own (`scanner`) reads the process table (`table`): every command line anew, since titles are set after
//!    a process has started, and the rest only of processes that could be Gunicorn's.
//! 2. What these processes are (`discover`) follows from their titles (`title`) or, where the `setproctitle` package is
//!    missing, from their command lines (`command_line`, `identity`) and who is whose child.
//!    Of each master more is told (`inspect`): its container, where its StatsD goes, its sockets.
//! 3. After 0.1 s, in which nothing waits but the collection itself, the workers' CPU times are read again: a worker that
//!    used some is working, another idle (`check`). Meanwhile masters with a control socket are asked (`control`).
//! 4. Each application becomes points (`points`) as the Datadog Agent's check makes them, with more of them
//!    where asked (`extras`), a part of the status page
//!    (`report`), and a line in the log where something changed (`news`).

mod check;
mod command_line;
mod config;
mod control;
mod discover;
mod extras;
mod identity;
mod inspect;
mod net;
mod news;
mod points;
mod process;
mod queue_limits;
mod receiver;
mod report;
mod scanner;
mod table;
mod title;
mod version;

#[cfg(test)]
mod tests;

pub use config::{ControlSocketConfig, GunicornConfig, InitConfig, Instance, MasterTag, MetricPatterns};
pub use receiver::{CheckRun, GunicornReceiver, run_once};
