//! What a plan changes: everything that can fail is built here, before anything that runs is touched.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use hornpipe_model::Signal;

use super::extensions::ExtensionChange;
use super::{Environment, RunningGraph};
use crate::component::{BuildContext, BuildError, Exporter, Receiver, ReceiverConfig, Storage};
use crate::config::{ByteSize, Diagnostic, Diagnostics, Node, NodePath, PipelinePlan, Plan, Planned};
use crate::delivery::{Delivery, DeliveryConfig, Place, QueueConfig, directory};
use crate::pipeline::Stage;
use crate::telemetry::{ComponentIdentity, ComponentKind};

/// The members of the next graph: each as it runs, or built anew.
pub(super) struct Changes {
    pub receivers: Vec<ReceiverChange>,
    pub pipelines: Vec<PipelineChange>,
    pub exporters: Vec<ExporterChange>,
    pub extensions: Vec<ExtensionChange>,
    /// Directories with queues in them.
    pub queue_bases: Vec<PathBuf>,
}

/// A receiver of the next graph.
pub(super) struct ReceiverChange {
    pub id: String,
    pub settings: Node,
    /// The signals that pipelines take from it.
    pub signals: Vec<Signal>,
    /// `None` keeps the one that runs.
    pub new: Option<NewReceiver>,
}

/// A receiver not yet running, and what it takes to build it again after a failure.
pub(super) struct NewReceiver {
    pub receiver: Box<dyn Receiver>,
    pub config: Arc<dyn ReceiverConfig>,
    pub context: BuildContext,
}

/// A pipeline of the next graph.
pub(super) struct PipelineChange {
    pub plan: PipelinePlan,
    /// The settings of its processors.
    pub settings: Vec<Node>,
    /// `None` keeps the one that runs.
    pub new: Option<Vec<Stage>>,
}

/// An exporter of the next graph.
pub(super) struct ExporterChange {
    pub id: String,
    pub settings: Node,
    pub new: NewExporter,
}

pub(super) enum NewExporter {
    /// It runs on as it is.
    Kept,
    /// Other settings; the queue stays.
    Replaced(Arc<dyn Exporter>, Box<DeliveryConfig>),
    /// Not there before.
    Added(Arc<Delivery>),
}

/// Builds what a plan has and `running` has not.
pub(super) fn build(plan: Plan, running: &RunningGraph) -> Result<Changes, Diagnostics> {
    let mut failures = Diagnostics::new();
    let Plan { receivers, processors, exporters, extensions, pipelines, queue_memory, root, .. } = plan;
    let storages: Vec<(String, Storage)> =
        extensions.iter().filter_map(|planned| Some((planned.id.clone(), planned.config.storage()?))).collect();
    let environment = &running.environment;
    let of_extensions = storages.iter().filter_map(|(_, storage)| match storage {
        Storage::Directory(directory) => Some(directory.clone()),
        Storage::StateDirectory => None,
    });
    let queue_bases =
        environment.state_directory.writable().map(Path::to_owned).into_iter().chain(of_extensions).collect();
    let mut builder = Builder {
        running,
        environment,
        root: &root,
        pipelines: &pipelines,
        storages,
        queue_memory,
        failures: &mut failures,
    };
    let extensions: Vec<_> = extensions.into_iter().filter_map(|planned| builder.extension(planned)).collect();
    let exporters = exporters.into_iter().filter_map(|planned| builder.exporter(planned)).collect();
    let receivers: Vec<_> = receivers.into_iter().filter_map(|planned| builder.receiver(planned, &pipelines)).collect();
    builder.check_claims(&receivers, &extensions);
    let pipelines = pipelines.iter().map(|plan| builder.pipeline(plan.clone(), &processors)).collect();
    if failures.has_errors() {
        Err(failures)
    } else {
        Ok(Changes { receivers, pipelines, exporters, extensions, queue_bases })
    }
}

pub(super) struct Builder<'a> {
    pub running: &'a RunningGraph,
    pub environment: &'a Environment,
    root: &'a Node,
    pipelines: &'a [PipelinePlan],
    /// What extensions offer for queues, by their ids.
    storages: Vec<(String, Storage)>,
    /// What each queue may take of memory.
    queue_memory: ByteSize,
    failures: &'a mut Diagnostics,
}

impl Builder<'_> {
    fn exporter(&mut self, planned: Planned<dyn crate::component::ExporterConfig>) -> Option<ExporterChange> {
        let Planned { id, config, settings } = planned;
        let known = self.running.exporters.iter().find(|exporter| exporter.id == id);
        if known.is_some_and(|known| known.settings.means_the_same(&settings)) {
            return Some(ExporterChange { id, settings, new: NewExporter::Kept });
        }
        let context = self.environment.context(ComponentKind::Exporter, &id, None);
        let (telemetry, clock) = (Arc::clone(&context.telemetry), context.clock.clone());
        let exporter: Arc<dyn Exporter> = self.built("exporters", &id, config.build(context))?.into();
        let new = match known {
            Some(_) => NewExporter::Replaced(exporter, Box::new(config.delivery())),
            None => {
                let delivery = config.delivery();
                let place = self.place(&id, &delivery.sending_queue);
                NewExporter::Added(Arc::new(Delivery::new(exporter, delivery, telemetry, clock).at(place)))
            }
        };
        Some(ExporterChange { id, settings, new })
    }

    /// Where an exporter's queues are, and what they may take.
    fn place(&self, id: &str, queue: &QueueConfig) -> Place {
        let takes = |signal: &Signal| {
            let brings =
                |pipeline: &PipelinePlan| pipeline.signal == *signal && pipeline.exporters.iter().any(|end| end == id);
            self.pipelines.iter().any(brings)
        };
        let signals = Signal::ALL.into_iter().filter(takes).collect();
        let offered = queue.extension().and_then(|wanted| self.storages.iter().find(|(id, _)| id == wanted));
        let state = &self.environment.state_directory;
        let (base, problem) = match offered {
            Some((_, Storage::Directory(directory))) => (Some(directory.clone()), None),
            Some((_, Storage::StateDirectory)) | None => (state.writable().map(Path::to_owned), state.problem.clone()),
        };
        let directory = base.map(|base| directory::of_exporter(&base, id));
        let leaving = self.running.leaving.iter().flat_map(|leaving| &leaving.deliveries);
        let has_it = |leaving: &Arc<Delivery>| directory.is_some() && leaving.directory() == directory.as_deref();
        let predecessor = leaving.filter_map(Weak::upgrade).rfind(has_it);
        let predecessor = predecessor.map_or_else(Weak::new, |leaving| Arc::downgrade(&leaving));
        Place { signals, directory, problem, memory: self.queue_memory, predecessor }
    }

    fn receiver(&mut self, planned: Planned<dyn ReceiverConfig>, pipelines: &[PipelinePlan]) -> Option<ReceiverChange> {
        let Planned { id, config, settings } = planned;
        let takes = |signal: &Signal| {
            pipelines.iter().any(|pipeline| pipeline.signal == *signal && pipeline.receivers.contains(&id))
        };
        let signals: Vec<Signal> = Signal::ALL.into_iter().filter(takes).collect();
        let known = self.running.receivers.iter().find(|receiver| receiver.id == id);
        // A receiver learns at its start which signals are taken from it.
        let same = known.is_some_and(|known| known.settings.means_the_same(&settings) && known.signals == signals);
        if same {
            return Some(ReceiverChange { id, settings, signals, new: None });
        }
        let context = self.environment.context(ComponentKind::Receiver, &id, None);
        let receiver = self.built("receivers", &id, config.build(context.clone()))?;
        let new = Some(NewReceiver { receiver, config: Arc::from(config), context });
        Some(ReceiverChange { id, settings, signals, new })
    }

    fn pipeline(
        &mut self,
        plan: PipelinePlan,
        processors: &[Planned<dyn crate::component::ProcessorConfig>],
    ) -> PipelineChange {
        let planned: Vec<_> =
            plan.processors.iter().filter_map(|id| processors.iter().find(|planned| planned.id == *id)).collect();
        let settings: Vec<Node> = planned.iter().map(|planned| planned.settings.clone()).collect();
        let same = self.running.pipelines.iter().any(|known| {
            known.plan.id == plan.id
                && known.plan.processors == plan.processors
                && known.plan.exporters == plan.exporters
                && known.settings.iter().zip(&settings).all(|(known, new)| known.means_the_same(new))
        });
        if same {
            return PipelineChange { plan, settings, new: None };
        }
        let mut stages = Vec::with_capacity(planned.len());
        for processor in planned {
            let context = self.environment.context(ComponentKind::Processor, &processor.id, Some(&plan.id));
            let telemetry = Arc::clone(&context.telemetry);
            let built = processor.config.build(plan.signal, context);
            if let Some(processor) = self.built("processors", &processor.id, built) {
                stages.push(Stage { processor, telemetry });
            }
        }
        PipelineChange { plan, settings, new: Some(stages) }
    }

    /// The component, or nothing and a diagnostic at its place in the configuration.
    pub(super) fn built<T: ?Sized>(
        &mut self,
        section: &str,
        id: &str,
        built: Result<Box<T>, BuildError>,
    ) -> Option<Box<T>> {
        match built {
            Ok(component) => Some(component),
            Err(error) => {
                self.refuse(section, id, error);
                None
            }
        }
    }

    /// Adds a diagnostic at the component's place in the configuration.
    pub(super) fn refuse(&mut self, section: &str, id: &str, error: BuildError) {
        let component = NodePath::of([section, id]);
        let path = if error.option.is_empty() { component } else { component.join(&NodePath::parse(&error.option)) };
        let diagnostic = Diagnostic::error(error.message).about(path.clone());
        self.failures.push(match self.root.locate(&path) {
            Some((location, _)) => diagnostic.at(&location),
            None => diagnostic,
        });
    }
}

impl Environment {
    fn context(&self, kind: ComponentKind, id: &str, pipeline: Option<&str>) -> BuildContext {
        let identity = ComponentIdentity { kind, id: id.to_owned(), pipeline: pipeline.map(str::to_owned) };
        BuildContext {
            id: id.to_owned(),
            clock: self.clock.clone(),
            telemetry: self.telemetry.component(identity),
            sockets: self.sockets.scope(),
            resource: Arc::clone(&self.resource),
            state_directory: Arc::clone(&self.state_directory),
        }
    }
}
