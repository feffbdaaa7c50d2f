//! How a fake backend answers.

use std::collections::VecDeque;
use std::time::Duration;

/// What a fake backend does with a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// Decodes it, checks it and answers like the real one.
    #[default]
    Ok,
    /// Answers with a status, without taking the data. A gRPC client gets the same HTTP response.
    Status {
        /// The HTTP status.
        code: u16,
        /// Further headers, such as `retry-after`.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: String,
    },
    /// Answers with a status of gRPC, without taking the data; over HTTP with what the Collector makes of it.
    GrpcStatus {
        /// The status code, such as 14 for `UNAVAILABLE`.
        code: i32,
        /// The backend's words.
        message: String,
        /// The pause of a `RetryInfo` among the details.
        retry_after: Option<Duration>,
    },
    /// Never answers.
    Hang,
    /// Takes the data like `Ok`, but only after so much time on the backend's clock.
    Slow(Duration),
    /// Cuts the connection with a TCP reset once the request's headers are in.
    ResetAfterHeaders,
    /// Takes the data and answers `200` with a body that makes no sense.
    Garbage,
    /// Takes the data, starts to answer and closes the connection in the middle of the body.
    CloseMidBody,
    /// Takes the data, starts to answer and says nothing more in the middle of the body.
    StallMidBody,
    /// Takes the data and says that some of it was left out. The totals do not leave anything out. Datadog has no such
    /// answer and behaves like `Ok`.
    PartialSuccess {
        /// How many items were left out.
        rejected: i64,
        /// The backend's words.
        message: String,
    },
}

impl Behaviour {
    /// A status without headers or body.
    pub fn status(code: u16) -> Self {
        Behaviour::Status { code, headers: Vec::new(), body: String::new() }
    }

    /// A status that asks for a pause.
    pub fn retry_after(code: u16, seconds: u64) -> Self {
        Behaviour::Status { code, headers: vec![("retry-after", seconds.to_string())], body: String::new() }
    }

    /// A status of gRPC without a pause.
    pub fn grpc(code: i32, message: &str) -> Self {
        Behaviour::GrpcStatus { code, message: message.to_owned(), retry_after: None }
    }
}

/// What comes next: some behaviours once each, then one for all that follow.
#[derive(Debug, Default)]
pub(super) struct Script {
    once: VecDeque<Behaviour>,
    always: Behaviour,
}

impl Script {
    pub(super) fn set(&mut self, behaviour: Behaviour) {
        self.once.clear();
        self.always = behaviour;
    }

    pub(super) fn queue(&mut self, behaviours: impl IntoIterator<Item = Behaviour>) {
        self.once.extend(behaviours);
    }

    pub(super) fn next(&mut self) -> Behaviour {
        self.once.pop_front().unwrap_or_else(|| self.always.clone())
    }
}
