//! The memory of a request body in the making.
//!
//! A body is encoded into a buffer, and is gone once it is compressed. The system takes longer to hand out a megabyte anew than it
//! takes to write it, so one buffer is kept for the next body. It serves all exporters, as they rarely encode at the same time.

use std::sync::Mutex;

use crate::lock;

static SPARE: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// A buffer that was larger than this is not kept: thousands of usual records fit.
pub(super) const MAX_SPARE_BYTES: usize = 4 << 20;

/// An empty buffer, with the memory of an earlier body where that is free.
pub fn take_body_memory() -> Vec<u8> {
    std::mem::take(&mut *lock(&SPARE))
}

/// Gives a buffer back whose content is no longer needed.
pub fn give_body_memory(mut buffer: Vec<u8>) {
    buffer.clear();
    if (1..=MAX_SPARE_BYTES).contains(&buffer.capacity()) {
        *lock(&SPARE) = buffer;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_empty_and_a_huge_one_does_not() {
        // Other tests of this process may use it, too: what is taken is empty, whoever gave it.
        give_body_memory(b"secret".to_vec());
        assert!(take_body_memory().is_empty());
        give_body_memory(Vec::with_capacity(MAX_SPARE_BYTES + 1));
        assert!(take_body_memory().capacity() <= MAX_SPARE_BYTES);
    }
}
