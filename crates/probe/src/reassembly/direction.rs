//! One direction of a TCP connection: what is in order, what waits for a hole to be filled, what is cut off as a message.

use super::framing::{self, Front};
use super::tcp::{StreamMessage, TcpCounters};
use super::websocket::{Step, Websocket};
use crate::decode::{Flow, Packet};
use std::collections::VecDeque;

/// A sequence number further away than this is another connection on the same ports.
const MAX_WINDOW: u32 = 1 << 24;

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Half {
    pub(super) next: Option<u32>,
    pub(super) held: Vec<Held>,
    /// In order, not yet a message.
    pending: Vec<u8>,
    /// Where in `pending` which segment begins, and when that came.
    arrivals: VecDeque<(usize, i64)>,
    websocket: Option<Box<Websocket>>,
    /// Has given messages: goes last when room is short.
    pub(super) is_proven: bool,
    pub(super) is_used: bool,
    pub(super) octets: usize,
}

#[derive(Debug)]
pub(super) struct Held {
    sequence: u32,
    pub(super) time_ns: i64,
    missing: u32,
    data: Box<[u8]>,
}

/// Where messages go, with what they are given.
pub(super) struct Give<'a, V> {
    pub(super) flow: Flow,
    pub(super) vlan: u16,
    pub(super) counters: &'a mut TcpCounters,
    pub(super) visit: &'a mut V,
}

impl<V: FnMut(StreamMessage<'_>)> Give<'_, V> {
    fn message(&mut self, time_ns: i64, octets: &[u8], is_websocket: bool, is_cut: bool) {
        self.counters.messages += 1;
        let (flow, vlan) = (self.flow, self.vlan);
        (self.visit)(StreamMessage {
            time_ns,
            flow,
            vlan,
            is_websocket,
            is_cut,
            octets,
        });
    }
}

impl Half {
    /// A new connection: the first octet has the number behind the SYN.
    pub(super) fn open(&mut self, sequence: u32) -> u32 {
        let first = sequence.wrapping_add(1);
        // A repeated SYN of a connection that has begun must not make its data new.
        if self
            .next
            .is_none_or(|next| next.wrapping_sub(first) > MAX_WINDOW)
        {
            self.clear();
            self.websocket = None;
            self.next = Some(first);
        }
        first
    }

    pub(super) fn clear(&mut self) {
        self.held = Vec::new();
        self.pending = Vec::new();
        self.arrivals.clear();
        self.octets = 0;
    }

    /// Forgets all but what it has proven to be.
    pub(super) fn reset(&mut self) {
        *self = Self {
            is_proven: self.is_proven,
            ..Self::default()
        };
    }

    pub(super) fn take<V: FnMut(StreamMessage<'_>)>(
        &mut self,
        packet: &Packet<'_>,
        sequence: u32,
        give: &mut Give<'_, V>,
    ) {
        if packet.payload.is_empty() {
            return;
        }
        let next = *self.next.get_or_insert(sequence);
        let ahead = sequence.wrapping_sub(next) as i32;
        if ahead.unsigned_abs() > MAX_WINDOW {
            self.clear();
            self.websocket = None;
            self.next = Some(sequence);
        } else if ahead > 0 {
            give.counters.out_of_order += 1;
            self.hold(packet, sequence, next);
            return;
        }
        self.advance(
            packet.payload,
            sequence,
            packet.missing,
            packet.time_ns,
            give,
        );
        self.release(give);
    }

    fn hold(&mut self, packet: &Packet<'_>, sequence: u32, next: u32) {
        let distance = sequence.wrapping_sub(next);
        let place = self
            .held
            .partition_point(|held| held.sequence.wrapping_sub(next) <= distance);
        self.octets += packet.payload.len();
        let data = packet.payload.into();
        self.held.insert(
            place,
            Held {
                sequence,
                time_ns: packet.time_ns,
                missing: packet.missing,
                data,
            },
        );
    }

    /// Gives on what is in order now.
    fn release<V: FnMut(StreamMessage<'_>)>(&mut self, give: &mut Give<'_, V>) {
        while let (Some(next), Some(first)) = (self.next, self.held.first()) {
            if first.sequence.wrapping_sub(next) as i32 > 0 {
                return;
            }
            let held = self.held.remove(0);
            self.octets -= held.data.len();
            self.advance(&held.data, held.sequence, held.missing, held.time_ns, give);
        }
    }

    /// Takes the new part of a segment that begins at or before the next octet.
    fn advance<V: FnMut(StreamMessage<'_>)>(
        &mut self,
        data: &[u8],
        sequence: u32,
        missing: u32,
        time_ns: i64,
        give: &mut Give<'_, V>,
    ) {
        let next = self.next.unwrap_or(sequence);
        let known = next.wrapping_sub(sequence) as usize;
        give.counters.repeated += u64::from(known > 0);
        let end = sequence
            .wrapping_add(data.len() as u32)
            .wrapping_add(missing);
        if (end.wrapping_sub(next) as i32) > 0 {
            self.next = Some(end);
            self.feed(data.get(known..).unwrap_or_default(), time_ns, give);
            if missing > 0 {
                self.interrupt(give);
            }
        }
    }

    pub(super) fn skip_old_hole<V: FnMut(StreamMessage<'_>)>(
        &mut self,
        now_ns: i64,
        hole_ns: i64,
        give: &mut Give<'_, V>,
    ) {
        while let Some(first) = self.held.first()
            && now_ns.saturating_sub(first.time_ns) > hole_ns
        {
            self.skip_hole(give);
        }
    }

    /// Goes on behind the hole.
    pub(super) fn skip_hole<V: FnMut(StreamMessage<'_>)>(&mut self, give: &mut Give<'_, V>) {
        let Some(first) = self.held.first() else {
            return;
        };
        self.next = Some(first.sequence);
        self.interrupt(give);
        self.release(give);
    }

    /// What follows does not belong to what is pending: a message that has begun is given as far as it goes.
    fn interrupt<V: FnMut(StreamMessage<'_>)>(&mut self, give: &mut Give<'_, V>) {
        give.counters.holes += 1;
        if self.websocket.is_none() && framing::is_sip(&self.pending) {
            let time_ns = self.arrivals.front().map_or(0, |(_, time)| *time);
            give.message(time_ns, &self.pending, false, true);
        }
        self.octets -= self.pending.len();
        self.pending = Vec::new();
        self.arrivals.clear();
    }

    /// Octets in order: messages are cut off the front, what is left stays pending.
    fn feed<V: FnMut(StreamMessage<'_>)>(
        &mut self,
        data: &[u8],
        time_ns: i64,
        give: &mut Give<'_, V>,
    ) {
        if self.pending.is_empty() {
            let used = self.cut(data, &|_| time_ns, give);
            if used < data.len() {
                self.pending = data[used..].to_vec();
                self.arrivals.push_back((0, time_ns));
                self.octets += self.pending.len();
            }
            return;
        }
        self.arrivals.push_back((self.pending.len(), time_ns));
        self.octets += data.len();
        self.pending.extend_from_slice(data);
        let pending = std::mem::take(&mut self.pending);
        let arrivals = std::mem::take(&mut self.arrivals);
        let when = |at: usize| {
            let behind = arrivals.partition_point(|(start, _)| *start <= at);
            arrivals
                .get(behind.wrapping_sub(1))
                .map_or(time_ns, |(_, time)| *time)
        };
        let used = self.cut(&pending, &when, give);
        self.pending = pending;
        self.arrivals = arrivals;
        self.consume(used);
    }

    fn consume(&mut self, used: usize) {
        self.octets -= used;
        if used == self.pending.len() {
            self.pending = Vec::new();
            self.arrivals.clear();
            return;
        }
        self.pending.drain(..used);
        while self
            .arrivals
            .get(1)
            .is_some_and(|(start, _)| *start <= used)
        {
            self.arrivals.pop_front();
        }
        for (start, _) in &mut self.arrivals {
            *start = start.saturating_sub(used);
        }
    }

    /// Messages at the front of `data`; how many octets are done with.
    fn cut<V: FnMut(StreamMessage<'_>)>(
        &mut self,
        data: &[u8],
        when: &dyn Fn(usize) -> i64,
        give: &mut Give<'_, V>,
    ) -> usize {
        let mut used = 0;
        while used < data.len() {
            let rest = &data[used..];
            if self.websocket.is_none() {
                if let Some(length) = framing::upgrade_length(rest) {
                    self.websocket = Some(Box::default());
                    used += length;
                    continue;
                }
                if !self.is_proven && Websocket::is_frame_of_sip(rest) {
                    self.websocket = Some(Box::default());
                }
            }
            let done = match &mut self.websocket {
                Some(socket) => match socket.step(rest) {
                    Step::Message(length) => {
                        give.message(when(used), socket.message(), true, false);
                        self.is_proven = true;
                        length
                    }
                    Step::Frame(length) => length,
                    Step::Wait => return used,
                    Step::Unreadable => {
                        give.counters.websocket_unreadable += 1;
                        self.websocket = None;
                        return data.len();
                    }
                },
                None => match framing::front(rest) {
                    Front::Message { skip, length } => {
                        give.message(when(used + skip), &rest[skip..skip + length], false, false);
                        self.is_proven = true;
                        skip + length
                    }
                    Front::Wait { .. } if is_begun_upgrade(rest) => return used,
                    Front::Wait { skip } => return used + skip,
                },
            };
            used += done;
        }
        used
    }
}

/// The first part of an HTTP upgrade whose end has not come yet.
fn is_begun_upgrade(data: &[u8]) -> bool {
    data.len() < 8192 && (data.starts_with(b"GET ") || data.starts_with(b"HTTP/1.1 101"))
}
