//! The thread that looks at processes, so that none of the runtime's threads waits for files.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::discover::{Master, discover};
use crate::identity::Names;
use crate::inspect::inspect;
use crate::process::ProcessId;
use crate::table::ProcessTable;

/// What a look at all processes found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    pub masters: Vec<Master>,
    /// How many processes there are.
    pub seen: u64,
    /// How many could not be read.
    pub unreadable: u64,
}

/// What a scanner looks at.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    pub procfs: PathBuf,
    /// Whether listeners and open files count, too.
    pub is_extra: bool,
}

enum Request {
    Look(oneshot::Sender<Result<Found, String>>),
    Cpu(Vec<ProcessId>, oneshot::Sender<Vec<Option<Duration>>>),
}

/// The thread's other end. The thread ends with it.
pub(crate) struct Scanner {
    scope: Scope,
    /// None until the first look, and where the thread failed.
    requests: Option<Sender<Request>>,
}

impl Scanner {
    /// Nothing is started yet.
    pub(crate) fn new(scope: Scope) -> Self {
        Scanner { scope, requests: None }
    }

    /// Looks at every process. The first look starts the thread; the next one tries again where the system had no room for it.
    ///
    /// # Errors
    /// The process table cannot be read, or the thread cannot be started.
    pub(crate) async fn look(&mut self) -> Result<Found, String> {
        if self.requests.is_none() {
            self.requests = Some(start(self.scope.clone())?);
        }
        let answer = self.ask(Request::Look).await;
        if answer.is_err() {
            self.requests = None;
        }
        answer?
    }

    /// The CPU time that these processes have used by now; nothing of those that are gone.
    ///
    /// # Errors
    /// The thread has failed.
    pub(crate) async fn cpu(&self, processes: Vec<ProcessId>) -> Result<Vec<Option<Duration>>, String> {
        self.ask(|reply| Request::Cpu(processes, reply)).await
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, String> {
        let (reply, answer) = oneshot::channel();
        let sent = self.requests.as_ref().and_then(|requests| requests.send(request(reply)).ok());
        let failed = "the thread that looks at processes failed (panic)";
        sent.ok_or(failed)?;
        answer.await.map_err(|_| failed.to_owned())
    }
}

fn start(scope: Scope) -> Result<Sender<Request>, String> {
    let (requests, queue) = mpsc::channel();
    let thread = thread::Builder::new().name("gunicorn check".to_owned());
    let started = thread.spawn(move || serve(&queue, &scope));
    started.map_err(|error| format!("cannot start a thread that looks at processes: {error}"))?;
    Ok(requests)
}

fn serve(queue: &Receiver<Request>, scope: &Scope) {
    let mut table = ProcessTable::new(&scope.procfs);
    let mut names = Names::default();
    while let Ok(request) = queue.recv() {
        // Whoever has stopped waiting needs no answer.
        match request {
            Request::Look(reply) => {
                let found = look(&mut table, &mut names, scope.is_extra);
                let _ = reply.send(found.map_err(|error| format!("cannot read {}: {error}", scope.procfs.display())));
            }
            Request::Cpu(processes, reply) => {
                let _ = reply.send(processes.into_iter().map(|process| table.cpu(process)).collect());
            }
        }
    }
}

/// Looks at every process, and closer at Gunicorn's.
pub(crate) fn look(table: &mut ProcessTable, names: &mut Names, is_extra: bool) -> io::Result<Found> {
    let snapshot = table.scan()?;
    let mut masters = discover(&snapshot.processes, table, names);
    for master in &mut masters {
        master.facts = inspect(master, table, is_extra);
        for worker in master.workers.iter_mut().filter(|_| is_extra) {
            worker.open_files = table.open_files(worker.id.pid).ok().map(|(files, _)| files);
        }
    }
    Ok(Found { masters, seen: snapshot.seen, unreadable: snapshot.unreadable })
}
