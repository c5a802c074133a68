//! A capture file from its first packet to its last.

use super::{Engine, EngineConfig, Output, Statistics};
use crate::source::{Capture, CaptureNotes, SourceError, open_stream};
use serde::Serialize;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Seen and steered from another thread while a file is read.
#[derive(Debug, Default)]
pub struct Progress {
    octets: AtomicU64,
    frames: AtomicU64,
    is_cancelled: AtomicBool,
}

impl Progress {
    /// Octets read of the file as it lies on the disk (compressed or not).
    pub fn octets(&self) -> u64 {
        self.octets.load(Relaxed)
    }

    /// Frames read.
    pub fn frames(&self) -> u64 {
        self.frames.load(Relaxed)
    }

    /// Stops the reading at the next piece; what was found until then is finished and given.
    pub fn cancel(&self) {
        self.is_cancelled.store(true, Relaxed);
    }
}

/// How it went.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ReadOutcome {
    /// About the file.
    pub capture: CaptureNotes,
    /// What was counted.
    pub statistics: Statistics,
    /// It was stopped before the end.
    pub is_cancelled: bool,
}

/// Reads a capture (pcap or pcapng; plain, gzip or zstd) to its end; every call goes to `output`. The result does not
/// depend on the clock. A file that ends inside a packet is no error: the notes say so.
pub fn read_capture<O: Output>(
    input: impl Read + Send + 'static,
    config: &EngineConfig,
    output: O,
    progress: &Arc<Progress>,
) -> Result<(ReadOutcome, O), SourceError> {
    let counted = Counted {
        input,
        progress: Arc::clone(progress),
    };
    let mut capture = Capture::open(open_stream(counted)?)?;
    let mut engine = Engine::new(config, output);
    while !progress.is_cancelled.load(Relaxed) && capture.read(&mut |frame| engine.frame(frame))? {
        progress.frames.store(capture.notes().frames, Relaxed);
    }
    engine.finish();
    progress.frames.store(capture.notes().frames, Relaxed);
    let outcome = ReadOutcome {
        capture: *capture.notes(),
        statistics: engine.statistics(),
        is_cancelled: progress.is_cancelled.load(Relaxed),
    };
    Ok((outcome, engine.into_output()))
}

/// Counts what is read of the file itself.
struct Counted<R> {
    input: R,
    progress: Arc<Progress>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.progress.octets.fetch_add(count as u64, Relaxed);
        Ok(count)
    }
}
