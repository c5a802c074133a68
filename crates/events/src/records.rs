//! Stored records of one stream → one Arrow IPC stream of their dataset.
use arrow_schema::ArrowError;

use crate::{DecodeError, EnumBatch, FORMAT_SIP_1, SipBatch, SipEvent, StoredEvent};

/// Records that do not become a batch.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// A record is not what its stream carries.
    #[error("event {sequence}: {source}")]
    Event {
        /// Its sequence.
        sequence: u64,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// Arrow refuses the batch.
    #[error("{0}")]
    Arrow(#[from] ArrowError),
}

/// `count` records with sequences from `first` as an Arrow IPC stream. A stream carries one kind of event: the first
/// record's format says which schema, and a record of another kind is an error.
pub fn records_to_arrow<'a>(
    first: u64,
    count: usize,
    records: impl Iterator<Item = &'a [u8]>,
) -> Result<Vec<u8>, RecordsError> {
    let mut records = (first..).zip(records).peekable();
    let is_sip = matches!(records.peek(), Some((_, [FORMAT_SIP_1, ..])));
    if is_sip {
        let mut batch = SipBatch::with_capacity(count);
        for (sequence, record) in records {
            let event = SipEvent::decode(record)
                .map_err(|source| RecordsError::Event { sequence, source })?;
            batch.push(sequence, &event);
        }
        return Ok(batch.finish()?);
    }
    let mut batch = EnumBatch::with_capacity(count);
    for (sequence, record) in records {
        let stored = StoredEvent::decode(record)
            .map_err(|source| RecordsError::Event { sequence, source })?;
        batch.push(sequence, &stored.event());
    }
    Ok(batch.finish()?)
}
