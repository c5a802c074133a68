//! The writing side of a stream: belongs to one data-plane thread, shares no lock with other threads, and
//! never waits for a disk.
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Relaxed, Release};

use ringfence_events::JournalEvent;

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
    disk: Arc<dyn Disk>,
    stream: Arc<Stream>,
    stage: [Option<Box<dyn DiskFile>>; 2],
    active: usize,
    /// Octets in the active stage file, with the header.
    active_bytes: u64,
    /// The active stage file takes nothing until the drainer has made it anew.
    is_broken: bool,
    /// Bound of each stage file, and of what is handed over without one.
    file_max: u64,
    batch: FrameWriter,
    /// Times of the first and last event in the batch.
    batch_times: (i64, i64),
    /// Sequence of the batch's first event.
    next: u64,
    /// Lost since the last `lost` frame.
    unreported: Lost,
}

/// Where a batch goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    /// Into the active stage file.
    Stage,
    /// Past a stage that cannot be written.
    Memory,
    /// Nowhere: everything is at its bound.
    Full,
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
        let handover = guard(&stream.handover);
        let (active, last) = (handover.active, handover.last);
        let file = &handover.stage[active];
        let (active_bytes, is_broken) = (file.bytes, file.is_broken);
        drop(handover);
        Ok(Self {
            disk,
            stream,
            stage: [None, None],
            active,
            active_bytes,
            is_broken,
            file_max: stage_bytes / 2,
            batch: FrameWriter::default(),
            batch_times: (0, 0),
            next: last + 1,
            unreported: Lost::default(),
        })
    }

    /// Add an event to the batch. It is safe from a crash of the process once [`StreamWriter::commit`] returned.
    pub fn record(&mut self, event: &impl JournalEvent) {
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
            self.batch_times.0 = event.time_us();
        }
        self.batch_times.1 = event.time_us();
        // Every kind of event is bound far below what a record may have.
        let _ = self
            .batch
            .record(self.next, durable, |out| event.encode(out));
    }

    /// Commit the batch: one `write()` to the stage, then hand it to the drainer. Call it before the answers are
    /// sent. A batch that the stage cannot take goes to the drainer alone, which is woken at once; one that nobody
    /// has room for is counted as lost. It never waits.
    pub fn commit(&mut self) {
        let records = self.batch.records();
        if records == 0 {
            return;
        }
        let bytes = self.batch.sealed().len() as u64;
        let last = self.next + records - 1;
        let room = match self.room(bytes) {
            Room::Stage if !self.write() => Room::Memory,
            room => room,
        };
        let is_kept = match room {
            Room::Stage => {
                self.hand_over_staged(bytes, last);
                true
            }
            Room::Memory => self.hand_over_unstaged(bytes, last),
            Room::Full => false,
        };
        if !is_kept {
            self.lose(records);
            return;
        }
        self.next = last + 1;
        self.unreported = Lost::default();
        self.batch.clear();
    }

    fn hand_over_staged(&mut self, bytes: u64, last: u64) {
        self.active_bytes += bytes;
        let mut handover = guard(&self.stream.handover);
        let was_urgent = handover.is_urgent;
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
        handover.is_urgent |= self.active_bytes > self.file_max / 2;
        let is_newly_urgent = handover.is_urgent && !was_urgent;
        drop(handover);
        if is_newly_urgent {
            self.stream.wake.notify_one();
        }
    }

    /// Past the stage; whether memory had room.
    fn hand_over_unstaged(&mut self, bytes: u64, last: u64) -> bool {
        let mut handover = guard(&self.stream.handover);
        if handover.unstaged + bytes > self.file_max {
            return false;
        }
        handover.push_unstaged(self.batch.sealed(), self.next, last);
        handover.last = last;
        drop(handover);
        self.stream
            .unstaged
            .fetch_add(self.batch.records(), Relaxed);
        self.stream.wake.notify_one();
        true
    }

    /// Events of this stream counted as lost since the journal was opened.
    pub fn lost(&self) -> u64 {
        self.stream.lost.load(Relaxed)
    }

    /// Events of this stream handed over without the stage since the journal was opened.
    #[cfg(test)]
    pub(super) fn unstaged(&self) -> u64 {
        self.stream.unstaged.load(Relaxed)
    }

    /// As if the process had died before the commit.
    #[cfg(test)]
    pub(super) fn forget_batch(&mut self) {
        self.batch.clear();
    }

    /// Where `bytes` may go, after a swap of the stage files if need be.
    fn room(&mut self, bytes: u64) -> Room {
        if !self.is_broken && self.active_bytes + bytes <= self.file_max {
            return Room::Stage;
        }
        if HEADER + bytes > self.file_max {
            return Room::Full;
        }
        let other = 1 - self.active;
        let mut handover = guard(&self.stream.handover);
        handover.is_urgent = true;
        self.stream.wake.notify_one();
        let file = &handover.stage[other];
        if file.clean {
            handover.active = other;
            drop(handover);
            self.active = other;
            self.active_bytes = HEADER;
            self.is_broken = false;
            return Room::Stage;
        }
        // A stage that is full, though it works, says that the disk is too slow: that has its bound.
        if self.is_broken || file.is_broken {
            Room::Memory
        } else {
            Room::Full
        }
    }

    /// Append the batch to the active stage file; after a failure the file is as it was, or marked broken.
    fn write(&mut self) -> bool {
        let slot = &mut self.stage[self.active];
        if slot.is_none() {
            let path = guard(&self.stream.handover).stage[self.active].path.clone();
            *slot = self.disk.open(&path).ok();
        }
        let Some(file) = slot else { return false };
        if file.append(self.batch.sealed()).is_ok() {
            return true;
        }
        // What a failed write left would hide later frames from recovery.
        if file.truncate(self.active_bytes).is_err() {
            self.is_broken = true;
            let mut handover = guard(&self.stream.handover);
            let file = &mut handover.stage[self.active];
            (file.clean, file.is_broken) = (false, true);
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
