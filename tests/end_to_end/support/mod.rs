//! What the tests share: starting and stopping programs, and the backends that they all feed.

mod backends;
mod directory;
mod gunicorn;
mod hornpipe;
pub mod mounts;
mod process;
mod proxy;
mod sample;
mod tee;
pub mod virtual_environment;

pub use backends::Backends;
pub use directory::Directory;
pub use gunicorn::Gunicorn;
pub use hornpipe::{Hornpipe, free_address, hornpipe, metrics_pipeline, shipped_pipeline, status};
pub use process::Process;
pub use proxy::Proxy;
pub use sample::Sample;
pub use tee::Tee;
