//! Which processes are masters, and which are whose workers.

use std::collections::HashMap;
use std::time::Duration;

use crate::command_line::CommandLine;
use crate::control::Exact;
use crate::identity::{Name, Names};
use crate::inspect::Facts;
use crate::process::{Process, ProcessId};
use crate::table::ProcessTable;
use crate::title::{Title, UPGRADE};

/// What Gunicorn sets for the master that `SIGUSR2` starts: the id of the old one.
const UPGRADE_VARIABLE: &str = "GUNICORN_PID";

/// A worker as it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Worker {
    pub id: ProcessId,
    /// The CPU time that it had used.
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub memory: u64,
    pub age: Option<Duration>,
    /// How many files it had open, where that was looked at.
    pub open_files: Option<u64>,
}

/// A master with its workers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Master {
    pub id: ProcessId,
    /// The application's name. Of one that `SIGUSR2` started it is the old master's, without the `.2` of its title, as long as
    /// that one is there.
    pub name: Name,
    /// Whether it has a title.
    pub is_titled: bool,
    /// The application's interpreter, where the command line tells.
    pub interpreter: Option<String>,
    pub workers: Vec<Worker>,
    pub age: Option<Duration>,
    /// What else is told about it.
    pub facts: Facts,
    /// What it says about itself.
    pub exact: Option<Exact>,
    /// Workers that used CPU time between the two looks at them.
    pub working: u64,
    /// Workers that used none.
    pub idle: u64,
}

impl Master {
    fn new(process: &Process, name: Name, is_titled: bool, workers: Vec<Worker>) -> Self {
        Master {
            id: process.id,
            name,
            is_titled,
            interpreter: None,
            workers,
            age: process.age,
            facts: Facts::default(),
            exact: None,
            working: 0,
            idle: 0,
        }
    }
}

/// Finds the masters among the processes of a snapshot, in the order of their ids.
pub(crate) fn discover(processes: &[Process], table: &mut ProcessTable, names: &mut Names) -> Vec<Master> {
    let mut finder = Finder { tree: Tree::of(processes), table, names, masters: Vec::new() };
    for process in processes {
        match role(process) {
            Role::Titled(Title::Master(name)) if !finder.tree.is_new_fork(process) => finder.add_titled(process, name),
            Role::Command(command) => finder.add_untitled(process, &command),
            Role::Titled(_) | Role::Other => {}
        }
    }
    let mut masters = finder.masters;
    masters.sort_unstable_by_key(|master| master.id);
    names.keep(processes);
    masters
}

/// What a process is by itself.
enum Role<'a> {
    Titled(Title<'a>),
    /// A Gunicorn without a title, master or worker.
    Command(CommandLine<'a>),
    Other,
}

fn role(process: &Process) -> Role<'_> {
    let first = process.arguments.first().map(String::as_str).unwrap_or_default();
    match (Title::of(first), CommandLine::of(&process.arguments)) {
        (Some(title), _) => Role::Titled(title),
        (None, Some(command)) => Role::Command(command),
        (None, None) => Role::Other,
    }
}

fn master_name(process: &Process) -> Option<&str> {
    match role(process) {
        Role::Titled(Title::Master(name)) => Some(name),
        _ => None,
    }
}

/// Who is whose child.
struct Tree<'a> {
    by_id: HashMap<u32, &'a Process>,
    children: HashMap<u32, Vec<&'a Process>>,
}

impl<'a> Tree<'a> {
    fn of(processes: &'a [Process]) -> Self {
        let mut children: HashMap<u32, Vec<&Process>> = HashMap::new();
        for process in processes {
            children.entry(process.parent).or_default().push(process);
        }
        Tree { by_id: processes.iter().map(|process| (process.id.pid, process)).collect(), children }
    }

    fn parent(&self, process: &Process) -> Option<&'a Process> {
        self.by_id.get(&process.parent).copied()
    }

    fn children(&self, process: &Process) -> impl Iterator<Item = &'a Process> + use<'a> {
        self.children.get(&process.id.pid).cloned().unwrap_or_default().into_iter()
    }

    /// Children with the same command line: forks that have not become another program.
    fn forks(&self, process: &'a Process) -> impl Iterator<Item = &'a Process> + use<'a> {
        self.children(process).filter(|child| child.arguments == process.arguments)
    }

    /// A worker has its master's title for a moment, until it has set its own.
    fn is_new_fork(&self, process: &'a Process) -> bool {
        let has_title_of = |parent: &Process| parent.arguments == process.arguments;
        self.parent(process).is_some_and(has_title_of) && self.children(process).next().is_none()
    }
}

struct Finder<'a, 'b> {
    tree: Tree<'a>,
    table: &'b mut ProcessTable,
    names: &'b mut Names,
    masters: Vec<Master>,
}

impl<'a> Finder<'a, '_> {
    fn add_titled(&mut self, process: &'a Process, title: &str) {
        let old_name = self.tree.parent(process).and_then(master_name);
        let name = old_name.filter(|old| title.strip_suffix(UPGRADE) == Some(old)).unwrap_or(title);
        let is_worker = |child: &Process| match role(child) {
            Role::Titled(Title::Worker) => true,
            Role::Titled(Title::Master(_)) => self.tree.is_new_fork(child),
            Role::Titled(Title::Other) | Role::Command(_) | Role::Other => false,
        };
        let workers = self.tree.children(process).filter(|child| is_worker(child)).map(worker).collect();
        self.masters.push(Master::new(process, Name { text: name.to_owned(), is_certain: true }, true, workers));
    }

    /// Adds a process that starts Gunicorn by its command line, unless it belongs to one that is its parent.
    fn add_untitled(&mut self, process: &'a Process, command: &CommandLine<'_>) {
        let Some(parent) = self.tree.parent(process) else { return self.add_master(process, command, None) };
        if parent.arguments == process.arguments {
            return;
        }
        match master_name(parent) {
            None => self.add_master(process, command, None),
            // What SIGUSR2 started has its title soon, and is no worker; one that has workers already gets none.
            Some(name) if self.tree.forks(process).next().is_some() => {
                let name = Name { text: name.to_owned(), is_certain: true };
                self.add_master(process, command, Some(name));
            }
            Some(_) => {}
        }
    }

    /// Adds an untitled master with its workers, and with the masters that `SIGUSR2` started from it.
    fn add_master(&mut self, process: &'a Process, command: &CommandLine<'_>, name: Option<Name>) {
        let name = name.unwrap_or_else(|| self.names.of(process, command, self.table));
        let mut workers = Vec::new();
        let mut upgrades = Vec::new();
        for fork in self.tree.forks(process) {
            // A dirty arbiter has the dirty workers for its children.
            let is_arbiter = command.has("--dirty-app") && self.tree.forks(fork).next().is_some();
            if self.is_upgrade(process, fork) {
                upgrades.push(fork);
            } else if !is_arbiter {
                workers.push(worker(fork));
            }
        }
        let master = Master::new(process, name.clone(), false, workers);
        self.masters.push(Master { interpreter: command.interpreter(), ..master });
        for upgrade in upgrades {
            // Ids that are used again while the table is read could make a circle.
            if !self.masters.iter().any(|known| known.id == upgrade.id) {
                self.add_master(upgrade, command, Some(name.clone()));
            }
        }
    }

    /// Whether a child is a program started anew: it has another environment, which a fork shares with its parent.
    fn is_upgrade(&mut self, process: &Process, child: &Process) -> bool {
        let of_child = self.table.variable(child.id.pid, UPGRADE_VARIABLE);
        of_child.is_some() && of_child != self.table.variable(process.id.pid, UPGRADE_VARIABLE)
    }
}

fn worker(process: &Process) -> Worker {
    let Process { id, cpu, memory, age, .. } = *process;
    Worker { id, cpu, memory, age, open_files: None }
}
