//! How much memory the process may take.

use sysinfo::System;

use crate::config::ByteSize;

/// The memory of this process's cgroup, where it has a limit: that of a container, of a systemd unit.
pub fn cgroup_limit() -> Option<ByteSize> {
    let mut system = System::new().ok()?;
    system.refresh_memory();
    let limit = system.cgroup_limits()?.total_memory;
    // Without a limit it is the machine's.
    (limit > 0 && limit < system.total_memory()).then_some(ByteSize::bytes(limit))
}
