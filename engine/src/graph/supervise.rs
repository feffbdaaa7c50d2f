//! Keeps a receiver running.

use std::time::Duration;

use hornpipe_model::Signal;

use super::build::NewReceiver;
use crate::component::Outputs;
use crate::telemetry::{ComponentTelemetry, Status};
use crate::{Reason, Shutdown, reason};

/// Pauses before a failed receiver is started again, growing from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Runs a receiver until shutdown. One that fails (an error, a panic) is built and started again after a pause; its
/// siblings run on meanwhile.
pub(super) async fn run(new: NewReceiver, outputs: Outputs, stop: Shutdown) {
    let NewReceiver { receiver, config, context } = new;
    let mut next = Some(receiver);
    let mut pause = FIRST_PAUSE;
    // A receiver built is run, also where the stop came first: its sockets may hold data already.
    while next.is_some() || !stop.is_requested() {
        let built = match next.take() {
            Some(receiver) => Ok(receiver),
            None => config.build(context.clone()).map_err(|error| error.to_string()),
        };
        let failure = match built {
            Ok(receiver) => {
                context.telemetry.set_status(Status::Ok);
                match tokio::spawn(receiver.run(outputs.clone(), stop.clone())).await {
                    Ok(Ok(())) if stop.is_requested() => return,
                    Ok(Ok(())) => "it ended by itself".to_owned(),
                    Ok(Err(error)) => error,
                    Err(_) => "it failed (panic)".to_owned(),
                }
            }
            Err(error) => error,
        };
        drop_held(&context.telemetry, reason::PANIC);
        let text = format!("{failure}; starting it again in {}s", pause.as_secs());
        tracing::error!(receiver = context.id, "{text}");
        context.telemetry.set_status(Status::Error(text));
        tokio::select! {
            () = context.clock.sleep(pause) => {}
            () = stop.requested() => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// What a receiver held when it failed is gone with it: counted as dropped.
pub(super) fn drop_held(telemetry: &ComponentTelemetry, reason: Reason) {
    for signal in Signal::ALL {
        let counters = telemetry.signal(signal);
        let held = counters.held.get();
        counters.held.set(0);
        counters.dropped(reason, held);
    }
}
