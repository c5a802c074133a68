//! The drainer of a stream: takes what the writer handed over, appends it to segments, syncs, and empties the
//! stage file whose events are durable. One thread a stream; all waiting for the disk happens here.
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::{Arc, PoisonError};

use super::shared::Shared;
use super::stream::{Chunk, SegmentInfo, Stream};
use super::{guard, now_us};
use crate::disk::DiskFile;
use crate::segment::{HEADER, Header, Kind, file_name};

/// Interval of retention by age and of saving progress, µs.
const CHORES_US: i64 = 1_000_000;

#[derive(Debug)]
pub(super) struct Drainer {
    shared: Arc<Shared>,
    stream: Arc<Stream>,
    stage: [Box<dyn DiskFile>; 2],
    /// Taken from the hand-over and not durable yet.
    backlog: VecDeque<Chunk>,
    segment: Option<OpenSegment>,
    chores_us: i64,
}

#[derive(Debug)]
struct OpenSegment {
    file: Box<dyn DiskFile>,
    first: u64,
    /// Durable octets.
    bytes: u64,
}

impl Drainer {
    pub fn new(shared: Arc<Shared>, stream: Arc<Stream>, stage: [Box<dyn DiskFile>; 2]) -> Self {
        Self {
            shared,
            stream,
            stage,
            backlog: VecDeque::new(),
            segment: None,
            chores_us: 0,
        }
    }

    /// Drain at every tick until the journal closes, then once more.
    pub fn run(mut self) {
        loop {
            let closing = self.wait();
            self.step(now_us());
            if closing {
                return;
            }
        }
    }

    /// Make everything handed over so far durable, if the disk lets us; whether it did.
    pub fn step(&mut self, now_us: i64) -> bool {
        let taken = std::mem::take(&mut guard(&self.stream.handover).chunks);
        self.backlog.extend(taken);
        let drained = self.drain(now_us);
        if let Err(error) = &drained {
            self.shared.notice(format!(
                "stream {}: events cannot be made durable: {error}",
                self.stream.id
            ));
        }
        self.empty_stage();
        if now_us.saturating_sub(self.chores_us) >= CHORES_US {
            self.chores_us = now_us;
            self.shared.remove_aged(now_us);
            self.shared.save_progress();
        }
        drained.is_ok()
    }

    /// Until the next tick; whether the journal is closing.
    fn wait(&self) -> bool {
        let handover = guard(&self.stream.handover);
        if handover.closing {
            return true;
        }
        let waited = self
            .stream
            .wake
            .wait_timeout(handover, self.shared.config.sync);
        waited.unwrap_or_else(PoisonError::into_inner).0.closing
    }

    fn drain(&mut self, now_us: i64) -> io::Result<()> {
        while !self.backlog.is_empty() {
            match self.fill_segment() {
                Ok(chunks) => self.made_durable(chunks, now_us),
                Err(error) => {
                    self.abandon_segment();
                    // Room may help: try once more for every acknowledged segment that can go.
                    let is_full = matches!(
                        error.kind(),
                        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
                    );
                    if !is_full || !self.shared.remove_oldest_acknowledged() {
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }

    /// Append chunks until the segment is full or the backlog at its end, and sync; how many are durable now.
    fn fill_segment(&mut self) -> io::Result<usize> {
        let waiting: u64 = self
            .backlog
            .iter()
            .map(|chunk| chunk.bytes.len() as u64)
            .sum();
        if !self
            .shared
            .make_room(waiting.min(self.shared.config.segment_bytes))
        {
            return Err(io::Error::other(
                "journal is at max_bytes and nothing more is acknowledged",
            ));
        }
        let segment = match &mut self.segment {
            Some(segment) => segment,
            None => {
                let first = self.backlog.front().map_or(1, |chunk| chunk.first);
                self.segment
                    .insert(create_segment(&self.shared, &self.stream, first)?)
            }
        };
        let (mut bytes, mut chunks) = (segment.bytes, 0);
        for chunk in &self.backlog {
            if chunks > 0 && bytes >= self.shared.config.segment_bytes {
                break;
            }
            segment.file.append(&chunk.bytes)?;
            bytes += chunk.bytes.len() as u64;
            chunks += 1;
        }
        segment.file.sync()?;
        segment.bytes = bytes;
        Ok(chunks)
    }

    /// The first `chunks` of the backlog are in the segment and synced: tell everyone.
    fn made_durable(&mut self, chunks: usize, now_us: i64) {
        let Some(segment) = &self.segment else { return };
        let info = SegmentInfo {
            first: segment.first,
            bytes: segment.bytes,
            written_us: now_us,
        };
        {
            let mut index = guard(&self.stream.index);
            match index.segments.back_mut() {
                Some(back) if back.first == segment.first => *back = info,
                _ => index.segments.push_back(info),
            }
        }
        if segment.bytes >= self.shared.config.segment_bytes {
            self.segment = None;
        }
        let done: Vec<Chunk> = self.backlog.drain(..chunks).collect();
        if let Some(last) = done.last() {
            self.stream.durable.store(last.last, Release);
        }
        let mut handover = guard(&self.stream.handover);
        for chunk in done {
            handover.recycle(chunk.bytes);
        }
        drop(handover);
        self.shared.signal_durable();
    }

    /// After a failure: leave the segment as it is durable; what is not goes into a new one. After a failed sync
    /// the kernel may have dropped the pages and call the file clean, so it is never synced again.
    fn abandon_segment(&mut self) {
        let Some(mut segment) = self.segment.take() else {
            return;
        };
        if segment.bytes <= HEADER {
            // Nothing in it was promised; its name is needed again.
            let _ = self
                .shared
                .disk
                .remove(&self.stream.folder.join(file_name(segment.first)));
        } else {
            // Should this fail, recovery knows that the next segment counts.
            let _ = segment.file.truncate(segment.bytes);
        }
    }

    /// Empty the stage file that the writer does not use, once all its events are durable.
    fn empty_stage(&mut self) {
        let durable = self.stream.durable.load(Relaxed);
        let which = {
            let handover = guard(&self.stream.handover);
            let which = 1 - handover.active;
            let file = &handover.stage[which];
            if file.clean || file.last > durable {
                return;
            }
            which
        };
        if let Err(error) = self.stage[which].truncate(HEADER) {
            self.shared.notice(format!(
                "stream {}: stage cannot be emptied: {error}",
                self.stream.id
            ));
            return;
        }
        let mut handover = guard(&self.stream.handover);
        handover.stage[which].bytes = HEADER;
        handover.stage[which].clean = true;
    }
}

/// A new segment with its header; its name is durable when this returns.
fn create_segment(shared: &Shared, stream: &Stream, first: u64) -> io::Result<OpenSegment> {
    let path = stream.folder.join(file_name(first));
    let created = match shared.disk.create(&path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // An abandoned one: it has no durable event, else this would not be its first sequence.
            shared.disk.remove(&path)?;
            shared.disk.create(&path)
        }
        other => other,
    };
    let mut file = created?;
    let header = Header {
        kind: Kind::Segment,
        stream: stream.id,
        journal_id: shared.journal_id,
        first,
    };
    let written = file
        .append(&header.encode())
        .and_then(|()| shared.disk.sync_folder(&stream.folder));
    if let Err(error) = written {
        let _ = shared.disk.remove(&path);
        return Err(error);
    }
    Ok(OpenSegment {
        file,
        first,
        bytes: HEADER,
    })
}
