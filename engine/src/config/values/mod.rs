//! Value types that every component's configuration shares.

mod byte_size;
mod duration;
mod secret;

pub use byte_size::{ByteSize, InvalidByteSize};
pub use duration::{Duration, InvalidDuration};
pub use secret::Secret;
pub(super) use secret::{FILE as SECRET_FILE, NAME as SECRET, TEXT as SECRET_TEXT};
