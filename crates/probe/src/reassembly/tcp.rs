//! TCP segments put in order, each direction on its own, and cut into SIP messages.
//!
//! ```text
//! segment ─► in order? ─ yes ─► framing ─► message(s)
//!               │ no: held              (SIP by Content-Length, or WebSocket frames)
//!               ▼
//!      the hole is filled, or the other side acknowledged past it (so the tap lost it, not the peer),
//!      or it waited too long: skipped; framing finds the next start line
//! ```
//! What came first stays when segments overlap. A connection whose start was not captured is read from where it is.
//! Bounds: directions, octets held for each and for all; those that never carried a message give way first.

use super::direction::{Give, Half};
use crate::decode::{Flow, Packet, Transport};
use std::collections::{HashMap, VecDeque};

/// A whole message of a stream.
#[derive(Clone, Copy, Debug)]
pub struct StreamMessage<'a> {
    /// When its first octet was captured, nanoseconds since 1970 UTC.
    pub time_ns: i64,
    /// From whom to whom.
    pub flow: Flow,
    /// Outermost VLAN id of the segment that completed it.
    pub vlan: u16,
    /// It came in WebSocket frames.
    pub is_websocket: bool,
    /// Its end was not captured.
    pub is_cut: bool,
    /// The message.
    pub octets: &'a [u8],
}

/// Limits of the streams.
#[derive(Clone, Copy, Debug)]
pub struct TcpLimits {
    /// Directions of connections (default 50,000).
    pub directions: usize,
    /// Octets held for one direction, out of order or not yet a message (default 256 KiB).
    pub direction_octets: usize,
    /// Octets held for all (default 32 MiB).
    pub octets: usize,
    /// How long a hole may stay open without an acknowledgement seen, nanoseconds (default 2 s).
    pub hole_ns: i64,
}

impl Default for TcpLimits {
    fn default() -> Self {
        Self {
            directions: 50_000,
            direction_octets: 256 << 10,
            octets: 32 << 20,
            hole_ns: 2_000_000_000,
        }
    }
}

/// What became of segments.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq, serde::Serialize)]
pub struct TcpCounters {
    /// Messages given on.
    pub messages: u64,
    /// Segments that came early and waited.
    pub out_of_order: u64,
    /// Segments, or parts, seen before.
    pub repeated: u64,
    /// Holes given up: octets that were not captured.
    pub holes: u64,
    /// Directions given up for want of room.
    pub evicted: u64,
    /// Segments dropped for want of room.
    pub dropped: u64,
    /// WebSocket streams given up: compressed or broken.
    pub websocket_unreadable: u64,
}

impl TcpCounters {
    /// Adds what another thread counted.
    pub(crate) const fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.out_of_order += other.out_of_order;
        self.repeated += other.repeated;
        self.holes += other.holes;
        self.evicted += other.evicted;
        self.dropped += other.dropped;
        self.websocket_unreadable += other.websocket_unreadable;
    }
}

const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;
/// Segments that wait in one direction at most.
const MAX_HELD: usize = 512;
/// How long a hole stays open although the receiver has acknowledged past it: taps reorder a little.
const ACKNOWLEDGED_HOLE_NS: i64 = 10_000_000;

/// All directions of all connections.
#[derive(Debug)]
pub struct TcpStreams {
    limits: TcpLimits,
    halves: HashMap<Flow, Half>,
    order: VecDeque<Flow>,
    octets: usize,
    /// Directions in which segments wait: nobody looks for holes when there are none.
    holding: usize,
    counters: TcpCounters,
}

impl Default for TcpStreams {
    fn default() -> Self {
        Self::new(TcpLimits::default())
    }
}

impl TcpStreams {
    /// No streams.
    #[must_use]
    pub fn new(limits: TcpLimits) -> Self {
        Self {
            limits,
            halves: HashMap::new(),
            order: VecDeque::new(),
            octets: 0,
            holding: 0,
            counters: TcpCounters::default(),
        }
    }

    /// What became of segments until now.
    #[must_use]
    pub const fn counters(&self) -> TcpCounters {
        self.counters
    }

    /// Octets held now.
    #[must_use]
    pub const fn octets(&self) -> usize {
        self.octets
    }

    /// Takes a segment; calls `visit` with each message that it made whole.
    pub fn segment(&mut self, packet: &Packet<'_>, visit: &mut impl FnMut(StreamMessage<'_>)) {
        let Transport::Tcp {
            sequence,
            acknowledged,
            flags,
        } = packet.transport
        else {
            return;
        };
        if flags & ACK != 0 && self.holding > 0 {
            self.acknowledge(packet, acknowledged, visit);
        }
        if packet.payload.is_empty() && flags & (SYN | RST) == 0 {
            return;
        }
        if flags & RST != 0 {
            self.forget(&packet.flow);
            return;
        }
        let limits = self.limits;
        let half = self.half(packet.flow);
        let before = (half.octets, !half.held.is_empty());
        let mut counters = TcpCounters::default();
        let mut give = Give {
            flow: packet.flow,
            vlan: packet.vlan,
            counters: &mut counters,
            visit,
        };
        let sequence = if flags & SYN != 0 {
            half.open(sequence)
        } else {
            sequence
        };
        half.take(packet, sequence, &mut give);
        half.skip_old_hole(packet.time_ns, limits.hole_ns, &mut give);
        if half.octets > limits.direction_octets || half.held.len() > MAX_HELD {
            half.skip_hole(&mut give);
        }
        if half.octets > limits.direction_octets {
            half.clear();
            counters.dropped += 1;
        }
        let after = (half.octets, !half.held.is_empty());
        self.account(before, after, &counters);
        if self.octets > self.limits.octets {
            self.forget(&packet.flow);
            self.counters.dropped += 1;
        }
    }

    /// The receiver has got what we have not: the hole is the tap's.
    fn acknowledge(
        &mut self,
        packet: &Packet<'_>,
        acknowledged: u32,
        visit: &mut impl FnMut(StreamMessage<'_>),
    ) {
        let flow = packet.flow.reversed();
        let Some(half) = self.halves.get_mut(&flow) else {
            return;
        };
        let before = (half.octets, !half.held.is_empty());
        let mut counters = TcpCounters::default();
        let mut give = Give {
            flow,
            vlan: packet.vlan,
            counters: &mut counters,
            visit,
        };
        while let (Some(next), Some(first)) = (half.next, half.held.first()) {
            let is_past = acknowledged.wrapping_sub(next) as i32 > 0;
            if !is_past || packet.time_ns.saturating_sub(first.time_ns) < ACKNOWLEDGED_HOLE_NS {
                break;
            }
            half.skip_hole(&mut give);
        }
        let after = (half.octets, !half.held.is_empty());
        self.account(before, after, &counters);
    }

    fn account(&mut self, before: (usize, bool), after: (usize, bool), counters: &TcpCounters) {
        self.octets = self.octets - before.0 + after.0;
        self.holding = self.holding - usize::from(before.1) + usize::from(after.1);
        let total = &mut self.counters;
        total.messages += counters.messages;
        total.out_of_order += counters.out_of_order;
        total.repeated += counters.repeated;
        total.holes += counters.holes;
        total.dropped += counters.dropped;
        total.websocket_unreadable += counters.websocket_unreadable;
    }

    fn forget(&mut self, flow: &Flow) {
        if let Some(half) = self.halves.get_mut(flow) {
            self.octets -= half.octets;
            self.holding -= usize::from(!half.held.is_empty());
            half.reset();
        }
    }

    fn half(&mut self, flow: Flow) -> &mut Half {
        if !self.halves.contains_key(&flow) {
            if self.halves.len() >= self.limits.directions {
                self.evict();
            }
            self.order.push_back(flow);
        }
        let half = self.halves.entry(flow).or_default();
        half.is_used = true;
        half
    }

    /// Second chance for what was used since the last look; a third for what has carried SIP.
    fn evict(&mut self) {
        for chance in 0..64 {
            let Some(flow) = self.order.pop_front() else {
                return;
            };
            let Some(half) = self.halves.get_mut(&flow) else {
                continue;
            };
            let is_spared = (half.is_used && chance < 32) || (half.is_proven && chance < 63);
            if is_spared {
                half.is_used = false;
                self.order.push_back(flow);
                continue;
            }
            self.forget(&flow);
            self.halves.remove(&flow);
            self.counters.evicted += 1;
            return;
        }
    }
}
