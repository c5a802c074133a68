//! A frame: the unit that is either wholly there or not at all. Pure bytes; the same in stage and segment.
//!
//! ```text
//! offset size  little-endian
//!  0     4     crc32c of everything behind it, to the frame's end
//!  4     4     octets of the body, at most BODY_MAX
//!  8     8     sequence of the first record (kind lost: the next record's)
//! 16     8     last sequence known to be durable when the frame was made
//! 24     4     number of records (kind lost: 0)
//! 28     4     kind: 1 events, 2 lost
//! 32     n     body: events: for each record 2 octets length, then the record
//!                    lost: 8 octets count, 8 octets time of the first, 8 octets of the last lost event (µs)
//! ```
//! Fixed by `tests::frame_bytes_never_change`. The durable sequence lets recovery tell a power cut (bad bytes
//! that nobody promised) from a damaged disk (bad bytes that a later frame says were durable).
mod write;

pub use write::FrameWriter;

/// Octets before the body.
pub const HEADER: usize = 32;
/// Longest body.
pub const BODY_MAX: usize = 256 << 10;
/// Longest frame.
pub const FRAME_MAX: usize = HEADER + BODY_MAX;
/// Most records in a frame.
pub const RECORDS_MAX: u32 = 4096;

const KIND_EVENTS: u32 = 1;
const KIND_LOST: u32 = 2;
const LOST_BODY: usize = 24;

/// A frame read in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Sequence of the first record, or for lost events of the next record.
    pub first: u64,
    /// Last sequence known to be durable when it was made.
    pub durable: u64,
    /// What it holds.
    pub content: Content<'a>,
    /// Octets of the whole frame.
    pub bytes: usize,
}

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content<'a> {
    /// Events, as [`Records`].
    Events(Records<'a>),
    /// Events that could not be kept.
    Lost {
        /// How many.
        count: u64,
        /// Time of the first, µs since 1970.
        from_us: i64,
        /// Time of the last.
        to_us: i64,
    },
}

/// The records of a frame, checked to be well formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Records<'a> {
    count: u32,
    rest: &'a [u8],
}

impl<'a> Iterator for Records<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.rest.split_first_chunk::<2>()?;
        let (record, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        self.rest = rest;
        self.count = self.count.saturating_sub(1);
        Some(record)
    }
}

/// Why bytes are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The frame would go on beyond the bytes.
    #[error("frame is cut off")]
    Incomplete,
    /// Header or body make no sense.
    #[error("not a frame")]
    Malformed,
    /// The checksum is wrong.
    #[error("frame has a wrong checksum")]
    Checksum,
}

impl<'a> Frame<'a> {
    /// The frame at the start of `bytes`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else {
            return Err(FrameError::Incomplete);
        };
        let body_bytes = word(header, 4) as usize;
        let (count, kind) = (word(header, 24), word(header, 28));
        let first = double(header, 8);
        let plausible = match kind {
            KIND_EVENTS => count > 0 && count <= RECORDS_MAX && body_bytes >= 2 * count as usize,
            KIND_LOST => count == 0 && body_bytes == LOST_BODY,
            _ => false,
        };
        if !plausible || body_bytes > BODY_MAX || first == 0 || first > u64::MAX / 2 {
            return Err(FrameError::Malformed);
        }
        let Some(body) = rest.get(..body_bytes) else {
            return Err(FrameError::Incomplete);
        };
        if checksum(&bytes[4..HEADER + body_bytes]) != word(header, 0) {
            return Err(FrameError::Checksum);
        }
        let content = if kind == KIND_EVENTS {
            Content::Events(check_records(count, body)?)
        } else {
            Content::Lost {
                count: double(body, 0),
                from_us: double(body, 8).cast_signed(),
                to_us: double(body, 16).cast_signed(),
            }
        };
        Ok(Self {
            first,
            durable: double(header, 16),
            content,
            bytes: HEADER + body_bytes,
        })
    }

    /// Sequence of the last record; `first - 1` when there are none.
    pub fn last(&self) -> u64 {
        match self.content {
            Content::Events(records) => self.first + u64::from(records.count) - 1,
            Content::Lost { .. } => self.first - 1,
        }
    }
}

fn check_records(count: u32, body: &[u8]) -> Result<Records<'_>, FrameError> {
    let records = Records { count, rest: body };
    let mut walk = records;
    if walk.by_ref().count() != count as usize || !walk.rest.is_empty() {
        return Err(FrameError::Malformed);
    }
    Ok(records)
}

fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

fn word(bytes: &[u8], offset: usize) -> u32 {
    let octets = bytes
        .get(offset..)
        .and_then(|rest| rest.first_chunk())
        .copied();
    u32::from_le_bytes(octets.unwrap_or_default())
}

fn double(bytes: &[u8], offset: usize) -> u64 {
    let octets = bytes
        .get(offset..)
        .and_then(|rest| rest.first_chunk())
        .copied();
    u64::from_le_bytes(octets.unwrap_or_default())
}

#[cfg(test)]
mod tests;
