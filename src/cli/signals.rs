//! What the operator asks of a running process.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that the process listens for.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To stop; the name of the signal.
    Stop(&'static str),
    /// To read the configuration again.
    Reload,
}

/// Listens for the signal to read the configuration again, by which a process ends that does not know it.
pub struct Hangup(Signal);

impl Hangup {
    /// Listens from now on.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn listen() -> io::Result<Hangup> {
        signal(SignalKind::hangup()).map(Hangup)
    }
}

impl Signals {
    /// Listens from now on, and to `hangup` since that was made.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn listen(hangup: Hangup) -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: hangup.0,
        })
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) -> Asked {
        let Signals { terminate, interrupt, hangup } = self;
        tokio::select! {
            name = stop(terminate, interrupt) => Asked::Stop(name),
            _ = hangup.recv() => Asked::Reload,
        }
    }

    /// Waits for a signal to stop. One to reload stays for [`next`](Self::next).
    pub async fn next_stop(&mut self) -> &'static str {
        stop(&mut self.terminate, &mut self.interrupt).await
    }
}

async fn stop(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
