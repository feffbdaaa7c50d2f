//! What the log says: a line where an application's check changed, and none where it did not.

use std::collections::BTreeMap;

use hornpipe_model::CheckStatus;

use crate::check::{App, Collection, pids};
use crate::report::advice;

/// What was said last about each application of each instance.
#[derive(Default)]
pub(crate) struct News {
    said: BTreeMap<(usize, String), (CheckStatus, String)>,
}

impl News {
    /// Says what changed with a collection.
    pub(crate) fn tell(&mut self, collection: &Collection, receiver: &str) {
        for outcome in &collection.outcomes {
            let is_there = |app: &String| outcome.apps.iter().any(|found| found.name == *app);
            self.said.retain(|(instance, app), _| *instance != outcome.instance || is_there(app));
            for app in &outcome.apps {
                let now = (app.status, app.message.clone());
                let before = self.said.insert((outcome.instance, app.name.clone()), now.clone());
                if before.as_ref() != Some(&now) {
                    say(app, receiver);
                }
            }
        }
    }
}

fn say(app: &App, receiver: &str) {
    let App { name, message, .. } = app;
    let untitled = app.untitled();
    if app.status != CheckStatus::Ok {
        tracing::warn!(receiver, "{message}");
    } else if !untitled.is_empty() {
        tracing::warn!(receiver, "{message}; {}", advice(app));
    } else {
        let masters: Vec<u32> = app.masters.iter().map(|master| master.id.pid).collect();
        let workers = app.working + app.idle;
        tracing::info!(receiver, "gunicorn runs {name}: master {}, {workers} workers", pids(&masters));
    }
}
