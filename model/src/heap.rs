//! What small pieces take of the heap.

/// What a block of so many bytes takes: the allocator's own word beside it, in units of 16 bytes, 32 at least (glibc on 64
/// bits). Of a record with ten attributes this is as much as its texts.
pub(crate) const fn block(bytes: usize) -> usize {
    const WORD: usize = 8;
    match (bytes + WORD).next_multiple_of(16) {
        _ if bytes == 0 => 0,
        16 => 32,
        taken => taken,
    }
}

/// The same of what stands in an `Arc`, behind its two counters.
pub(crate) const fn shared(bytes: usize) -> usize {
    block(bytes + 2 * size_of::<usize>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_whole_units_and_nothing_takes_nothing() {
        for (bytes, taken) in [(0, 0), (1, 32), (24, 32), (25, 48), (40, 48), (41, 64), (1_000, 1_008)] {
            assert_eq!(block(bytes), taken, "{bytes}");
        }
        assert_eq!(shared(8), 32);
    }
}
