//! What every component promises, as checks that its crate calls with a bench of its own.

mod exporter;
mod processor;
mod receiver;
#[cfg(test)]
mod tests;

pub use exporter::{ExporterBench, check_exporter_contract};
pub use processor::{ProcessorBench, check_processor_contract};
pub use receiver::{ReceiverBench, check_receiver_contract};
