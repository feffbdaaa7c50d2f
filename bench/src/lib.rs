//! How fast the `statsd` receiver is, and the `filelog` receiver: a load generator, a floor to measure against, and a comparison with its peers.
//!
//! 1. [`corpus`] makes series and their lines; [`load`] packs them into datagrams and knows what they add up to.
//! 2. [`send`] sends them, at a rate or as fast as it goes.
//!    [`gunicorn`] is a real sender.
//! 3. [`sink`] only receives: what no server can do without; [`backend`] takes what hornpipe sends on.
//! 4. [`subject`] knows how each program is found and started, [`process`] what it uses, and [`compare`] measures all of
//!    them in turn and prints medians.
//!
//! [`logs`] does the same for the `filelog` receiver.
//!
//! Nothing here is a timed test. Linux only, as the system calls are.

#![cfg(target_os = "linux")]

pub mod backend;
pub mod compare;
pub mod corpus;
pub mod gunicorn;
pub mod load;
pub mod logs;
pub mod process;
pub mod send;
pub mod sink;
pub mod subject;
pub mod sys;
