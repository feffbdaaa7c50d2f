//! Extensions: they start before everything else and stop after it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::JoinHandle;

use super::RunningGraph;
use super::build::Builder;
use crate::component::{Extension, ExtensionConfig, ExtensionContext};
use crate::config::{Node, Planned};
use crate::telemetry::{ComponentIdentity, ComponentKind, ComponentTelemetry, Status};
use crate::{Clock, Shutdown, ShutdownTrigger, Sockets};

/// How long an extension may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(1);

/// An extension of the next graph.
pub(super) struct ExtensionChange {
    pub id: String,
    pub settings: Node,
    /// `None` keeps the one that runs.
    pub new: Option<NewExtension>,
}

/// An extension not yet running.
pub(super) struct NewExtension {
    extension: Box<dyn Extension>,
    telemetry: Arc<ComponentTelemetry>,
    pub sockets: Sockets,
}

pub(super) struct RunningExtension {
    pub id: String,
    settings: Node,
    pub sockets: Sockets,
    stop: ShutdownTrigger,
    task: JoinHandle<()>,
}

impl Builder<'_> {
    pub(super) fn extension(&mut self, planned: Planned<dyn ExtensionConfig>) -> Option<ExtensionChange> {
        let Planned { id, config, settings } = planned;
        let same = |known: &RunningExtension| known.id == id && known.settings.means_the_same(&settings);
        if self.running.extensions.iter().any(same) {
            return Some(ExtensionChange { id, settings, new: None });
        }
        let identity = ComponentIdentity { kind: ComponentKind::Extension, id: id.clone(), pipeline: None };
        let context = ExtensionContext {
            id: id.clone(),
            clock: self.environment.clock.clone(),
            telemetry: self.environment.telemetry.component(identity),
            sockets: self.environment.sockets.scope(),
            status: self.environment.status.reader(),
        };
        let (telemetry, sockets) = (Arc::clone(&context.telemetry), context.sockets.clone());
        let extension = self.built("extensions", &id, config.build(context))?;
        Some(ExtensionChange { id, settings, new: Some(NewExtension { extension, telemetry, sockets }) })
    }
}

impl RunningGraph {
    /// Starts what is new, then stops what it replaces and what is gone: nobody meets a closed port in between.
    pub(super) fn install_extensions(&mut self, changes: Vec<ExtensionChange>) {
        let mut before = std::mem::take(&mut self.extensions);
        for ExtensionChange { id, settings, new } in changes {
            let known = before.iter().position(|known| known.id == id);
            self.extensions.push(match (new, known) {
                (Some(new), _) => start(id, settings, new, self.environment.clock.clone()),
                (None, Some(index)) => RunningExtension { settings, ..before.swap_remove(index) },
                (None, None) => continue,
            });
        }
        for gone in before {
            gone.stop.request();
            self.retiring.push(gone.task);
        }
        self.environment.status.set_extensions(self.extensions.iter().map(|known| known.id.clone()).collect());
    }
}

/// Stops all extensions.
pub(super) async fn stop(extensions: Vec<RunningExtension>) {
    let stopping = extensions.into_iter().map(|extension| {
        extension.stop.request();
        extension.task
    });
    join_all(stopping).await;
}

fn start(id: String, settings: Node, new: NewExtension, clock: Clock) -> RunningExtension {
    let NewExtension { extension, telemetry, sockets } = new;
    let (stop, stopped) = Shutdown::new();
    let task = tokio::spawn(run(extension, telemetry, clock, stopped));
    RunningExtension { id, settings, sockets, stop, task }
}

/// Runs an extension until it is stopped. One that ends by itself (an error, a panic) stays down and its status says so.
async fn run(extension: Box<dyn Extension>, telemetry: Arc<ComponentTelemetry>, clock: Clock, stop: Shutdown) {
    telemetry.set_status(Status::Ok);
    let mut task = tokio::spawn(extension.run(stop.clone()));
    let ended = tokio::select! {
        ended = &mut task => ended,
        () = stop.requested() => {
            if clock.timeout(STOP_LIMIT, &mut task).await.is_err() {
                task.abort();
            }
            return;
        }
    };
    let failure = match ended {
        Ok(Ok(())) if stop.is_requested() => return,
        Ok(Ok(())) => "it ended by itself".to_owned(),
        Ok(Err(error)) => error,
        Err(_) => "it failed (panic)".to_owned(),
    };
    tracing::error!(extension = telemetry.identity().id, "{failure}; restart hornpipe to have it again");
    telemetry.set_status(Status::Error(failure));
}

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;
    use crate::component::BuildError;
    use crate::config::Plan;
    use crate::graph::tests::{empty_plan, environment, settings};
    use crate::graph::{Environment, Graph};
    use crate::lock;
    use crate::status::Health;
    use crate::testing::FakeClock;

    /// Writes down what happens to it.
    #[derive(Clone, Default)]
    struct Diary {
        name: &'static str,
        entries: Arc<Mutex<Vec<String>>>,
        fails: bool,
    }

    impl Diary {
        fn note(&self, what: &str) {
            lock(&self.entries).push(format!("{} {what}", self.name));
        }

        fn named(&self, name: &'static str) -> Diary {
            Diary { name, ..self.clone() }
        }

        fn read(&self) -> Vec<String> {
            lock(&self.entries).clone()
        }
    }

    impl ExtensionConfig for Diary {
        fn build(&self, _context: ExtensionContext) -> Result<Box<dyn Extension>, BuildError> {
            self.note("is built");
            Ok(Box::new(self.clone()))
        }
    }

    #[async_trait]
    impl Extension for Diary {
        async fn run(self: Box<Self>, shutdown: Shutdown) -> Result<(), String> {
            if self.fails {
                return Err("the disk is gone".to_owned());
            }
            shutdown.requested().await;
            self.note("stops");
            Ok(())
        }
    }

    fn plan(diary: &Diary, text: &str) -> Plan {
        let config = Box::new(diary.clone());
        Plan { extensions: vec![Planned { id: "diary".to_owned(), config, settings: settings(text) }], ..empty_plan() }
    }

    fn start(plan: Plan) -> (RunningGraph, Environment) {
        let environment = environment(&FakeClock::new());
        let graph = Graph::build(plan, &environment).unwrap_or_else(|failures| panic!("{failures}"));
        (graph.start(), environment)
    }

    #[tokio::test]
    async fn an_extension_runs_until_the_end_and_through_reloads_that_do_not_change_it() {
        let diary = Diary::default();
        let (first, second) = (diary.named("first"), diary.named("second"));
        let (mut running, environment) = start(plan(&first, "a: 1"));
        assert_eq!(environment.status.reader().report().extensions[0].id, "diary");

        running.reload(plan(&second, "a: 1"), Duration::ZERO).unwrap();
        assert_eq!(diary.read(), ["first is built"]);
        running.reload(plan(&second, "a: 2"), Duration::ZERO).unwrap();
        running.shutdown(Duration::from_secs(1)).await;
        assert_eq!(diary.read(), ["first is built", "second is built", "first stops", "second stops"]);
    }

    #[tokio::test]
    async fn one_that_a_reload_takes_out_ends_and_is_no_longer_reported() {
        let diary = Diary { name: "it", ..Diary::default() };
        let (mut running, environment) = start(plan(&diary, "a: 1"));
        running.reload(empty_plan(), Duration::ZERO).unwrap();
        assert!(environment.status.reader().report().extensions.is_empty());
        running.shutdown(Duration::from_secs(1)).await;
        assert_eq!(diary.read(), ["it is built", "it stops"]);
    }

    #[tokio::test]
    async fn one_that_fails_says_so_in_its_status() {
        let (running, environment) = start(plan(&Diary { fails: true, ..Diary::default() }, ""));
        let extension = || environment.status.reader().report().extensions.remove(0);
        while extension().status == Health::Ok {
            tokio::task::yield_now().await;
        }
        assert_eq!(extension().message.as_deref(), Some("the disk is gone"));
        running.shutdown(Duration::from_secs(1)).await;
    }
}
