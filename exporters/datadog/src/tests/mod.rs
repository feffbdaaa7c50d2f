//! Whole batches, encoded by the exporter and decoded by code that knows only the protocol.

mod contract;
mod decode;
mod golden;
mod golden_files;
mod limits;
mod logs;
mod points;
mod series;
mod sketches_and_checks;
