//! What a backend may do, and what becomes of its data then.

use std::time::{Duration, UNIX_EPOCH};

use hornpipe_engine::testing::{Behaviour, FakeClock};
use hornpipe_engine::{Reason, reason};

use super::scene::Destination;

/// A fault that lasts from the start through the first windows.
pub struct Fault {
    /// What is said about it where a test fails.
    pub name: &'static str,
    /// Where it is made.
    pub cause: Cause,
    /// What becomes of the data at Datadog, at OTLP over gRPC and at OTLP over HTTP.
    fates: [Fate; 3],
}

/// What makes a fault.
#[derive(Clone, Debug)]
pub enum Cause {
    /// The backend does this with every request.
    Always(Behaviour),
    /// The backend does this with its first request.
    Once(Behaviour),
    /// Nobody listens.
    Refuses,
    /// The system takes connections, and nobody asks it for them.
    AcceptsNobody,
    /// The backend's certificate has run out.
    ExpiredCertificate,
    /// The endpoint's host does not exist, and never will.
    NoSuchHost,
}

/// What becomes of a failing backend's data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    /// Delivered once, without a second attempt.
    Taken,
    /// Tried again, whole or in parts, and delivered once.
    Kept,
    /// The same, and the second attempt comes that many seconds after the start or later.
    KeptUntil(u64),
    /// Tried again although the backend had it: the connection broke before it could say so.
    Repeated,
    /// Dropped and counted.
    Dropped(Reason),
    /// Counted as dropped, although the backend had it: its answer says neither yes nor "try again".
    TakenButRefused(Reason),
    /// Delivered but for one item a request, which is counted as dropped.
    OneRejected,
    /// Still held at the end.
    Held,
}

impl Fate {
    /// Whether it is settled without another attempt.
    pub fn is_immediate(self) -> bool {
        matches!(self, Fate::Dropped(_) | Fate::TakenButRefused(_) | Fate::OneRejected)
    }
}

impl Fault {
    fn new(name: &'static str, cause: Cause, fates: [Fate; 3]) -> Self {
        Fault { name, cause, fates }
    }

    /// What becomes of the data at a backend.
    pub fn fate_at(&self, destination: Destination) -> Fate {
        self.fates[destination as usize]
    }
}

/// The table. Which answers may be tried again is Datadog's choice in the Agent and in Vector, whichever keeps more, and
/// for OTLP the specification's.
pub fn all() -> Vec<Fault> {
    use Cause::{AcceptsNobody, Always, ExpiredCertificate, NoSuchHost, Once, Refuses};
    use Fate::{Dropped, Held, Kept, KeptUntil, OneRejected, Repeated, Taken, TakenButRefused};

    let status = |code| Always(Behaviour::status(code));
    let grpc = |code, message, pause: Option<u64>| {
        Always(Behaviour::GrpcStatus {
            code,
            message: String::from(message),
            retry_after: pause.map(Duration::from_secs),
        })
    };
    let refused = Dropped(reason::REFUSED);
    vec![
        //                                                                  Datadog  OTLP/gRPC  OTLP/HTTP
        Fault::new("400", status(400), [refused, refused, refused]),
        Fault::new("401", status(401), [Kept, Kept, Kept]),
        Fault::new("403", status(403), [Kept, Kept, Kept]),
        Fault::new("404", status(404), [Kept, refused, refused]),
        Fault::new("408", status(408), [Kept, refused, refused]),
        Fault::new("413 once", Once(Behaviour::status(413)), [Kept, Kept, Kept]),
        Fault::new("413", status(413), [Dropped(reason::TOO_LARGE); 3]),
        Fault::new("429", status(429), [Kept, Kept, Kept]),
        Fault::new("429, seconds", Always(Behaviour::retry_after(429, 25)), [KeptUntil(35); 3]),
        Fault::new("429, date", Always(retry_at(40)), [KeptUntil(40); 3]),
        Fault::new("500", status(500), [Kept, refused, refused]),
        Fault::new("502", status(502), [Kept, Kept, Kept]),
        Fault::new("503", status(503), [Kept, Kept, Kept]),
        Fault::new("Unavailable, RetryInfo", grpc(14, "later", Some(25)), [KeptUntil(35); 3]),
        Fault::new("ResourceExhausted", grpc(8, "quota", None), [Kept, refused, Kept]),
        Fault::new("ResourceExhausted, RetryInfo", grpc(8, "quota", Some(25)), [KeptUntil(35); 3]),
        Fault::new("hangs", Always(Behaviour::Hang), [Kept, Kept, Kept]),
        Fault::new("takes 3 s", Always(Behaviour::Slow(Duration::from_secs(3))), [Taken, Taken, Taken]),
        Fault::new("resets after the headers", Always(Behaviour::ResetAfterHeaders), [Kept, Kept, Kept]),
        Fault::new("garbage", Always(Behaviour::Garbage), [Taken, TakenButRefused(reason::REFUSED), Taken]),
        Fault::new("closes in mid-body", Always(Behaviour::CloseMidBody), [Taken, Repeated, Taken]),
        Fault::new("stalls in mid-body", Always(Behaviour::StallMidBody), [Taken, Repeated, Taken]),
        Fault::new("partial success", Always(partial_success()), [Taken, OneRejected, OneRejected]),
        Fault::new("refuses connections", Refuses, [Kept, Kept, Kept]),
        Fault::new("accepts nobody", AcceptsNobody, [Taken, Taken, Taken]),
        Fault::new("expired certificate", ExpiredCertificate, [Kept, Kept, Kept]),
        Fault::new("no such host", NoSuchHost, [Held, Held, Held]),
    ]
}

/// 429 with the date of a second after the clock's start.
fn retry_at(second: u64) -> Behaviour {
    let start = UNIX_EPOCH + Duration::from_nanos(FakeClock::START.as_nanos());
    let date = httpdate::fmt_http_date(start + Duration::from_secs(second));
    Behaviour::Status { code: 429, headers: vec![("retry-after", date)], body: String::new() }
}

fn partial_success() -> Behaviour {
    Behaviour::PartialSuccess { rejected: 1, message: "one is too old".to_owned() }
}
