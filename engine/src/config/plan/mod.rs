//! From the configuration tree to a plan: which components to build, and how pipelines connect them.

mod blocking;
mod components;
mod extensions;
mod listening;
mod memory;
mod pipelines;
mod queues;
mod service;
mod storage;
mod top;

use std::collections::HashSet;
use std::sync::Arc;

use super::diagnostic::Diagnostics;
use super::environment::Environment;
use super::location::Source;
use super::node::Node;
use super::values::ByteSize;
use super::{merge, parse, substitute};
use crate::Registry;
use crate::component::{ExporterConfig, ExtensionConfig, ProcessorConfig, ReceiverConfig};
use components::Section;
pub use service::ServiceConfig;

/// What to build and run.
pub struct Plan {
    /// The receivers that enabled pipelines use.
    pub receivers: Vec<Planned<dyn ReceiverConfig>>,
    /// The processors that enabled pipelines use.
    pub processors: Vec<Planned<dyn ProcessorConfig>>,
    /// The exporters that enabled pipelines use.
    pub exporters: Vec<Planned<dyn ExporterConfig>>,
    /// The extensions that `service.extensions` names, in its order.
    pub extensions: Vec<Planned<dyn ExtensionConfig>>,
    /// The enabled pipelines.
    pub pipelines: Vec<PipelinePlan>,
    /// What concerns the whole process.
    pub service: ServiceConfig,
    /// Memory that each queue may take unless its `max_bytes` says otherwise.
    pub queue_memory: ByteSize,
    /// The configuration that all of it comes from, to find the places of later problems.
    pub root: Node,
}

/// A component to build.
pub struct Planned<C: ?Sized> {
    /// `type` or `type/name`.
    pub id: String,
    /// Its settings, decoded and valid.
    pub config: Box<C>,
    /// The settings as they stand in the configuration, to see whether a reload changes them.
    pub settings: Node,
}

/// A pipeline to run. The ids are those of the plan's components; at least one receiver and one exporter.
pub type PipelinePlan = crate::telemetry::PipelineTopology;

/// Reads files, lays them over each other in their order, substitutes and plans. The plan is there when nothing is
/// wrong but warnings.
pub fn load(
    sources: &[Arc<Source>],
    environment: &dyn Environment,
    registry: &Registry,
) -> (Option<Plan>, Diagnostics) {
    let mut diagnostics = Diagnostics::new();
    let trees: Vec<Node> = sources.iter().filter_map(|source| parse(source, &mut diagnostics)).collect();
    // With a file missing, references between files would only look wrong.
    let merged = trees.into_iter().reduce(merge).filter(|_| !diagnostics.has_errors());
    let plan =
        merged.and_then(|root| plan(&substitute(root, environment), environment.memory(), registry, &mut diagnostics));
    (plan, diagnostics)
}

/// Plans a configuration and adds everything that is wrong with it to `diagnostics`; with an error there is no plan.
///
/// Settings that no enabled pipeline uses are checked for unknown keys and wrong types only: what their environment
/// lacks, and what their `validate` would say, does not count. `memory` is the limit of the container, where there is one.
pub fn plan(root: &Node, memory: Option<ByteSize>, registry: &Registry, diagnostics: &mut Diagnostics) -> Option<Plan> {
    let top = top::read(root, diagnostics)?;
    let receivers = Section::read("receivers", top.receivers, &registry.receivers, diagnostics);
    let processors = Section::read("processors", top.processors, &registry.processors, diagnostics);
    let exporters = Section::read("exporters", top.exporters, &registry.exporters, diagnostics);
    let extensions = Section::read("extensions", top.extensions, &registry.extensions, diagnostics);
    let service = service::read(top.service, diagnostics);

    let defined = pipelines::Defined {
        receivers: receivers.definitions(&registry.receivers),
        processors: processors.definitions(&registry.processors),
        exporters: exporters.definitions(&registry.exporters),
    };
    let pipelines = pipelines::read(top.service, &defined, diagnostics);
    let order = extensions::read(top.service, &extensions.definitions(&registry.extensions), diagnostics);
    let used = |ids: fn(&PipelinePlan) -> &Vec<String>| -> HashSet<&str> {
        pipelines.iter().flat_map(ids).map(String::as_str).collect()
    };
    let (used_receivers, used_processors) =
        (used(|pipeline| &pipeline.receivers), used(|pipeline| &pipeline.processors));
    let used_exporters = used(|pipeline| &pipeline.exporters);
    let receivers = receivers.decode(&used_receivers, |config, report| config.validate(report), diagnostics);
    let processors = processors.decode(&used_processors, |config, report| config.validate(report), diagnostics);
    let exporters = exporters.decode(&used_exporters, |config, report| config.validate(report), diagnostics);
    listening::check(root, &receivers, diagnostics);
    blocking::warn(root, &pipelines, &exporters, diagnostics);
    queues::warn(root, &pipelines, &exporters, diagnostics);
    let used_extensions = order.iter().map(String::as_str).collect();
    let mut extensions = extensions.decode(&used_extensions, |config, report| config.validate(report), diagnostics);
    let members = memory::Members { receivers: &receivers, exporters: &exporters, pipelines: &pipelines };
    let queue_memory = memory::share(&service, memory, &members, root, diagnostics);
    storage::check(root, &exporters, &extensions, diagnostics);
    extensions.sort_by_key(|planned| order.iter().position(|id| *id == planned.id));
    (!diagnostics.has_errors()).then_some(Plan {
        receivers,
        processors,
        exporters,
        extensions,
        pipelines,
        service,
        queue_memory,
        root: root.clone(),
    })
}
