//! hornpipe's engine: component contracts, configuration, the graph, delivery and self-telemetry. It knows no component.
//!
//! # The life of a batch
//!
//! 1. A [`Receiver`](component::Receiver) makes a [`Batch`] and sends it to its [`Output`]. A receiver that must not
//!    lose data adds an [`Ack`] and waits for its outcome.
//! 2. The output hands a clone (a pointer) to every [`pipeline`] that names the receiver. The pipeline runs its
//!    [`Processor`](component::Processor)s, one after another, in the receiver's task.
//! 3. The last processor's batches go into the queue of every exporter of the pipeline ([`delivery`]). Putting is all
//!    that siblings share: from there each exporter has its own task, queue, clock of retries and errors.
//! 4. The exporter's task takes the oldest batch, has it encoded into requests, sends each until the backend took it,
//!    refused it for good, or it grew too old, and settles the batch's ack with the worst of these.
//!
//! [`graph`] builds all of it from a [`config`] plan, runs it and shuts it down in order: receivers flush, processors
//! flush, queues drain.

pub mod component;
pub mod config;
pub mod control;
pub mod delivery;
pub mod graph;
pub mod http;
pub mod logs;
pub mod memory;
pub mod pipeline;
pub mod registry;
pub mod resource;
pub mod sockets;
pub mod state_dir;
pub mod status;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;

mod ack;
mod batch;
mod clock;
mod lock;
mod match_type;
mod output;
mod rate_limit;
mod shutdown;
mod template;

pub use ack::{Ack, AckOutcome, Outcome};
pub use batch::Batch;
pub use clock::{BoxFuture, Clock, ClockSource, Elapsed};
pub use component::{Reason, reason};
pub use lock::lock;
pub use match_type::{InvalidPattern, MatchType};
pub use output::Output;
pub use rate_limit::RateLimit;
pub use registry::Registry;
pub use shutdown::{Shutdown, ShutdownTrigger};
pub use sockets::Sockets;
pub use template::Template;
