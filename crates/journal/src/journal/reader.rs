//! The reading side: durable events from any sequence on, acknowledgements, and waiting for more.
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringfence_events::{RecordsError, records_to_arrow};

use super::guard;
use super::incarnation;
use super::shared::Shared;
use super::stream::Stream;
use crate::JournalError;
use crate::frame::{Content, Frame};
use crate::segment::{HEADER, Step, Walk, file_name};

/// Most octets of events in one batch.
const BATCH_BYTES: usize = 32 << 20;

/// Reads a journal's durable events.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    /// Durable count that [`Reader::wait`] has reported.
    seen: Mutex<u64>,
    /// Where the last read of each stream ended, so that the next one does not search.
    cursors: Mutex<HashMap<u32, Cursor>>,
}

/// The offset of the frame in which a sequence is, or begins.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    segment: u64,
    offset: u64,
    sequence: u64,
}

/// How far a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamStatus {
    /// The stream.
    pub stream: u32,
    /// First sequence that is kept; one more than `durable` when none is.
    pub first: u64,
    /// Last durable sequence, 0 when there is none.
    pub durable: u64,
    /// Last sequence that the mediation holds.
    pub acknowledged: u64,
    /// Events counted as lost since the journal was opened.
    pub lost: u64,
}

/// Events with contiguous sequences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    stream: u32,
    first: u64,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let seen = Mutex::new(shared.durable_count());
        Self {
            shared,
            seen,
            cursors: Mutex::default(),
        }
    }

    /// Every stream, by number.
    pub fn streams(&self) -> Vec<StreamStatus> {
        let incarnation = guard(&self.shared.incarnation).clone();
        let status = |stream: Arc<Stream>| {
            let base = incarnation.base(stream.id);
            let durable = stream.durable.load(Acquire);
            let first = guard(&stream.index).first().unwrap_or(durable + 1);
            StreamStatus {
                stream: stream.id,
                first: first.max(base + 1) - base,
                durable: durable.saturating_sub(base),
                acknowledged: stream.acknowledged.load(Relaxed).saturating_sub(base),
                lost: stream.lost.load(Relaxed),
            }
        };
        self.shared.streams().into_iter().map(status).collect()
    }

    /// Durable events from `first` on, at most `max_events` of them; `None` when there are none yet.
    ///
    /// When `first` is not kept any more, or was damaged, the batch begins at the next event that is there:
    /// look at [`Batch::first`].
    pub fn read(
        &self,
        stream: u32,
        first: u64,
        max_events: usize,
    ) -> Result<Option<Batch>, JournalError> {
        let state = self
            .shared
            .stream(stream)
            .ok_or(JournalError::NoStream(stream))?;
        let base = guard(&self.shared.incarnation).base(stream);
        let durable = state.durable.load(Acquire);
        let mut batch = Batch {
            stream,
            first: first.max(1).saturating_add(base),
            bytes: Vec::new(),
            ends: Vec::new(),
        };
        let max_events = max_events.max(1);
        loop {
            let next = batch.next();
            if next > durable || batch.ends.len() >= max_events || batch.bytes.len() >= BATCH_BYTES
            {
                break;
            }
            let Some((segment, behind)) = guard(&state.index).locate(next) else {
                break;
            };
            let cursor = guard(&self.cursors).get(&stream).copied();
            let offset = match cursor {
                Some(cursor) if cursor.segment == segment.first && cursor.sequence == next => {
                    cursor.offset
                }
                _ => HEADER,
            };
            let path = state.folder.join(file_name(segment.first));
            let file = match self.shared.disk.open(&path) {
                // Removed by retention meanwhile: look again.
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound
                        && guard(&state.index)
                            .locate(next)
                            .is_none_or(|(now, _)| now.first != segment.first) =>
                {
                    continue;
                }
                other => other.map_err(JournalError::io("open", &path))?,
            };
            let mut part = Part {
                batch: &mut batch,
                max_events,
                last: behind.map_or(durable, |next| next - 1),
            };
            let walk = Walk::new(file.as_ref(), offset, segment.bytes);
            let (offset, damaged) = part.read(walk).map_err(JournalError::io("read", &path))?;
            if damaged {
                self.shared.notice(format!(
                    "{}: damaged; {} of stream {stream} is not there",
                    path.display(),
                    next
                ));
            }
            let cursor = Cursor {
                segment: segment.first,
                offset,
                sequence: batch.next(),
            };
            guard(&self.cursors).insert(stream, cursor);
            if batch.next() == next {
                // Nothing of this segment: go on behind it, a hole if the batch is still empty.
                match behind {
                    Some(behind) if batch.ends.is_empty() => batch.first = behind,
                    _ => break,
                }
            }
        }
        if batch.ends.is_empty() {
            return Ok(None);
        }
        state.offered.fetch_max(batch.last(), AcqRel);
        batch.first -= base;
        Ok(Some(batch))
    }

    /// Compare with the last sequence of each stream that the mediation holds under [`super::Journal::journal_id`]:
    /// before anything is read for it. When that cannot be from here, the folder was set back: then the journal has
    /// a new id, its streams start from 1 with what the mediation does not have, and a text says so.
    pub fn reconcile(&self, received: &BTreeMap<u32, u64>) -> Result<Option<String>, JournalError> {
        let fresh =
            crate::disk::real::random_id().map_err(JournalError::io("read", "/dev/urandom"))?;
        incarnation::reconcile(&self.shared, received, fresh)
    }

    /// The mediation holds everything up to `sequence` in its committed database. Never goes back.
    pub fn acknowledge(&self, stream: u32, sequence: u64) -> Result<(), JournalError> {
        let state = self
            .shared
            .stream(stream)
            .ok_or(JournalError::NoStream(stream))?;
        let base = guard(&self.shared.incarnation).base(stream);
        let durable = state.durable.load(Acquire).saturating_sub(base);
        if sequence > durable {
            return Err(JournalError::AcknowledgedTooFar {
                stream,
                sequence,
                durable,
            });
        }
        let sequence = sequence + base;
        if state.acknowledged.fetch_max(sequence, Relaxed) < sequence {
            self.shared.progress_stale.store(true, Relaxed);
        }
        Ok(())
    }

    /// Wait until more events are durable than at the last call that said so; `false` after `timeout`.
    pub fn wait(&self, timeout: Duration) -> bool {
        let seen = *guard(&self.seen);
        match self.shared.wait_durable(seen, timeout) {
            Some(count) => {
                *guard(&self.seen) = count;
                true
            }
            None => false,
        }
    }
}

/// One segment's share of a batch.
struct Part<'b> {
    batch: &'b mut Batch,
    max_events: usize,
    /// Last sequence that counts in this segment.
    last: u64,
}

impl Part<'_> {
    /// Take events until the batch is full, the segment ends, or there is a hole; where to go on, and whether bad
    /// bytes were met.
    fn read(&mut self, mut walk: Walk<'_>) -> io::Result<(u64, bool)> {
        let mut damaged = false;
        loop {
            let at = walk.offset();
            match walk.step()? {
                Step::End => return Ok((at, damaged)),
                Step::Bad => {
                    damaged = true;
                    walk.resync()?;
                }
                Step::Frame { frame, .. } => {
                    if !self.take(&frame) {
                        return Ok((at, damaged));
                    }
                }
            }
        }
    }

    /// Take what the batch wants of a frame; whether it wants the frames behind it too.
    fn take(&mut self, frame: &Frame<'_>) -> bool {
        let Content::Events(records) = frame.content else {
            return true;
        };
        if frame.last() < self.batch.next() {
            return true;
        }
        if frame.first > self.batch.next() {
            if !self.batch.ends.is_empty() || frame.first > self.last {
                return false;
            }
            self.batch.first = frame.first;
        }
        for (sequence, record) in (frame.first..).zip(records) {
            if sequence < self.batch.next() {
                continue;
            }
            if sequence > self.last || self.batch.ends.len() >= self.max_events {
                return false;
            }
            self.batch.bytes.extend_from_slice(record);
            self.batch.ends.push(self.batch.bytes.len());
        }
        self.batch.bytes.len() < BATCH_BYTES
    }
}

impl Batch {
    /// Sequence of the first event.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Sequence of the last event.
    pub fn last(&self) -> u64 {
        self.next() - 1
    }

    /// The events' bytes, in order.
    pub fn records(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, &end)| &self.bytes[start..end])
    }

    /// The events as an Arrow IPC stream of their dataset (docs/contracts.md 3).
    pub fn to_arrow(&self) -> Result<Vec<u8>, JournalError> {
        records_to_arrow(self.first, self.ends.len(), self.records()).map_err(|error| match error {
            RecordsError::Event { sequence, source } => JournalError::Event {
                stream: self.stream,
                sequence,
                source,
            },
            RecordsError::Arrow(error) => JournalError::Arrow(error.to_string()),
        })
    }

    fn next(&self) -> u64 {
        self.first + self.ends.len() as u64
    }
}
