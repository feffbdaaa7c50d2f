//! A batch on its way: data and, where its receiver asked, an ack.

use hornpipe_model::{Data, Signal};

use crate::{Ack, Outcome};

/// Data with its obligation. A clone shares the data and adds a share of the obligation.
#[derive(Clone, Debug)]
pub struct Batch {
    data: Data,
    ack: Option<Ack>,
}

impl Batch {
    /// Data that nobody waits for.
    pub fn new(data: impl Into<Data>) -> Self {
        Batch { data: data.into(), ack: None }
    }

    /// Data whose receiver waits for the outcome.
    pub fn with_ack(data: impl Into<Data>, ack: Option<Ack>) -> Self {
        Batch { data: data.into(), ack }
    }

    /// The data.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// Which signal it carries.
    pub fn signal(&self) -> Signal {
        self.data.signal()
    }

    /// Number of points or records.
    pub fn items(&self) -> usize {
        self.data.items()
    }

    /// Bytes that the data owns.
    pub fn bytes(&self) -> usize {
        self.data.bytes()
    }

    /// Data and ack apart. Whoever takes the ack settles it or sends it on.
    pub fn into_parts(self) -> (Data, Option<Ack>) {
        (self.data, self.ack)
    }

    /// Ends the batch with an outcome.
    pub fn settle(self, outcome: Outcome) {
        if let Some(ack) = self.ack {
            ack.settle(outcome);
        }
    }
}
