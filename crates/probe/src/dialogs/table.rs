//! Holds the calls: found by Call-ID and tags, given up by time or for lack of room.
use std::collections::VecDeque;

use hashbrown::HashTable;

use super::call::Call;
use super::config::DialogsConfig;
use super::incoming::Incoming;
use super::wheel::Wheel;
use crate::record::{CallKey, Side};

/// Octets of texts held at most for each call allowed, on average; a flood of long Call-IDs must not take more.
const TEXT_SHARE: usize = 512;

#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: u64,
    slot: u32,
}

/// Why a call left the table early.
#[derive(Debug)]
pub(super) enum Evicted {
    /// Only one side ever spoke: what a flood looks like.
    Unanswered(Box<Call>),
    /// A real call.
    Real(Box<Call>),
}

/// The calls.
#[derive(Debug)]
pub(super) struct Table {
    index: HashTable<Entry>,
    slots: Vec<Option<Box<Call>>>,
    free: Vec<u32>,
    wheel: Wheel,
    /// Calls in the order of their arrival; those that had become real when they were reached go to `real`.
    fresh: VecDeque<(u32, CallKey)>,
    real: VecDeque<(u32, CallKey)>,
    length: usize,
    text_octets: usize,
    calls_max: usize,
}

impl Table {
    pub(super) fn new(config: &DialogsConfig) -> Self {
        Self {
            index: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            wheel: Wheel::new(),
            fresh: VecDeque::new(),
            real: VecDeque::new(),
            length: 0,
            text_octets: 0,
            calls_max: config.calls_max.clamp(1, 10_000_000),
        }
    }

    /// The call that a message belongs to.
    #[inline]
    pub(super) fn find(&self, hash: u64, incoming: &Incoming<'_>) -> Option<(u32, Side)> {
        let mut side = None;
        let entry = self.index.find(hash, |entry| {
            entry.hash == hash && {
                side = self.get(entry.slot).and_then(|call| call.side_of(incoming));
                side.is_some()
            }
        })?;
        Some((entry.slot, side?))
    }

    /// A call with this Call-ID that the caller was asked to try again: some change their tag on the way.
    pub(super) fn find_challenged(&self, hash: u64) -> Option<u32> {
        let is_challenged = |call: &Call| {
            call.phase == super::call::Phase::Refused && matches!(call.status, 401 | 407)
        };
        let found =
            |entry: &Entry| entry.hash == hash && self.get(entry.slot).is_some_and(is_challenged);
        self.index.find(hash, found).map(|entry| entry.slot)
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Call> {
        self.slots.get(slot as usize)?.as_deref()
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Call> {
        self.slots.get_mut(slot as usize)?.as_deref_mut()
    }

    /// Puts a call in; [`make_room`](Self::make_room) has been called before.
    pub(super) fn insert(&mut self, call: Call) -> u32 {
        let (hash, key) = (call.hash, call.key);
        self.text_octets += call.texts.capacity();
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as u32 // at most 10,000,000
        });
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Some(Box::new(call));
        }
        self.length += 1;
        self.index
            .insert_unique(hash, Entry { hash, slot }, |entry| entry.hash);
        self.fresh.push_back((slot, key));
        if self.fresh.len() + self.real.len() > 2 * self.calls_max + 1024 {
            self.forget_stale();
        }
        slot
    }

    /// Accounts for texts that a call has got since it was put in.
    pub(super) fn note_growth(&mut self, octets: usize) {
        self.text_octets += octets;
    }

    /// Takes a call out.
    pub(super) fn remove(&mut self, slot: u32) -> Option<Box<Call>> {
        let call = self.slots.get_mut(slot as usize)?.take()?;
        self.wheel.remove(slot);
        if let Ok(entry) = self.index.find_entry(call.hash, |entry| entry.slot == slot) {
            entry.remove();
        }
        self.free.push(slot);
        self.length -= 1;
        self.text_octets = self.text_octets.saturating_sub(call.texts.capacity());
        Some(call)
    }

    /// Takes out what has to go before another call comes in: the oldest call that only one side has ever said
    /// something in, else the oldest of all.
    pub(super) fn make_room(&mut self) -> Option<Evicted> {
        if self.length < self.calls_max && self.text_octets < self.calls_max * TEXT_SHARE {
            return None;
        }
        while let Some((slot, key)) = self.fresh.pop_front() {
            match self.get(slot) {
                Some(call) if call.key == key && call.is_two_sided => {
                    self.real.push_back((slot, key))
                }
                Some(call) if call.key == key => return self.remove(slot).map(Evicted::Unanswered),
                _ => {}
            }
        }
        while let Some((slot, key)) = self.real.pop_front() {
            if self.get(slot).is_some_and(|call| call.key == key) {
                return self.remove(slot).map(Evicted::Real);
            }
        }
        None
    }

    fn forget_stale(&mut self) {
        let slots = &self.slots;
        let is_live = |(slot, key): &(u32, CallKey)| {
            let call = slots.get(*slot as usize).and_then(Option::as_deref);
            call.is_some_and(|call| call.key == *key)
        };
        self.fresh.retain(is_live);
        self.real.retain(is_live);
    }

    /// Has a call looked at no later than at its deadline.
    #[inline]
    pub(super) fn schedule(&mut self, slot: u32, second: i64) {
        self.wheel.schedule(slot, second);
    }

    /// Whether [`due`](Self::due) has something to do in this second.
    #[inline]
    pub(super) fn is_behind(&self, second: i64) -> bool {
        self.wheel.is_behind(second)
    }

    /// Takes out the calls whose deadline has passed.
    #[expect(
        clippy::vec_box,
        reason = "calls stay where they are, only pointers move"
    )]
    pub(super) fn due(&mut self, second: i64, config: &DialogsConfig) -> Vec<Box<Call>> {
        let mut slots = Vec::new();
        self.wheel.turn(second, &mut slots);
        let mut over = Vec::new();
        for slot in slots {
            let Some(deadline) = self.get(slot).map(|call| call.deadline_s(config)) else {
                continue;
            };
            if deadline > second {
                self.wheel.schedule(slot, deadline);
            } else {
                over.extend(self.remove(slot));
            }
        }
        over
    }

    /// Takes all calls out, oldest first; for the end.
    #[expect(
        clippy::vec_box,
        reason = "calls stay where they are, only pointers move"
    )]
    pub(super) fn drain(&mut self) -> Vec<Box<Call>> {
        let mut all: Vec<_> = (0..self.slots.len() as u32)
            .filter_map(|slot| self.remove(slot))
            .collect();
        all.sort_unstable_by_key(|call| call.key.0);
        self.fresh.clear();
        self.real.clear();
        all
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Call> {
        self.slots.iter().flatten().map(|call| &**call)
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }
}
