//! Configuration: YAML files to typed settings, and everything that is wrong with them at once.
//!
//! The steps, each a module: [`parse`](parse()) reads a file into a tree of [`Node`]s that know their places; [`merge`]
//! lays files over each other; [`substitute`] puts in environment variables and files; [`decode`](decode()) turns a
//! node into a component's settings; the settings' own `validate` adds to a [`Report`]; [`plan`](plan()) checks how the
//! components refer to each other. Each adds what it finds to [`Diagnostics`]; none stops at the first error.
//!
//! No diagnostic prints a value that came from the environment or a file: it prints the reference instead.

mod decode;
mod diagnostic;
mod environment;
mod expand;
mod files;
mod id;
mod location;
mod mask;
mod merge;
mod node;
mod parse;
mod path;
mod plan;
mod render;
mod report;
mod scalar;
mod substitute;
mod suggest;
mod syntax;
mod values;

#[cfg(test)]
mod tests;

pub use decode::decode;
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use environment::{Environment, FixedEnvironment, ProcessEnvironment};
pub use files::read_file;
pub use id::{ComponentId, InvalidId, parse_pipeline_id};
pub use location::{Location, Source};
pub use merge::merge;
pub use node::{Entry, Node, Scalar, Unresolved, Value};
pub use parse::{MAX_BYTES, parse};
pub use path::{NodePath, Segment};
pub use plan::{PipelinePlan, Plan, Planned, ServiceConfig, load, plan};
pub use report::{Problem, Report};
pub use substitute::substitute;
pub use suggest::nearest;
pub use values::{ByteSize, Duration, InvalidByteSize, InvalidDuration, Secret};
