//! Capture files: pcap and pcapng, either byte order, any resolution of time, read in large pieces.
//!
//! Large `read` calls into one buffer beat a memory map here: the packets are walked once, in order, right after they
//! were copied into the cache.
//!
//! A file that ends inside a packet (the writer was killed, or still writes) gives what is whole and says so.

use super::SourceError;
use super::pcapng::{self, Section};
use crate::decode::{Frame, LinkType};
use std::io::Read;

/// A piece: large enough for few system calls, small enough for the second-level cache.
const PIECE: usize = 256 << 10;
/// The largest record that a sane writer makes (libpcap's MAXIMUM_SNAPLEN); one that claims more is damage.
const MAX_RECORD: usize = 1 << 20;
const PCAP_HEADER: usize = 24;
const PCAP_RECORD: usize = 16;

/// What a reader of the results should know about the file.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq, serde::Serialize)]
pub struct CaptureNotes {
    /// Octets read, without compression.
    pub octets: u64,
    /// Frames read.
    pub frames: u64,
    /// Frames of a link type that we can't read.
    pub unknown_link: u64,
    /// The file ends inside a record.
    pub is_truncated: bool,
    /// A record contradicts itself: reading stopped there.
    pub is_damaged: bool,
    /// Frames that the capturing program says it lost (pcapng statistics).
    pub dropped_by_capture: u64,
}

/// A capture being read.
pub struct Capture<R> {
    input: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    format: Format,
    notes: CaptureNotes,
}

enum Format {
    Pcap(Pcap),
    Pcapng(Section),
}

#[derive(Clone, Copy)]
struct Pcap {
    is_big_endian: bool,
    ns_per_fraction: i64,
    link: Option<LinkType>,
}

/// What stands at the front of the buffer.
pub(super) enum Record {
    /// More octets are needed: so many in all, if known.
    Short(usize),
    /// Done with so many octets.
    Done(usize),
    /// Contradicts itself.
    Damaged,
}

impl<R: Read> Capture<R> {
    /// Reads the head and sees what it is.
    pub fn open(input: R) -> Result<Self, SourceError> {
        let mut capture = Self {
            input,
            buffer: vec![0; PIECE + MAX_RECORD],
            start: 0,
            end: 0,
            format: Format::Pcapng(Section::default()),
            notes: CaptureNotes::default(),
        };
        while capture.end < PCAP_HEADER && capture.fill()? {}
        let head = &capture.buffer[..capture.end];
        if head.starts_with(&pcapng::SECTION_HEADER) {
            return Ok(capture);
        }
        let Some(pcap) = Pcap::parse(head) else {
            let shown: Vec<String> = head
                .iter()
                .take(4)
                .map(|octet| format!("{octet:02x}"))
                .collect();
            let shown = if shown.is_empty() {
                "nothing (it is empty)".to_owned()
            } else {
                shown.join(" ")
            };
            return Err(SourceError::NotACapture(shown));
        };
        capture.format = Format::Pcap(pcap);
        capture.start = PCAP_HEADER;
        Ok(capture)
    }

    /// What was read until now.
    pub const fn notes(&self) -> &CaptureNotes {
        &self.notes
    }

    /// Reads a piece and gives every whole frame in it; `false` at the end.
    pub fn read(&mut self, visit: &mut impl FnMut(&Frame<'_>)) -> Result<bool, SourceError> {
        let needed = match &mut self.format {
            Format::Pcap(pcap) => {
                let (used, outcome) =
                    pcap.walk(&self.buffer[self.start..self.end], &mut self.notes, visit);
                self.start += used;
                outcome
            }
            Format::Pcapng(section) => {
                let (used, outcome) =
                    section.walk(&self.buffer[self.start..self.end], &mut self.notes, visit);
                self.start += used;
                outcome
            }
        };
        match needed {
            Record::Damaged => {
                self.notes.is_damaged = true;
                Ok(false)
            }
            Record::Short(needed) if needed > MAX_RECORD => {
                self.notes.is_damaged = true;
                Ok(false)
            }
            Record::Short(_) | Record::Done(_) => {
                if self.fill()? {
                    return Ok(true);
                }
                self.notes.is_truncated = self.end > self.start;
                Ok(false)
            }
        }
    }

    /// Moves the rest to the front and reads behind it; `false` at the end of the input.
    fn fill(&mut self) -> Result<bool, SourceError> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let until = (self.end + PIECE).min(self.buffer.len());
        loop {
            match self.input.read(&mut self.buffer[self.end..until]) {
                Ok(count) => {
                    self.end += count;
                    self.notes.octets += count as u64;
                    return Ok(count > 0);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                // A compressed stream that ends inside: what was whole has been given.
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    self.notes.is_truncated = true;
                    return Ok(false);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Pcap {
    fn parse(head: &[u8]) -> Option<Self> {
        let head = head.first_chunk::<PCAP_HEADER>()?;
        let (is_big_endian, ns_per_fraction) = match [head[0], head[1], head[2], head[3]] {
            [0xd4, 0xc3, 0xb2, 0xa1] => (false, 1000),
            [0x4d, 0x3c, 0xb2, 0xa1] => (false, 1),
            [0xa1, 0xb2, 0xc3, 0xd4] => (true, 1000),
            [0xa1, 0xb2, 0x3c, 0x4d] => (true, 1),
            _ => return None,
        };
        let link = word(&head[20..], is_big_endian)? & 0x0fff_ffff; // above: length of the frame check sequence
        Some(Self {
            is_big_endian,
            ns_per_fraction,
            link: LinkType::from_number(link),
        })
    }

    #[inline]
    fn walk(
        &self,
        data: &[u8],
        notes: &mut CaptureNotes,
        visit: &mut impl FnMut(&Frame<'_>),
    ) -> (usize, Record) {
        if self.is_big_endian {
            self.walk_records(data, notes, visit, u32::from_be_bytes)
        } else {
            self.walk_records(data, notes, visit, u32::from_le_bytes)
        }
    }

    #[inline]
    fn walk_records(
        &self,
        data: &[u8],
        notes: &mut CaptureNotes,
        visit: &mut impl FnMut(&Frame<'_>),
        word: impl Fn([u8; 4]) -> u32,
    ) -> (usize, Record) {
        let mut used = 0;
        while let Some((head, rest)) = data[used..].split_first_chunk::<PCAP_RECORD>() {
            let seconds = word([head[0], head[1], head[2], head[3]]);
            let fraction = word([head[4], head[5], head[6], head[7]]);
            let captured = word([head[8], head[9], head[10], head[11]]) as usize;
            let wire_length = word([head[12], head[13], head[14], head[15]]);
            if captured > MAX_RECORD - PCAP_RECORD {
                return (used, Record::Damaged);
            }
            let Some(octets) = rest.get(..captured) else {
                return (used, Record::Short(PCAP_RECORD + captured));
            };
            used += PCAP_RECORD + captured;
            notes.frames += 1;
            let Some(link) = self.link else {
                notes.unknown_link += 1;
                continue;
            };
            let time_ns =
                i64::from(seconds) * 1_000_000_000 + i64::from(fraction) * self.ns_per_fraction;
            visit(&Frame {
                time_ns,
                link,
                data: octets,
                wire_length,
                vlan: 0,
            });
        }
        (used, Record::Short(PCAP_RECORD))
    }
}

/// Four octets in the file's byte order.
pub(super) fn word(data: &[u8], is_big_endian: bool) -> Option<u32> {
    let four = *data.first_chunk::<4>()?;
    Some(if is_big_endian {
        u32::from_be_bytes(four)
    } else {
        u32::from_le_bytes(four)
    })
}
