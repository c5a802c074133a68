//! Walks over the frames of a file, and finds the next sound frame behind bad bytes.
use std::io;

use crate::disk::DiskFile;
use crate::frame::{FRAME_MAX, Frame};

/// Octets read at once; at least two of the longest frames.
const WINDOW: usize = 1 << 20;
const _: () = assert!(WINDOW >= 2 * FRAME_MAX);

/// A position in a file of frames.
#[derive(Debug)]
pub struct Walk<'f> {
    file: &'f dyn DiskFile,
    offset: u64,
    limit: u64,
    window: Vec<u8>,
    window_at: u64,
}

/// What is at the position.
#[derive(Debug)]
pub enum Step<'a> {
    /// A frame; the position is behind it now.
    Frame {
        /// Where it starts.
        offset: u64,
        /// The frame.
        frame: Frame<'a>,
        /// Its octets.
        raw: &'a [u8],
    },
    /// Octets that are not a frame; the position has not moved.
    Bad,
    /// The limit.
    End,
}

impl<'f> Walk<'f> {
    /// From `offset` to `limit`, which is at most the file's size.
    pub fn new(file: &'f dyn DiskFile, offset: u64, limit: u64) -> Self {
        Self {
            file,
            offset,
            limit,
            window: Vec::new(),
            window_at: 0,
        }
    }

    /// The position.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The frame at the position.
    pub fn step(&mut self) -> io::Result<Step<'_>> {
        if self.offset >= self.limit {
            return Ok(Step::End);
        }
        let at = self.fill()?;
        let Ok(frame) = Frame::parse(&self.window[at..]) else {
            return Ok(Step::Bad);
        };
        let offset = self.offset;
        self.offset += frame.bytes as u64;
        Ok(Step::Frame {
            offset,
            frame,
            raw: &self.window[at..at + frame.bytes],
        })
    }

    /// Go to the next sound frame behind the position, or to the limit; whether there is one.
    pub fn resync(&mut self) -> io::Result<bool> {
        while self.offset < self.limit {
            self.offset += 1;
            let at = self.fill()?;
            if Frame::parse(&self.window[at..]).is_ok() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Have the longest frame at the position in the window, unless the limit is nearer; index of the position.
    fn fill(&mut self) -> io::Result<usize> {
        let left = self.limit.saturating_sub(self.offset);
        let wanted = left.min(FRAME_MAX as u64);
        let inside = self.offset >= self.window_at
            && self.offset + wanted <= self.window_at + self.window.len() as u64;
        if !inside {
            // Both fit usize: the window is 1 MiB.
            let bytes = left.min(WINDOW as u64) as usize;
            self.window.resize(bytes, 0);
            self.window_at = self.offset;
            let mut filled = 0;
            while filled < bytes {
                match self
                    .file
                    .read_at(&mut self.window[filled..], self.offset + filled as u64)
                {
                    Ok(0) => break,
                    Ok(count) => filled += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            // A file shorter than its index says reads as bad bytes, never as an endless wait.
            self.window[filled..].fill(0);
        }
        Ok((self.offset - self.window_at) as usize)
    }
}
