//! Rate conditions: how often a rule's other conditions matched for a key, over a true sliding window.
//!
//! The state stands apart from the snapshot, so that counts go on when a policy is replaced. For each key the times of the
//! last `limit` calls are kept: a call is above the rate exactly if the oldest of them is still in the window. Memory is bounded:
//! a shard that is full forgets the key idle for longest among a few that it looks at.
use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};

use hashbrown::{DefaultHashBuilder, HashMap};

use crate::decide::RateKeyed;
use crate::document::{Rate, RateKey};
use crate::snapshot::Call;

/// Highest limit that a rule may ask for: one key then costs 80 kB.
pub(crate) const LIMIT_MAX: u32 = 10_000;
/// Longest window, seconds: a week.
pub(crate) const WINDOW_MAX_S: u32 = 7 * 24 * 3600;

const SHARDS: usize = 16;
/// Default bound of all kept times: 64 MiB.
const TIMES_MAX: usize = 8 << 20;
/// Default bound of all keys.
const KEYS_MAX: usize = 1 << 19;
/// Keys looked at when one must go.
const SAMPLE: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    rule: u32,
    source: u64,
    destination: u64,
}

/// Counts of all rate conditions of an edge, shared by its threads.
#[derive(Debug)]
pub struct RateCounters {
    shards: [Mutex<Shard>; SHARDS],
    hasher: DefaultHashBuilder,
}

impl Default for RateCounters {
    fn default() -> Self {
        Self::with_bounds(KEYS_MAX, TIMES_MAX)
    }
}

impl RateCounters {
    /// Counters that keep at most so many keys and times of calls.
    #[must_use]
    pub fn with_bounds(keys: usize, times: usize) -> Self {
        let shard = || Shard::new((keys / SHARDS).max(1), (times / SHARDS).max(1));
        Self {
            shards: std::array::from_fn(|_| Mutex::new(shard())),
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// Counts a call for a rule; true if there are now more than `limit` in the window.
    pub(crate) fn is_above(&self, rule: u32, rate: &Rate, call: &Call, now_us: i64) -> bool {
        let (source, destination) = (call.source.rate_key(), call.destination.rate_key());
        let key = match rate.key {
            RateKey::Source => Key {
                rule,
                source,
                destination: 0,
            },
            RateKey::Destination => Key {
                rule,
                source: 0,
                destination,
            },
            RateKey::Pair => Key {
                rule,
                source,
                destination,
            },
        };
        let shard = &self.shards[self.hasher.hash_one(key) as usize % SHARDS];
        // A thread that died left counts that are still counts.
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        shard.count(
            key,
            rate.limit as usize,
            i64::from(rate.window_s) * 1_000_000,
            now_us,
        )
    }
}

#[derive(Debug)]
struct Shard {
    places: HashMap<Key, usize>,
    entries: Vec<Entry>,
    times: usize,
    keys_max: usize,
    times_max: usize,
    /// Where the next sample begins.
    hand: usize,
}

#[derive(Debug)]
struct Entry {
    key: Key,
    /// Ascending, microseconds.
    times: VecDeque<i64>,
    last_us: i64,
}

impl Shard {
    fn new(keys_max: usize, times_max: usize) -> Self {
        Self {
            places: HashMap::new(),
            entries: Vec::new(),
            times: 0,
            keys_max,
            times_max,
            hand: 0,
        }
    }

    fn count(&mut self, key: Key, limit: usize, window_us: i64, now_us: i64) -> bool {
        let place = self.place_of(key, now_us);
        let entry = &mut self.entries[place];
        let before = entry.times.len();
        entry.last_us = now_us;
        while entry
            .times
            .front()
            .is_some_and(|&time| time <= now_us - window_us)
            || entry.times.len() > limit
        {
            entry.times.pop_front();
        }
        let is_above = entry.times.len() == limit;
        if is_above {
            entry.times.pop_front();
        }
        if limit > 0 {
            entry.times.push_back(now_us);
        }
        self.times = self.times + entry.times.len() - before;
        while self.times > self.times_max && self.entries.len() > 1 {
            self.forget_one(key);
        }
        is_above
    }

    fn place_of(&mut self, key: Key, now_us: i64) -> usize {
        if let Some(&place) = self.places.get(&key) {
            return place;
        }
        if self.entries.len() >= self.keys_max {
            self.forget_one(key);
        }
        self.places.insert(key, self.entries.len());
        self.entries.push(Entry {
            key,
            times: VecDeque::new(),
            last_us: now_us,
        });
        self.entries.len() - 1
    }

    /// Forgets the key idle for longest among the next few, never `except`.
    fn forget_one(&mut self, except: Key) {
        let count = self.entries.len();
        let sample = (0..SAMPLE.max(2)).map(|step| (self.hand + step) % count);
        let oldest = sample
            .filter(|&place| self.entries[place].key != except)
            .min_by_key(|&place| self.entries[place].last_us);
        self.hand = (self.hand + SAMPLE) % count;
        let Some(place) = oldest else { return };
        let gone = self.entries.swap_remove(place);
        self.times -= gone.times.len();
        self.places.remove(&gone.key);
        if let Some(moved) = self.entries.get(place) {
            self.places.insert(moved.key, place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn key(source: u64) -> Key {
        Key {
            rule: 1,
            source,
            destination: 0,
        }
    }

    #[test]
    fn is_above_only_with_more_than_the_limit_in_the_window() {
        let mut shard = Shard::new(10, 1000);
        let mut at = |second: i64| shard.count(key(1), 2, 10 * SECOND, second * SECOND);
        assert_eq!([at(0), at(1), at(2), at(9)], [false, false, true, true]);
        assert_eq!(
            [at(19), at(20)],
            [false, false],
            "calls leave the window one by one"
        );
        assert!(at(21));
    }

    #[test]
    fn a_limit_of_zero_is_always_exceeded() {
        assert!(Shard::new(1, 1).count(key(1), 0, SECOND, 0));
    }

    #[test]
    fn keeps_within_its_bounds_and_forgets_the_idle() {
        let mut shard = Shard::new(100, 250);
        for source in 0..10_000 {
            for time in 0..5 {
                shard.count(key(source), 5, 1000 * SECOND, source as i64 * SECOND + time);
                shard.count(key(77_777), 5, 1000 * SECOND, source as i64 * SECOND + time);
                assert!(shard.entries.len() <= 100 && shard.times <= 250);
            }
        }
        assert_eq!(
            shard.times,
            shard
                .entries
                .iter()
                .map(|entry| entry.times.len())
                .sum::<usize>()
        );
        assert!(
            shard
                .places
                .iter()
                .all(|(key, &place)| shard.entries[place].key == *key)
        );
        assert!(
            shard.count(key(77_777), 5, 1000 * SECOND, 10_000 * SECOND),
            "the busy key was kept"
        );
    }
}
