//! `service.memory_limit`: how the memory of the process is shared out.
//!
//! Every receiver says what it may take at most, and a queue whose `max_bytes` is set takes that. What is left is shared by the other
//! queues, each at most 32 MiB. Nobody takes another's share: a queue that is full drops its own data.

use hornpipe_model::Signal;

use super::super::diagnostic::{Diagnostic, Diagnostics};
use super::super::node::Node;
use super::super::path::NodePath;
use super::super::values::ByteSize;
use super::{PipelinePlan, Planned, ServiceConfig};
use crate::component::{ExporterConfig, ReceiverConfig};
use crate::delivery::MEMORY_BYTES;

/// What the process takes apart from receivers and queues: code, requests under way, its own telemetry.
const BASE: ByteSize = ByteSize::mib(32);

/// The least that a queue can do anything with.
const LEAST_SHARE: ByteSize = ByteSize::mib(1);

/// What a queue has at least where nobody set the limit: receivers rarely take all at once that they may.
const LEAST_UNASKED: ByteSize = ByteSize::mib(8);

/// What each queue without a `max_bytes` of its own may take of memory. Says so where the limit is too small for all.
/// `cgroup` is the memory of the container, where there is a limit.
pub(super) fn share(
    service: &ServiceConfig,
    cgroup: Option<ByteSize>,
    members: &Members<'_>,
    root: &Node,
    diagnostics: &mut Diagnostics,
) -> ByteSize {
    let of_cgroup = cgroup.map(|bytes| ByteSize::bytes(bytes.as_bytes() / 4 * 3));
    let Some(limit) = service.memory_limit.or(of_cgroup) else { return MEMORY_BYTES };
    let Demand { fixed, sharing } = members.demand();
    let left = limit.as_bytes().saturating_sub(fixed);
    let share = ByteSize::bytes(left / sharing.max(1)).min(MEMORY_BYTES);
    if fixed > limit.as_bytes() || (sharing > 0 && share < LEAST_SHARE) {
        let needed = ByteSize::mib(fixed.saturating_add(sharing * LEAST_SHARE.as_bytes()).div_ceil(1 << 20));
        let path = NodePath::of(["service", "memory_limit"]);
        let message =
            format!("receivers and queues need {needed} of memory at least, but the limit is {}", shown(limit));
        let help = format!(
            "raise it, or lower what they may take: {}; queues by `sending_queue.max_bytes`",
            members.receivers_shown()
        );
        let problem = match service.memory_limit {
            Some(_) => Diagnostic::error(message),
            None => Diagnostic::warning(format!("{message}, three quarters of the container's")),
        };
        let problem = problem.about(path.clone()).with_help(help);
        diagnostics.push(match root.locate(&path) {
            Some((location, _)) => problem.at(&location),
            None => problem,
        });
    }
    share.max(if service.memory_limit.is_some() { LEAST_SHARE } else { LEAST_UNASKED })
}

/// In whole units, as a person reads it.
fn shown(limit: ByteSize) -> ByteSize {
    match limit.as_bytes() {
        bytes if bytes >= 1 << 20 => ByteSize::mib(bytes >> 20),
        bytes => ByteSize::bytes(bytes),
    }
}

/// Who takes memory.
pub(super) struct Members<'a> {
    pub receivers: &'a [Planned<dyn ReceiverConfig>],
    pub exporters: &'a [Planned<dyn ExporterConfig>],
    pub pipelines: &'a [PipelinePlan],
}

struct Demand {
    /// Bytes that are asked for.
    fixed: u64,
    /// Queues that share the rest.
    sharing: u64,
}

impl Members<'_> {
    /// What each receiver may take, the most first.
    fn receivers_shown(&self) -> String {
        let mut receivers: Vec<_> =
            self.receivers.iter().map(|planned| (planned.config.memory(), planned.id.as_str())).collect();
        receivers.sort_by(|a, b| b.cmp(a));
        let texts: Vec<_> = receivers.iter().map(|(bytes, id)| format!("{id} {}", shown(*bytes))).collect();
        texts.join(", ")
    }

    fn demand(&self) -> Demand {
        let receivers = self.receivers.iter().map(|planned| planned.config.memory().as_bytes());
        let mut demand = Demand { fixed: receivers.fold(BASE.as_bytes(), u64::saturating_add), sharing: 0 };
        for Planned { id, config, .. } in self.exporters {
            let queue = config.delivery().sending_queue;
            let takes = |signal: &Signal| {
                self.pipelines.iter().any(|pipeline| pipeline.signal == *signal && pipeline.exporters.contains(id))
            };
            for signal in Signal::ALL.into_iter().filter(takes) {
                match queue.max_bytes.filter(|_| !queue.is_durable(signal)) {
                    Some(bytes) => demand.fixed = demand.fixed.saturating_add(bytes.as_bytes()),
                    None => demand.sharing += 1,
                }
            }
        }
        demand
    }
}
