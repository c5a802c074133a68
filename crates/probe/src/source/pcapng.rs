//! pcapng blocks (draft-ietf-opsawg-pcapng): a block tells its length twice, so what is not known is skipped.
//!
//! ```text
//! section header (byte order) ─► interface descriptions (link type, unit of time) ─► packets, statistics, others
//! ```

use super::capture::{CaptureNotes, Record, word};
use crate::decode::{Frame, LinkType};

/// Type of a section header block: the same in either byte order.
pub const SECTION_HEADER: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const INTERFACE: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;
const OPTION_RESOLUTION: u16 = 9;
const OPTION_OFFSET: u16 = 14;
const OPTION_DROPPED_BY_INTERFACE: u16 = 5;
const OPTION_DROPPED_BY_SYSTEM: u16 = 7;
/// More interfaces than this in one section is nothing but an attack on memory.
const MAX_INTERFACES: usize = 65_536;
/// A block that holds no packet may be large (secrets, names); it is passed over without being held.
const MAX_HELD_BLOCK: usize = 512 << 10;

/// State of the section being read.
#[derive(Default)]
pub struct Section {
    is_big_endian: bool,
    interfaces: Vec<Interface>,
    /// Octets of a large block that are still to be passed over.
    skip: u64,
    last_ns: i64,
}

#[derive(Clone, Copy)]
struct Interface {
    link: Option<LinkType>,
    snap_length: u32,
    unit: Unit,
    offset_s: i64,
    /// Statistics give totals: the last one counts.
    dropped: u64,
}

#[derive(Clone, Copy)]
enum Unit {
    /// Nanoseconds a unit.
    Nanoseconds(i64),
    /// Units a second.
    Rate(u128),
}

impl Section {
    pub fn walk(
        &mut self,
        data: &[u8],
        notes: &mut CaptureNotes,
        visit: &mut impl FnMut(&Frame<'_>),
    ) -> (usize, Record) {
        let mut used = 0;
        loop {
            if self.skip > 0 {
                let step =
                    (data.len() - used).min(usize::try_from(self.skip).unwrap_or(usize::MAX));
                self.skip -= step as u64;
                used += step;
                if self.skip > 0 {
                    return (used, Record::Short(1));
                }
            }
            match self.block(&data[used..], notes, visit) {
                Record::Done(length) => used += length,
                other => return (used, other),
            }
        }
    }

    fn block(
        &mut self,
        data: &[u8],
        notes: &mut CaptureNotes,
        visit: &mut impl FnMut(&Frame<'_>),
    ) -> Record {
        let Some(head) = data.first_chunk::<12>() else {
            return Record::Short(12);
        };
        if head.starts_with(&SECTION_HEADER) {
            match (word(&head[8..], true), word(&head[8..], false)) {
                (Some(BYTE_ORDER), _) => self.is_big_endian = true,
                (_, Some(BYTE_ORDER)) => self.is_big_endian = false,
                _ => return Record::Damaged,
            }
            self.interfaces.clear();
        }
        let (Some(kind), Some(length)) = (self.word(head), self.word(&head[4..])) else {
            return Record::Damaged;
        };
        let length = length as usize;
        if length < 12 || !length.is_multiple_of(4) {
            return Record::Damaged;
        }
        let is_packet = matches!(kind, ENHANCED_PACKET | OBSOLETE_PACKET | SIMPLE_PACKET);
        if length > MAX_HELD_BLOCK && !is_packet {
            self.skip = length as u64;
            return Record::Done(0);
        }
        let Some(block) = data.get(..length) else {
            return Record::Short(length);
        };
        let body = &block[8..length - 4];
        let is_sound = match kind {
            INTERFACE => self.interface(body),
            ENHANCED_PACKET => self.enhanced_packet(body, notes, visit),
            OBSOLETE_PACKET => self.obsolete_packet(body, notes, visit),
            SIMPLE_PACKET => self.simple_packet(body, notes, visit),
            STATISTICS => self.statistics(body, notes),
            _ => true,
        };
        if is_sound {
            Record::Done(length)
        } else {
            Record::Damaged
        }
    }

    fn word(&self, data: &[u8]) -> Option<u32> {
        word(data, self.is_big_endian)
    }

    fn half(&self, data: &[u8]) -> Option<u16> {
        let two = *data.first_chunk::<2>()?;
        Some(if self.is_big_endian {
            u16::from_be_bytes(two)
        } else {
            u16::from_le_bytes(two)
        })
    }

    /// Option code and value, one after the other.
    fn options<'a>(&self, mut data: &'a [u8]) -> impl Iterator<Item = (u16, &'a [u8])> {
        std::iter::from_fn(move || {
            let (code, length) = (self.half(data)?, usize::from(self.half(data.get(2..)?)?));
            let value = data.get(4..4 + length)?;
            data = data
                .get(4 + length.next_multiple_of(4)..)
                .unwrap_or_default();
            (code != 0).then_some((code, value))
        })
    }

    fn long(&self, data: &[u8]) -> Option<u64> {
        let eight = *data.first_chunk::<8>()?;
        Some(if self.is_big_endian {
            u64::from_be_bytes(eight)
        } else {
            u64::from_le_bytes(eight)
        })
    }

    fn interface(&mut self, body: &[u8]) -> bool {
        let (Some(link), Some(snap_length)) = (
            self.half(body),
            body.get(4..).and_then(|rest| self.word(rest)),
        ) else {
            return false;
        };
        let mut interface = Interface {
            link: LinkType::from_number(u32::from(link)),
            snap_length,
            unit: Unit::Nanoseconds(1000),
            offset_s: 0,
            dropped: 0,
        };
        for (code, value) in self.options(body.get(8..).unwrap_or_default()) {
            match (code, value) {
                (OPTION_RESOLUTION, [resolution, ..]) => {
                    interface.unit = Unit::of_resolution(*resolution)
                }
                (OPTION_OFFSET, value) => {
                    interface.offset_s = self.long(value).unwrap_or_default() as i64
                }
                _ => {}
            }
        }
        if self.interfaces.len() < MAX_INTERFACES {
            self.interfaces.push(interface);
        }
        true
    }

    fn enhanced_packet(
        &mut self,
        body: &[u8],
        notes: &mut CaptureNotes,
        visit: &mut impl FnMut(&Frame<'_>),
    ) -> bool {
        let Some((head, rest)) = body.split_first_chunk::<20>() else {
            return false;
        };
        let words = [0, 4, 8, 12, 16].map(|at| self.word(&head[at..]).unwrap_or_default());
        let [interface, high, low, captured, wire_length] = words;
        let stamp = u64::from(high) << 32 | u64::from(low);
        self.packet(
            interface,
            Some(stamp),
            captured,
            wire_length,
            rest,
            notes,
            visit,
        )
    }

    fn obsolete_packet(
        &mut self,
        body: &[u8],
        notes: &mut CaptureNotes,
        visit: &mut impl FnMut(&Frame<'_>),
    ) -> bool {
        let Some((head, rest)) = body.split_first_chunk::<20>() else {
            return false;
        };
        let interface = u32::from(self.half(head).unwrap_or_default());
        let [high, low, captured, wire_length] =
            [4, 8, 12, 16].map(|at| self.word(&head[at..]).unwrap_or_default());
        let stamp = u64::from(high) << 32 | u64::from(low);
        self.packet(
            interface,
            Some(stamp),
            captured,
            wire_length,
            rest,
            notes,
            visit,
        )
    }

    /// Has neither interface nor time: the first interface, the time of the packet before.
    fn simple_packet(
        &mut self,
        body: &[u8],
        notes: &mut CaptureNotes,
        visit: &mut impl FnMut(&Frame<'_>),
    ) -> bool {
        let Some(wire_length) = self.word(body) else {
            return false;
        };
        let rest = &body[4..];
        let snap_length = self
            .interfaces
            .first()
            .map_or(0, |interface| interface.snap_length);
        let limit = if snap_length == 0 {
            u32::MAX
        } else {
            snap_length
        };
        let captured = wire_length.min(limit).min(rest.len() as u32);
        self.packet(0, None, captured, wire_length, rest, notes, visit)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the fields of three block types, side by side"
    )]
    fn packet(
        &mut self,
        interface: u32,
        stamp: Option<u64>,
        captured: u32,
        wire_length: u32,
        rest: &[u8],
        notes: &mut CaptureNotes,
        visit: &mut impl FnMut(&Frame<'_>),
    ) -> bool {
        let Some(data) = rest.get(..captured as usize) else {
            return false;
        };
        let Some(interface) = self.interfaces.get(interface as usize) else {
            return false;
        };
        notes.frames += 1;
        let time_ns = stamp.map_or(self.last_ns, |stamp| interface.time_ns(stamp));
        self.last_ns = time_ns;
        match interface.link {
            Some(link) => visit(&Frame {
                time_ns,
                link,
                data,
                wire_length,
                vlan: 0,
            }),
            None => notes.unknown_link += 1,
        }
        true
    }

    fn statistics(&mut self, body: &[u8], notes: &mut CaptureNotes) -> bool {
        let Some(number) = self.word(body) else {
            return false;
        };
        let dropped: u64 = self
            .options(body.get(12..).unwrap_or_default())
            .filter(|(code, _)| {
                matches!(
                    *code,
                    OPTION_DROPPED_BY_INTERFACE | OPTION_DROPPED_BY_SYSTEM
                )
            })
            .filter_map(|(_, value)| self.long(value))
            .fold(0, u64::saturating_add);
        if let Some(interface) = self.interfaces.get_mut(number as usize) {
            notes.dropped_by_capture = notes
                .dropped_by_capture
                .saturating_sub(interface.dropped)
                .saturating_add(dropped);
            interface.dropped = dropped;
        }
        true
    }
}

impl Unit {
    /// A power of ten, or with the highest bit set of two.
    const fn of_resolution(resolution: u8) -> Self {
        let exponent = (resolution & 0x7f) as u32;
        if resolution & 0x80 == 0 {
            match exponent {
                0..=9 => Self::Nanoseconds(10_i64.pow(9 - exponent)),
                10..=30 => Self::Rate(10_u128.pow(exponent)),
                _ => Self::Rate(10_u128.pow(30)),
            }
        } else {
            Self::Rate(1_u128 << if exponent > 90 { 90 } else { exponent })
        }
    }
}

impl Interface {
    fn time_ns(&self, stamp: u64) -> i64 {
        let offset = self.offset_s.saturating_mul(1_000_000_000);
        let since = match self.unit {
            Unit::Nanoseconds(unit) => (stamp as i64).saturating_mul(unit),
            Unit::Rate(rate) => {
                i64::try_from(u128::from(stamp) * 1_000_000_000 / rate).unwrap_or(i64::MAX)
            }
        };
        since.saturating_add(offset)
    }
}
