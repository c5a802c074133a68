//! The drainer of a stream: takes what the writer handed over, appends it to segments, syncs, and empties the
//! stage file whose events are durable. One thread a stream; all waiting for the disk happens here.
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::{Arc, PoisonError};

use super::shared::Shared;
use super::stage;
use super::stream::{Chunk, SegmentInfo, Stream};
use super::{guard, now_us};
use crate::disk::{DiskFile, is_full};
use crate::segment::{HEADER, Header, Kind, file_name};

/// Interval of retention by age and of saving progress, µs.
const CHORES_US: i64 = 1_000_000;

#[derive(Debug)]
pub(super) struct Drainer {
    shared: Arc<Shared>,
    stream: Arc<Stream>,
    /// `None`: the file could not be made yet.
    stage: [Option<Box<dyn DiskFile>>; 2],
    stage_trouble: Trouble,
    is_failing: bool,
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
    /// Sequence that goes on; any other starts a new segment, so that recovery never meets a hole inside one that
    /// nobody promised to fill.
    next: u64,
}

/// Whether the stage takes what it is given, for the notices.
#[derive(Debug, Default)]
struct Trouble {
    /// When something came past the stage last, µs.
    unstaged_us: Option<i64>,
    is_emptying_told: bool,
}

impl Drainer {
    pub fn new(
        shared: Arc<Shared>,
        stream: Arc<Stream>,
        stage: [Option<Box<dyn DiskFile>>; 2],
    ) -> Self {
        Self {
            shared,
            stream,
            stage,
            stage_trouble: Trouble::default(),
            is_failing: false,
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
        let taken = {
            let mut handover = guard(&self.stream.handover);
            handover.take()
        };
        self.tell_unstaged(taken.iter().any(|chunk| chunk.unstaged > 0), now_us);
        self.backlog.extend(taken);
        let drained = self.drain(now_us);
        self.is_failing = drained.is_err();
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

    /// Until the next tick, or until something is urgent and the disk works; whether the journal is closing.
    fn wait(&self) -> bool {
        let handover = guard(&self.stream.handover);
        let waited =
            self.stream
                .wake
                .wait_timeout_while(handover, self.shared.config.sync, |handover| {
                    !(handover.closing || handover.is_urgent && !self.is_failing)
                });
        waited.unwrap_or_else(PoisonError::into_inner).0.closing
    }

    /// Say once that events come past the stage, and once that they do not any more.
    fn tell_unstaged(&mut self, is_unstaged: bool, now_us: i64) {
        let stream = self.stream.id;
        let since = self.stage_trouble.unstaged_us;
        if is_unstaged {
            self.stage_trouble.unstaged_us = Some(now_us);
            if since.is_none() {
                self.shared.notice(format!(
                    "stream {stream}: the stage cannot be written, is its file system full? Events go to the disk \
                     without it: a kill of the process may take the last few milliseconds of them"
                ));
            }
        } else if since.is_some_and(|since| now_us.saturating_sub(since) >= CHORES_US) {
            self.stage_trouble.unstaged_us = None;
            self.shared
                .notice(format!("stream {stream}: the stage can be written again"));
        }
    }

    fn drain(&mut self, now_us: i64) -> io::Result<()> {
        while !self.backlog.is_empty() {
            match self.fill_segment() {
                Ok(chunks) => self.made_durable(chunks, now_us),
                Err(error) => {
                    self.abandon_segment();
                    // Room may help: try once more for every acknowledged segment that can go.
                    if !is_full(&error) || !self.shared.remove_oldest_acknowledged() {
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
        let next = self.backlog.front().map_or(1, |chunk| chunk.first);
        self.segment.take_if(|segment| segment.next < next);
        let segment = match &mut self.segment {
            Some(segment) => segment,
            None => self
                .segment
                .insert(create_segment(&self.shared, &self.stream, next)?),
        };
        let (mut bytes, mut next, mut chunks) = (segment.bytes, segment.next, 0);
        for chunk in &self.backlog {
            if chunks > 0 && (bytes >= self.shared.config.segment_bytes || chunk.first > next) {
                break;
            }
            segment.file.append(&chunk.bytes)?;
            bytes += chunk.bytes.len() as u64;
            next = chunk.last + 1;
            chunks += 1;
        }
        segment.file.sync()?;
        (segment.bytes, segment.next) = (bytes, next);
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
            handover.unstaged -= chunk.unstaged;
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
        let (which, path, is_broken) = {
            let handover = guard(&self.stream.handover);
            let which = 1 - handover.active;
            let file = &handover.stage[which];
            if file.clean || file.last > durable {
                return;
            }
            (which, file.path.clone(), file.is_broken)
        };
        let (disk, stream) = (self.shared.disk.as_ref(), self.stream.id);
        let emptied = match &mut self.stage[which] {
            Some(file) if !is_broken => file.truncate(HEADER),
            slot => stage::reset(disk, &path, stream, self.shared.journal_id)
                .map(|file| *slot = Some(file)),
        };
        if let Err(error) = emptied {
            if !std::mem::replace(&mut self.stage_trouble.is_emptying_told, true) {
                self.shared
                    .notice(format!("stream {stream}: stage cannot be emptied: {error}"));
            }
            return;
        }
        self.stage_trouble.is_emptying_told = false;
        let mut handover = guard(&self.stream.handover);
        handover.stage[which].bytes = HEADER;
        handover.stage[which].clean = true;
        handover.stage[which].is_broken = false;
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
        next: first,
    })
}
