//! The signal to stop.

use tokio::sync::watch;

/// Tells whether to stop; clones see the same signal.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

/// Gives the signal to stop.
#[derive(Debug)]
pub struct ShutdownTrigger(watch::Sender<bool>);

impl Shutdown {
    /// A signal not yet given, and the means to give it.
    pub fn new() -> (ShutdownTrigger, Shutdown) {
        let (sender, receiver) = watch::channel(false);
        (ShutdownTrigger(sender), Shutdown(receiver))
    }

    /// True once the signal was given.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for the signal. A trigger that is gone counts as a signal.
    pub async fn requested(&self) {
        let mut receiver = self.0.clone();
        let _ = receiver.wait_for(|stop| *stop).await;
    }
}

impl ShutdownTrigger {
    /// Gives the signal; further calls change nothing.
    pub fn request(&self) {
        self.0.send_replace(true);
    }
}
