//! Batches as bytes, for the disk.
//!
//! A record is a version, the signal, when the batch was queued, and the batch: bodies as they were read, every sample of a
//! distribution, service checks. The format is our own and changes only with its version: a release reads what the one
//! before it wrote, and sets aside what it does not know.

mod bytes;
mod logs;
mod metrics;
mod shared;

use hornpipe_model::{Data, Timestamp};

use bytes::{Reader, Writer};

/// The version that is written.
const VERSION: u8 = 1;
const METRICS: u8 = 0;
const LOGS: u8 = 1;

/// A batch as it was queued.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Queued {
    /// The batch.
    pub data: Data,
    /// When it was queued.
    pub time: Timestamp,
}

/// Bytes that hold no batch, or one that this release cannot read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a record that this release can read")]
pub(super) struct Unreadable;

/// Appends a batch's record to `buffer`.
pub(super) fn encode(data: &Data, time: Timestamp, buffer: &mut Vec<u8>) {
    let mut writer = Writer(buffer);
    writer.byte(VERSION);
    match data {
        Data::Metrics(batch) => {
            writer.byte(METRICS);
            writer.fixed(time.as_nanos());
            metrics::write(batch, &mut writer);
        }
        Data::Logs(batch) => {
            writer.byte(LOGS);
            writer.fixed(time.as_nanos());
            logs::write(batch, &mut writer);
        }
    }
}

/// The batch of a record.
///
/// # Errors
/// A record of another version, or none at all. No input makes it panic or take more memory than a small multiple of the
/// record.
pub(super) fn decode(record: &[u8]) -> Result<Queued, Unreadable> {
    let mut reader = Reader(record);
    if reader.byte()? != VERSION {
        return Err(Unreadable);
    }
    let signal = reader.byte()?;
    let time = Timestamp::from_nanos(reader.fixed()?);
    let data = match signal {
        METRICS => metrics::read(&mut reader)?.into(),
        LOGS => logs::read(&mut reader)?.into(),
        _ => return Err(Unreadable),
    };
    if reader.0.is_empty() { Ok(Queued { data, time }) } else { Err(Unreadable) }
}

#[cfg(test)]
mod tests;
