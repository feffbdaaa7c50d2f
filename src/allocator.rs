//! How the allocator keeps memory that was given back.

/// Has memory that a burst took go back to the system. To be called before there is a second thread.
///
/// glibc as it comes has up to eight arenas a processor, and takes large blocks from them once it has seen some freed. What
/// a flush or a backlog took then stays resident in holes: twice as much memory for logs, and a sixth more for a hundred
/// thousand series (`docs/benchmarks.md` has the numbers, and those of other allocators).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
pub(crate) fn configure() -> bool {
    /// Blocks of this size and more go straight back to the system. To set it also keeps glibc from raising it by itself. The
    /// records of a usual batch of log lines are less: a page that is fetched anew costs as much as the ten lines in it.
    const MAPPED_FROM: libc::c_int = 320 << 10;
    /// So much may be free at the end of the heap before that is given back, too.
    const KEPT_FREE: libc::c_int = 1 << 20;
    let options = [(libc::M_ARENA_MAX, 1), (libc::M_MMAP_THRESHOLD, MAPPED_FROM), (libc::M_TRIM_THRESHOLD, KEPT_FREE)];
    // SAFETY: it takes two numbers, and touches nothing but the allocator's own settings, under the allocator's lock.
    options.iter().all(|(option, value)| unsafe { libc::mallopt(*option, *value) } == 1)
}

/// Other allocators stay as they are.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn configure() -> bool {
    true
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_allocator_takes_every_setting() {
        assert!(super::configure());
    }
}
