//! The keys of one detection: found by hash, kept side by side, so that any of them can be looked at when one must go.

use hashbrown::HashTable;

use crate::filter::Key;
use crate::timeline::{Timeline, mix};

/// Keys that are looked at to find one that was idle for long.
const LOOKED_AT: usize = 16;
/// No crossing yet.
pub(crate) const NEVER: i64 = i64::MIN;

#[derive(Debug)]
pub(crate) struct Entry {
    pub key: Key,
    /// Time of the newest call.
    pub touched_us: i64,
    /// Of the running episode: first and last window beyond the threshold.
    pub first_us: i64,
    pub last_us: i64,
    pub timeline: Timeline,
    /// A threshold of this key's own, until a time.
    pub threshold: Option<(f64, i64)>,
}

#[derive(Debug)]
pub(crate) struct Table {
    entries: Vec<Entry>,
    places: HashTable<u32>,
    seed: u64,
    dice: u64,
    hand: usize,
}

impl Table {
    /// `seed`: what callers cannot know, for they choose their numbers.
    pub(crate) const fn new(seed: u64) -> Self {
        Self {
            entries: Vec::new(),
            places: HashTable::new(),
            seed,
            dice: seed | 1,
            hand: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn entry(&mut self, place: usize) -> &mut Entry {
        &mut self.entries[place]
    }

    pub(crate) fn find(&self, key: Key) -> Option<usize> {
        let found = self.places.find(self.hash(key), |&place| {
            self.entries[place as usize].key == key
        });
        found.map(|&place| place as usize)
    }

    /// The place of a key that is not there yet.
    pub(crate) fn insert(&mut self, key: Key) -> usize {
        let place = self.entries.len();
        let entry = Entry {
            key,
            touched_us: NEVER,
            first_us: NEVER,
            last_us: NEVER,
            timeline: Timeline::default(),
            threshold: None,
        };
        self.entries.push(entry);
        let (entries, seed) = (&self.entries, self.seed);
        let number = u32::try_from(place).unwrap_or(u32::MAX);
        self.places
            .insert_unique(hash(seed, key), number, |&other| {
                hash(seed, entries[other as usize].key)
            });
        place
    }

    /// The key that was idle for longest, of a few; one that is in an episode only where there is no other.
    pub(crate) fn idlest(&mut self) -> Option<usize> {
        let count = self.entries.len();
        let mut found: Option<(bool, i64, usize)> = None;
        for _ in 0..LOOKED_AT.min(count) {
            self.dice ^= self.dice << 13;
            self.dice ^= self.dice >> 7;
            self.dice ^= self.dice << 17;
            let place = usize::try_from(self.dice % count as u64).unwrap_or(0);
            let entry = &self.entries[place];
            let rank = (entry.last_us != NEVER, entry.touched_us, place);
            found = Some(found.map_or(rank, |best| best.min(rank)));
        }
        found.map(|(_, _, place)| place)
    }

    /// Take a key out; how many calls went with it.
    pub(crate) fn remove(&mut self, place: usize) -> usize {
        let removed = self.entries.swap_remove(place);
        let hashed = self.hash(removed.key);
        if let Ok(found) = self
            .places
            .find_entry(hashed, |&known| known as usize == place)
        {
            found.remove();
        }
        if let Some(moved) = self.entries.get(place) {
            let (from, hashed) = (self.entries.len(), self.hash(moved.key));
            if let Some(known) = self
                .places
                .find_mut(hashed, |&known| known as usize == from)
            {
                *known = u32::try_from(place).unwrap_or(u32::MAX);
            }
        }
        removed.timeline.len()
    }

    /// Look at the next few keys and take out those that are over; (keys, calls) that went.
    pub(crate) fn sweep(
        &mut self,
        count: usize,
        is_over: impl Fn(&Entry) -> bool,
    ) -> (usize, usize) {
        let (mut keys, mut calls) = (0, 0);
        for _ in 0..count.min(self.entries.len()) {
            if self.hand >= self.entries.len() {
                self.hand = 0;
            }
            if self.entries.get(self.hand).is_some_and(&is_over) {
                calls += self.remove(self.hand);
                keys += 1;
            } else {
                self.hand += 1;
            }
        }
        (keys, calls)
    }

    fn hash(&self, key: Key) -> u64 {
        hash(self.seed, key)
    }
}

const fn hash(seed: u64, key: Key) -> u64 {
    mix(mix(seed ^ key.0).wrapping_add(key.1 ^ seed.rotate_left(32)))
}
