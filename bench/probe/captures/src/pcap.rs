//! Captures in memory and on disk: nanosecond pcap.

use std::io::{self, Write};

/// A frame with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shot {
    /// Nanoseconds since 1970 UTC.
    pub time_ns: i64,
    /// What was captured.
    pub data: Vec<u8>,
    /// Length on the wire.
    pub wire_length: u32,
}

impl Shot {
    /// A frame captured whole.
    #[must_use]
    pub fn new(time_ns: i64, data: Vec<u8>) -> Self {
        let wire_length = data.len() as u32;
        Self {
            time_ns,
            data,
            wire_length,
        }
    }
}

/// Link types (LINKTYPE_*).
pub const ETHERNET: u32 = 1;

/// The file's head.
#[must_use]
pub fn header(link: u32) -> Vec<u8> {
    [0xa1b2_3c4d, 0x0004_0002, 0, 0, 262_144, link]
        .iter()
        .flat_map(|word: &u32| word.to_le_bytes())
        .collect()
}

/// A record's head.
#[must_use]
pub fn record_header(time_ns: i64, captured: u32, wire_length: u32) -> [u8; 16] {
    let mut head = [0; 16];
    let seconds = time_ns.div_euclid(1_000_000_000) as u32;
    let nanoseconds = time_ns.rem_euclid(1_000_000_000) as u32;
    for (place, word) in head
        .chunks_exact_mut(4)
        .zip([seconds, nanoseconds, captured, wire_length])
    {
        place.copy_from_slice(&word.to_le_bytes());
    }
    head
}

/// Writes frames in the order of their times.
pub fn write(out: &mut impl Write, link: u32, shots: &mut [Shot]) -> io::Result<()> {
    shots.sort_by_key(|shot| shot.time_ns);
    out.write_all(&header(link))?;
    for shot in shots {
        out.write_all(&record_header(
            shot.time_ns,
            shot.data.len() as u32,
            shot.wire_length,
        ))?;
        out.write_all(&shot.data)?;
    }
    Ok(())
}

/// The same in memory.
#[must_use]
pub fn to_vec(link: u32, shots: &mut [Shot]) -> Vec<u8> {
    let mut out = Vec::new();
    let _ = write(&mut out, link, shots);
    out
}
