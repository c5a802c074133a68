//! The writing side of a stream: belongs to one data-plane thread, shares no lock with other threads, and
//! never waits for a disk.
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Relaxed, Release};

use ringfence_events::EnumEvent;

use super::guard;
use super::stream::Stream;
use crate::JournalError;
use crate::disk::{Disk, DiskFile};
use crate::frame::FrameWriter;
use crate::segment::HEADER;

/// The stage files are swapped when the active one has this much and the other is empty, octets.
const SWAP_AT: u64 = 64 << 10;

/// Records events of one stream; dropping it commits what is left.
#[derive(Debug)]
pub struct StreamWriter {
    stream: Arc<Stream>,
    stage: [Box<dyn DiskFile>; 2],
    active: usize,
    /// Octets in the active stage file, with the header.
    active_bytes: u64,
    /// Bound of each stage file.
    file_max: u64,
    batch: FrameWriter,
    /// Times of the first and last event in the batch.
    batch_times: (i64, i64),
    /// Sequence of the batch's first event.
    next: u64,
    /// Lost since the last `lost` frame.
    unreported: Lost,
}

#[derive(Debug, Default, Clone, Copy)]
struct Lost {
    count: u64,
    from_us: i64,
    to_us: i64,
}

impl StreamWriter {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        stream: Arc<Stream>,
        stage_bytes: u64,
    ) -> Result<Self, JournalError> {
        if stream.has_writer.swap(true, AcqRel) {
            return Err(JournalError::WriterTaken(stream.id));
        }
        let (paths, active, active_bytes, last) = {
            let handover = guard(&stream.handover);
            let [zero, one] = &handover.stage;
            let paths = [zero.path.clone(), one.path.clone()];
            (
                paths,
                handover.active,
                handover.stage[handover.active].bytes,
                handover.last,
            )
        };
        let open = |which: usize| {
            disk.open(&paths[which])
                .map_err(JournalError::io("open", &paths[which]))
        };
        let stage = match (open(0), open(1)) {
            (Ok(zero), Ok(one)) => [zero, one],
            (Err(error), _) | (_, Err(error)) => {
                stream.has_writer.store(false, Release);
                return Err(error);
            }
        };
        Ok(Self {
            stream,
            stage,
            active,
            active_bytes,
            file_max: stage_bytes / 2,
            batch: FrameWriter::default(),
            batch_times: (0, 0),
            next: last + 1,
            unreported: Lost::default(),
        })
    }

    /// Add an event to the batch. It is safe from a crash of the process once [`StreamWriter::commit`] returned.
    pub fn record(&mut self, event: &EnumEvent<'_>) {
        let durable = self.stream.durable.load(Relaxed);
        if self.batch.is_empty() {
            let Lost {
                count,
                from_us,
                to_us,
            } = self.unreported;
            if count > 0 {
                self.batch.lost(self.next, durable, count, from_us, to_us);
            }
        }
        if self.batch.records() == 0 {
            self.batch_times.0 = event.time_us;
        }
        self.batch_times.1 = event.time_us;
        // An event is at most ENCODED_MAX octets, far below what a record may have.
        let _ = self
            .batch
            .record(self.next, durable, |out| event.encode(out));
    }

    /// Commit the batch: one `write()` to the stage, then hand it to the drainer. Call it before the answers are
    /// sent. Without room in the stage the batch is counted as lost; it never waits.
    pub fn commit(&mut self) {
        let records = self.batch.records();
        if records == 0 {
            return;
        }
        let bytes = self.batch.sealed().len() as u64;
        if !self.has_room(bytes) || !self.write() {
            self.lose(records);
            return;
        }
        self.active_bytes += bytes;
        let last = self.next + records - 1;
        let mut handover = guard(&self.stream.handover);
        handover.push(self.batch.sealed(), self.next, last);
        handover.last = last;
        let active = self.active;
        handover.stage[active].bytes = self.active_bytes;
        handover.stage[active].last = last;
        handover.stage[active].clean = false;
        let other = 1 - active;
        if self.active_bytes >= SWAP_AT && handover.stage[other].clean {
            handover.active = other;
            self.active = other;
            self.active_bytes = HEADER;
        }
        drop(handover);
        if self.active_bytes > self.file_max / 2 {
            self.stream.wake.notify_one();
        }
        self.next = last + 1;
        self.unreported = Lost::default();
        self.batch.clear();
    }

    /// Events of this stream counted as lost since the journal was opened.
    pub fn lost(&self) -> u64 {
        self.stream.lost.load(Relaxed)
    }

    /// As if the process had died before the commit.
    #[cfg(test)]
    pub(super) fn forget_batch(&mut self) {
        self.batch.clear();
    }

    /// Whether `bytes` fit the active stage file, after a swap if need be.
    fn has_room(&mut self, bytes: u64) -> bool {
        if self.active_bytes + bytes <= self.file_max {
            return true;
        }
        self.stream.wake.notify_one();
        let other = 1 - self.active;
        let mut handover = guard(&self.stream.handover);
        if !handover.stage[other].clean || HEADER + bytes > self.file_max {
            return false;
        }
        handover.active = other;
        drop(handover);
        self.active = other;
        self.active_bytes = HEADER;
        true
    }

    fn write(&mut self) -> bool {
        let file = &mut self.stage[self.active];
        if file.append(self.batch.sealed()).is_ok() {
            return true;
        }
        // What a failed write left would hide later frames from recovery: cut it, or write no more to this file.
        if file.truncate(self.active_bytes).is_err() {
            self.active_bytes = self.file_max;
            guard(&self.stream.handover).stage[self.active].clean = false;
        }
        false
    }

    fn lose(&mut self, records: u64) {
        if self.unreported.count == 0 {
            self.unreported.from_us = self.batch_times.0;
        }
        self.unreported.to_us = self.batch_times.1;
        self.unreported.count += records;
        self.stream.lost.fetch_add(records, Relaxed);
        self.batch.clear();
    }
}

impl Drop for StreamWriter {
    fn drop(&mut self) {
        self.commit();
        self.stream.has_writer.store(false, Release);
    }
}
