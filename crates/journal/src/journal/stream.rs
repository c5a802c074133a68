//! What a stream's writer, drainer and reader share. No lock here is ever held across I/O.
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Condvar, Mutex};

/// Room of a chunk of the hand-over, octets; a batch larger than this has a chunk of its own.
const CHUNK: usize = 256 << 10;
/// The drainer is woken before its tick when so much waits for it, octets: it then copies and syncs a little at a time, and an
/// answer that finds it at work on the same processor waits a fraction of a millisecond.
const URGENT: u64 = 1 << 20;
/// Emptied chunks kept for the next batches.
const SPARE_CHUNKS: usize = 8;

/// One stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub id: u32,
    pub folder: PathBuf,
    pub handover: Mutex<Handover>,
    /// Wakes the drainer early: at close, and when the stage fills.
    pub wake: Condvar,
    pub index: Mutex<Index>,
    /// Last sequence that is synced. Stored with Release after the index knows it.
    pub durable: AtomicU64,
    pub acknowledged: AtomicU64,
    /// Last sequence that was read, and so may have been uploaded.
    pub offered: AtomicU64,
    pub lost: AtomicU64,
    /// Events handed over without the stage, since the journal was opened.
    pub unstaged: AtomicU64,
    pub has_writer: AtomicBool,
}

/// Frames on their way from the writer to the drainer, and whose turn the stage files are.
#[derive(Debug)]
pub(super) struct Handover {
    pub chunks: VecDeque<Chunk>,
    /// Octets in `chunks`.
    pub waiting: u64,
    pub spare: Vec<Vec<u8>>,
    pub stage: [StageFile; 2],
    /// The stage file that the writer appends to; the drainer touches only the other one.
    pub active: usize,
    /// Last sequence given out.
    pub last: u64,
    /// Octets of frames that only memory has: the stage could not be written.
    pub unstaged: u64,
    /// Something unstaged waits: the drainer is not to wait for its tick.
    pub is_urgent: bool,
    pub closing: bool,
}

/// One of the two stage files.
#[derive(Debug, Clone)]
pub(super) struct StageFile {
    pub path: PathBuf,
    /// Octets, with the header.
    pub bytes: u64,
    /// Last sequence in it; it may be emptied when this is durable.
    pub last: u64,
    /// Empty but for its header.
    pub clean: bool,
    /// Made anew, header and all, before it is clean: it could not be made, or a failed write could not be cut.
    pub is_broken: bool,
}

/// Whole frames, and the sequences in them.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub bytes: Vec<u8>,
    pub first: u64,
    pub last: u64,
    /// Octets of it that the stage does not have.
    pub unstaged: u64,
}

impl Handover {
    /// Append a batch of frames with sequences `first` to `last`. A chunk has no hole in it.
    pub fn push(&mut self, frames: &[u8], first: u64, last: u64) {
        self.waiting += frames.len() as u64;
        self.is_urgent |= self.waiting >= URGENT;
        match self.chunks.back_mut() {
            Some(chunk) if chunk.bytes.len() + frames.len() <= CHUNK && first <= chunk.last + 1 => {
                chunk.bytes.extend_from_slice(frames);
                chunk.last = last;
            }
            _ => {
                let mut bytes = self
                    .spare
                    .pop()
                    .unwrap_or_else(|| Vec::with_capacity(CHUNK.max(frames.len())));
                bytes.extend_from_slice(frames);
                self.chunks.push_back(Chunk {
                    bytes,
                    first,
                    last,
                    unstaged: 0,
                });
            }
        }
    }

    /// As [`Handover::push`], of a batch that is nowhere else.
    pub fn push_unstaged(&mut self, frames: &[u8], first: u64, last: u64) {
        self.push(frames, first, last);
        let bytes = frames.len() as u64;
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.unstaged += bytes;
        }
        self.unstaged += bytes;
        self.is_urgent = true;
    }

    /// Everything that waits.
    pub fn take(&mut self) -> VecDeque<Chunk> {
        self.is_urgent = false;
        self.waiting = 0;
        std::mem::take(&mut self.chunks)
    }

    /// Take back an emptied chunk's room.
    pub fn recycle(&mut self, mut bytes: Vec<u8>) {
        if self.spare.len() < SPARE_CHUNKS && bytes.capacity() <= 2 * CHUNK {
            bytes.clear();
            self.spare.push(bytes);
        }
    }
}

/// The segments of a stream, oldest first.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub segments: VecDeque<SegmentInfo>,
}

/// A segment as far as it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentInfo {
    /// First sequence, as in its name.
    pub first: u64,
    /// Durable octets.
    pub bytes: u64,
    /// When it was last written, µs since 1970.
    pub written_us: i64,
}

impl Index {
    /// The segment that has `sequence`, or the first one behind it; its durable octets and where it ends.
    pub fn locate(&self, sequence: u64) -> Option<(SegmentInfo, Option<u64>)> {
        let behind = self
            .segments
            .partition_point(|segment| segment.first <= sequence);
        let at = behind.saturating_sub(1);
        let next = self.segments.get(at + 1).map(|segment| segment.first);
        self.segments.get(at).map(|segment| (*segment, next))
    }

    /// First sequence kept.
    pub fn first(&self) -> Option<u64> {
        self.segments.front().map(|segment| segment.first)
    }
}
