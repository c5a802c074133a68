//! IP fragments (RFC 791, 8200): kept until the datagram is whole.
//!
//! Overlap: what came first stays; an IPv6 datagram whose fragments overlap with other octets is dropped (RFC 5722).
//! Bounds: datagrams and octets in all, and thirty seconds of capture time; the oldest goes first.

use crate::decode::Address;
use std::collections::{HashMap, VecDeque};

/// What belongs together.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FragmentKey {
    /// Sender.
    pub source: Address,
    /// Receiver.
    pub destination: Address,
    /// Identification, 16 bits of IPv4 or 32 of IPv6.
    pub identification: u32,
    /// The protocol carried.
    pub protocol: u8,
}

/// One fragment.
#[derive(Clone, Copy, Debug)]
pub struct Fragment<'a> {
    /// Where its data stands in the datagram, octets.
    pub offset: usize,
    /// No more follow behind it.
    pub is_last: bool,
    /// The data.
    pub data: &'a [u8],
    /// The capture has not the whole of it: such a datagram can't be made whole.
    pub is_cut: bool,
}

/// A datagram's payload, whole again.
#[derive(Debug, PartialEq, Eq)]
pub struct Whole {
    /// When its first fragment came, nanoseconds.
    pub first_ns: i64,
    /// The payload.
    pub data: Vec<u8>,
}

/// What became of fragments.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FragmentCounters {
    /// Fragments seen.
    pub fragments: u64,
    /// Datagrams made whole.
    pub reassembled: u64,
    /// Datagrams given up because their rest did not come in time.
    pub timed_out: u64,
    /// Datagrams given up for want of room.
    pub evicted: u64,
    /// Fragments refused: cut, past the largest datagram, or contradicting others.
    pub refused: u64,
}

impl FragmentCounters {
    /// Adds what another thread counted.
    pub(crate) const fn add(&mut self, other: &Self) {
        self.fragments += other.fragments;
        self.reassembled += other.reassembled;
        self.timed_out += other.timed_out;
        self.evicted += other.evicted;
        self.refused += other.refused;
    }
}

/// Limits of the fragments that wait.
#[derive(Clone, Copy, Debug)]
pub struct FragmentLimits {
    /// Datagrams (default 4,096).
    pub datagrams: usize,
    /// Octets of all (default 16 MiB).
    pub octets: usize,
    /// Nanoseconds of capture time (default 30 s: what Linux gives).
    pub age_ns: i64,
}

impl Default for FragmentLimits {
    fn default() -> Self {
        Self {
            datagrams: 4096,
            octets: 16 << 20,
            age_ns: 30_000_000_000,
        }
    }
}

/// The largest IP datagram.
const MAX_DATAGRAM: usize = 65_535;
/// Pieces of one datagram: the smallest fragment of a sane path carries hundreds of octets.
const MAX_PIECES: usize = 1024;

/// Datagrams that wait for their rest.
#[derive(Debug)]
pub struct Fragments {
    limits: FragmentLimits,
    waiting: HashMap<FragmentKey, Partial>,
    /// In order of arrival; an entry is stale when its number is not the datagram's any more.
    order: VecDeque<(FragmentKey, u64)>,
    octets: usize,
    number: u64,
    counters: FragmentCounters,
}

#[derive(Debug)]
struct Partial {
    number: u64,
    first_ns: i64,
    length: Option<usize>,
    pieces: Vec<(usize, Box<[u8]>)>,
    octets: usize,
}

impl Default for Fragments {
    fn default() -> Self {
        Self::new(FragmentLimits::default())
    }
}

impl Fragments {
    /// An empty table.
    #[must_use]
    pub fn new(limits: FragmentLimits) -> Self {
        Self {
            limits,
            waiting: HashMap::new(),
            order: VecDeque::new(),
            octets: 0,
            number: 0,
            counters: FragmentCounters::default(),
        }
    }

    /// What became of fragments until now.
    #[must_use]
    pub const fn counters(&self) -> FragmentCounters {
        self.counters
    }

    /// Datagrams that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes a fragment; the datagram's payload when this made it whole.
    pub fn add(&mut self, key: FragmentKey, fragment: &Fragment<'_>, now_ns: i64) -> Option<Whole> {
        self.counters.fragments += 1;
        self.expire(now_ns);
        let end = fragment.offset + fragment.data.len();
        let is_unaligned = !fragment.is_last && !fragment.data.len().is_multiple_of(8);
        if fragment.is_cut
            || end > MAX_DATAGRAM
            || is_unaligned
            || (fragment.data.is_empty() && !fragment.is_last)
        {
            self.counters.refused += 1;
            return None;
        }
        self.make_room(fragment.data.len());
        let number = self.number;
        let partial = self.waiting.entry(key).or_insert_with(|| Partial {
            number,
            first_ns: now_ns,
            length: None,
            pieces: Vec::new(),
            octets: 0,
        });
        if partial.number == number {
            self.order.push_back((key, number));
            self.number += 1;
        }
        let before = partial.octets;
        let is_sound = partial.insert(fragment, end);
        self.octets += partial.octets - before;
        if !is_sound {
            self.counters.refused += 1;
            self.drop_datagram(&key);
            return None;
        }
        let whole = Whole {
            first_ns: partial.first_ns,
            data: partial.whole()?,
        };
        self.drop_datagram(&key);
        self.counters.reassembled += 1;
        Some(whole)
    }

    fn drop_datagram(&mut self, key: &FragmentKey) {
        if let Some(partial) = self.waiting.remove(key) {
            self.octets -= partial.octets;
        }
    }

    fn expire(&mut self, now_ns: i64) {
        while let Some((key, number)) = self.order.front().copied() {
            match self.waiting.get(&key) {
                Some(partial) if partial.number == number => {
                    if now_ns.saturating_sub(partial.first_ns) < self.limits.age_ns {
                        return;
                    }
                    self.drop_datagram(&key);
                    self.counters.timed_out += 1;
                }
                _ => {}
            }
            self.order.pop_front();
        }
    }

    fn make_room(&mut self, octets: usize) {
        while self.waiting.len() >= self.limits.datagrams
            || self.octets + octets > self.limits.octets
        {
            let Some((key, number)) = self.order.pop_front() else {
                return;
            };
            if self
                .waiting
                .get(&key)
                .is_some_and(|partial| partial.number == number)
            {
                self.drop_datagram(&key);
                self.counters.evicted += 1;
            }
        }
    }
}

impl Partial {
    /// Puts a piece in its place; `false` when it contradicts what is known.
    fn insert(&mut self, fragment: &Fragment<'_>, end: usize) -> bool {
        if fragment.is_last && self.length.replace(end).is_some_and(|known| known != end) {
            return false;
        }
        let highest = self
            .pieces
            .last()
            .map_or(0, |(offset, data)| offset + data.len())
            .max(end);
        if self.length.is_some_and(|length| highest > length) || self.pieces.len() >= MAX_PIECES {
            return false;
        }
        // What is there already is kept; only what lies in the gaps between is new.
        let mut at = fragment.offset;
        let mut index = 0;
        while at < end && index < self.pieces.len() {
            let (offset, length) = (self.pieces[index].0, self.pieces[index].1.len());
            if offset > at {
                let until = offset.min(end);
                self.put(
                    index,
                    at,
                    &fragment.data[at - fragment.offset..until - fragment.offset],
                );
                index += 1;
                at = until;
            }
            at = at.max((offset + length).min(end.max(at)));
            index += 1;
        }
        if at < end {
            self.put(
                self.pieces.len(),
                at,
                &fragment.data[at - fragment.offset..],
            );
        }
        true
    }

    fn put(&mut self, index: usize, offset: usize, data: &[u8]) {
        self.octets += data.len();
        self.pieces.insert(index, (offset, data.into()));
    }

    fn whole(&self) -> Option<Vec<u8>> {
        let length = self.length?;
        if self.octets != length {
            return None;
        }
        let mut whole = Vec::with_capacity(length);
        for (offset, data) in &self.pieces {
            if *offset != whole.len() {
                return None;
            }
            whole.extend_from_slice(data);
        }
        Some(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(identification: u32) -> FragmentKey {
        FragmentKey {
            source: Address::v4([10, 0, 0, 1]),
            destination: Address::v4([10, 0, 0, 2]),
            identification,
            protocol: 17,
        }
    }

    fn piece(offset: usize, data: &[u8], is_last: bool) -> Fragment<'_> {
        Fragment {
            offset,
            is_last,
            data,
            is_cut: false,
        }
    }

    #[test]
    fn what_came_first_stays_when_fragments_overlap() {
        let mut table = Fragments::default();
        assert_eq!(table.add(key(1), &piece(8, &[2; 16], false), 0), None);
        assert_eq!(table.add(key(1), &piece(0, &[1; 16], false), 0), None);
        let whole = table
            .add(key(1), &piece(16, &[3; 12], true), 0)
            .unwrap()
            .data;
        assert_eq!(whole, [[1; 8].as_slice(), &[2; 16], &[3; 4]].concat());
        assert_eq!((table.waiting(), table.octets), (0, 0));
    }

    #[test]
    fn holds_no_more_than_it_may_and_counts_what_went() {
        let limits = FragmentLimits {
            datagrams: 10,
            octets: 1 << 20,
            age_ns: 1000,
        };
        let mut table = Fragments::new(limits);
        for identification in 0..100 {
            table.add(key(identification), &piece(0, &[0; 64], false), 0);
        }
        assert_eq!((table.waiting(), table.counters().evicted), (10, 90));
        table.add(key(200), &piece(0, &[0; 64], false), 5000);
        assert_eq!((table.waiting(), table.counters().timed_out), (1, 10));
    }

    #[test]
    fn refuses_a_datagram_larger_than_ip_allows() {
        let mut table = Fragments::default();
        assert_eq!(table.add(key(1), &piece(65_528, &[0; 100], true), 0), None);
        assert_eq!(table.counters().refused, 1);
    }

    proptest! {
        #[test]
        fn makes_whole_in_any_order_with_any_repetition(
            data in prop::collection::vec(any::<u8>(), 9..4000),
            size in 1_usize..60,
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..400),
        ) {
            let chunk = size * 8;
            let pieces: Vec<_> = data.chunks(chunk).enumerate().map(|(index, part)| {
                piece(index * chunk, part, (index + 1) * chunk >= data.len())
            }).collect();
            let mut table = Fragments::default();
            let mut whole = None;
            for index in order.iter().map(|index| index.index(pieces.len())).chain(0..pieces.len()) {
                if let Some(made) = table.add(key(7), &pieces[index], 0) {
                    whole = Some(made);
                    break;
                }
            }
            prop_assert_eq!(whole.map(|whole| whole.data), Some(data));
        }

        #[test]
        fn never_panics(parts in prop::collection::vec((0_usize..70_000, 0_usize..3000, any::<bool>(), 0_u32..3), 0..200)) {
            let mut table = Fragments::new(FragmentLimits { datagrams: 2, octets: 10_000, age_ns: 10 });
            let data = [7; 3000];
            for (time, (offset, length, is_last, id)) in parts.iter().enumerate() {
                table.add(key(*id), &piece(offset & !7, &data[..*length], *is_last), time as i64);
                prop_assert!(table.octets <= 10_000 + 3000 && table.waiting() <= 2);
            }
        }
    }
}
