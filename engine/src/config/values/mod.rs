//! Value types that every component's configuration shares.

mod byte_size;
mod duration;
mod secret;

pub use byte_size::{ByteSize, InvalidByteSize};
pub use duration::{Duration, InvalidDuration};
pub(super) use secret::NAME as SECRET;
pub use secret::Secret;
