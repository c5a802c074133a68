//! The calls of one key, by time, and the window that ends at the newest of them.
//!
//! ```text
//!   items    o  o oo   o   o o  oo o        by time; those before `head` are kept for calls that come late
//!                      ^head         ^newest
//!                      └── window ───┘      sums hold these
//! ```
//! A call in order costs what leaves the window; one that comes late also costs a look at the windows that it is in.
//! Beyond the cap items are made fewer: sums of neighbours in time, a sample of numbers by their hash, or the newest.

use std::collections::VecDeque;

use crate::measure::{Item, MeasureSpec, Sums};

/// Slots into which a crowded timeline is made fewer.
const SLOTS: i64 = 512;
/// A sample is of one number in `2^level`; 30 is more than there are numbers in a window.
const MAX_LEVEL: u8 = 30;

/// How a window is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question {
    pub measure: MeasureSpec,
    pub window_us: i64,
    pub lateness_us: i64,
    pub threshold: f64,
    pub below: bool,
    pub at_least: u64,
}

/// A window that is beyond the threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Beyond {
    /// First call of the window.
    pub started_us: i64,
    /// The call at which the window ends.
    pub at_us: i64,
    pub last_us: i64,
    pub value: f64,
    pub calls: u64,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Timeline {
    items: VecDeque<Item>,
    head: usize,
    level: u8,
    sums: Sums,
}

impl Question {
    fn is_beyond(&self, value: f64, calls: u64) -> bool {
        calls >= self.at_least.max(1)
            && if self.below {
                value <= self.threshold
            } else {
                value >= self.threshold
            }
    }
}

impl Timeline {
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn newest_us(&self) -> Option<i64> {
        self.items.back().map(|item| item.time_us)
    }

    /// Calls in the window that ends at a time.
    pub(crate) fn calls_until(&self, end_us: i64, window_us: i64) -> u64 {
        let is_in = |item: &&Item| item.time_us > end_us - window_us && item.time_us <= end_us;
        self.items
            .iter()
            .filter(is_in)
            .map(|item| u64::from(item.calls))
            .sum()
    }

    /// The sources of the window that ends at the newest call, most frequent first; at most so many.
    pub(crate) fn sources(&self, most: usize) -> Vec<u64> {
        let mut sources: Vec<u64> = self
            .items
            .range(self.head..)
            .map(|item| item.source)
            .filter(|&source| source > 0)
            .collect();
        sources.sort_unstable();
        let mut counted: Vec<(usize, u64)> = sources
            .chunk_by(|one, other| one == other)
            .map(|same| (same.len(), same[0]))
            .collect();
        counted.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(&other.1)));
        counted
            .into_iter()
            .take(most)
            .map(|(_, source)| source)
            .collect()
    }

    /// Take a call in; the windows that are beyond the threshold because of it, as one. `cap` items are kept.
    pub(crate) fn add(&mut self, item: Item, question: &Question, cap: usize) -> Option<Beyond> {
        if question.measure.is_counted() && !self.is_sampled(item.value) {
            return None;
        }
        let is_late = self.newest_us().is_some_and(|newest| item.time_us < newest);
        let beyond = if is_late {
            self.add_late(item, question)
        } else {
            self.add_newest(item, question)
        };
        if self.items.len() > cap {
            self.make_fewer(question, cap);
        }
        beyond
    }

    fn add_newest(&mut self, item: Item, question: &Question) -> Option<Beyond> {
        let measure = question.measure;
        if self.items.is_empty() {
            self.items.reserve_exact(1);
            self.level = 0;
        }
        self.items.push_back(item);
        measure.add(&mut self.sums, &item);
        self.forget_old(item.time_us, question);
        let value = match measure {
            MeasureSpec::Concurrency => self.most_at_once(&item, self.head, self.items.len() - 1),
            _ => measure.value(&self.sums, question.window_us, self.level),
        };
        question.is_beyond(value, self.sums.calls).then(|| Beyond {
            started_us: self.items[self.head].time_us,
            at_us: item.time_us,
            last_us: item.time_us,
            value,
            calls: self.sums.calls,
        })
    }

    /// Let go what left the window that ends at `newest_us`, and what no late call can meet any more.
    fn forget_old(&mut self, newest_us: i64, question: &Question) {
        let window_from = newest_us - question.window_us;
        while let Some(old) = self
            .items
            .get(self.head)
            .filter(|item| item.time_us <= window_from)
        {
            question.measure.remove(&mut self.sums, old);
            self.head += 1;
        }
        let kept_from = window_from - question.lateness_us;
        while self.head > 0
            && self
                .items
                .front()
                .is_some_and(|item| item.time_us <= kept_from)
        {
            self.items.pop_front();
            self.head -= 1;
        }
    }

    fn add_late(&mut self, item: Item, question: &Question) -> Option<Beyond> {
        let newest_us = self.newest_us()?;
        if item.time_us <= newest_us - question.window_us - question.lateness_us {
            return None;
        }
        let place = self
            .items
            .partition_point(|known| known.time_us <= item.time_us);
        self.items.insert(place, item);
        if item.time_us > newest_us - question.window_us {
            question.measure.add(&mut self.sums, &item);
        } else {
            self.head += 1;
        }
        self.look_again(place, question)
    }

    /// Every window that ends at the item of a place or later and holds it.
    fn look_again(&self, place: usize, question: &Question) -> Option<Beyond> {
        let (measure, late_us) = (question.measure, self.items[place].time_us);
        let starts_after = late_us - question.window_us;
        let mut first = self
            .items
            .partition_point(|item| item.time_us <= starts_after);
        let mut sums = Sums::default();
        for item in self.items.range(first..place) {
            measure.add(&mut sums, item);
        }
        let mut found: Option<Beyond> = None;
        for end in place..self.items.len() {
            let item = self.items[end];
            if item.time_us >= late_us + question.window_us {
                break;
            }
            measure.add(&mut sums, &item);
            while self.items[first].time_us <= item.time_us - question.window_us {
                measure.remove(&mut sums, &self.items[first]);
                first += 1;
            }
            // Calls of the same moment are in the window together: only the last of them sees it whole.
            if self
                .items
                .get(end + 1)
                .is_some_and(|next| next.time_us == item.time_us)
            {
                continue;
            }
            let value = match measure {
                MeasureSpec::Concurrency => self.most_at_once(&self.items[place], first, end),
                _ => measure.value(&sums, question.window_us, self.level),
            };
            if !question.is_beyond(value, sums.calls) {
                continue;
            }
            let beyond = found.get_or_insert(Beyond {
                started_us: self.items[first].time_us,
                at_us: item.time_us,
                last_us: item.time_us,
                value,
                calls: sums.calls,
            });
            beyond.last_us = item.time_us;
            if (value > beyond.value) != question.below {
                beyond.value = value;
            }
        }
        found
    }

    /// The most calls that went on at one moment of a call's time, of the items `first` to `last`; that call is one.
    fn most_at_once(&self, call: &Item, first: usize, last: usize) -> f64 {
        let (from, to) = (call.value, u64::try_from(call.time_us).unwrap_or(0));
        // (moment, +1 or -1); an end counts before a start of the same moment, for it does not belong to the call.
        let mut changes: Vec<(u64, i32)> = Vec::new();
        for item in self.items.range(first..=last) {
            let end = u64::try_from(item.time_us).unwrap_or(0);
            let start = item.value.max(from);
            if start < end.min(to) {
                changes.push((start, 1));
                changes.push((end.min(to), -1));
            }
        }
        changes.sort_unstable();
        let (mut now, mut most) = (0_i32, 0_i32);
        for (_, change) in changes {
            now += change;
            most = most.max(now);
        }
        f64::from(most)
    }

    fn make_fewer(&mut self, question: &Question, cap: usize) {
        let measure = question.measure;
        let slot_us = ((question.window_us + question.lateness_us) / SLOTS).max(1);
        if measure.keeps_values() {
            if measure.is_counted() {
                self.drop_repeated(slot_us);
            }
            if matches!(measure, MeasureSpec::Distinct(_)) {
                while self.items.len() > cap * 3 / 4 && self.level < MAX_LEVEL {
                    self.level += 1;
                    let level = self.level;
                    self.items.retain(|item| is_of_level(item.value, level));
                }
            }
            let surplus = self.items.len().saturating_sub(cap * 3 / 4);
            self.items.drain(..surplus);
        } else {
            self.add_up(slot_us);
            let surplus = self.items.len().saturating_sub(cap.max(64) * 2);
            self.items.drain(..surplus);
        }
        self.sum_anew(question);
    }

    /// One item where several of a slot say the same number.
    fn drop_repeated(&mut self, slot_us: i64) {
        let mut seen = hashbrown::HashSet::new();
        self.items
            .retain(|item| seen.insert((item.time_us.div_euclid(slot_us), item.value)));
    }

    /// One item for each slot, at the time of its last.
    fn add_up(&mut self, slot_us: i64) {
        let mut fewer: VecDeque<Item> = VecDeque::new();
        for item in &self.items {
            match fewer
                .back_mut()
                .filter(|last| last.time_us.div_euclid(slot_us) == item.time_us.div_euclid(slot_us))
            {
                Some(last) => {
                    last.time_us = item.time_us;
                    last.value += item.value;
                    last.calls = last.calls.saturating_add(item.calls);
                    last.hits = last.hits.saturating_add(item.hits);
                }
                None => fewer.push_back(*item),
            }
        }
        self.items = fewer;
    }

    fn sum_anew(&mut self, question: &Question) {
        self.sums.counted.clear();
        self.sums = Sums::default();
        self.head = 0;
        if let Some(newest_us) = self.newest_us() {
            self.head = self
                .items
                .partition_point(|item| item.time_us <= newest_us - question.window_us);
            for item in self.items.range(self.head..) {
                question.measure.add(&mut self.sums, item);
            }
        }
    }

    fn is_sampled(&self, value: u64) -> bool {
        is_of_level(value, self.level)
    }
}

/// Whether a number is in the sample of one in `2^level`.
fn is_of_level(value: u64, level: u8) -> bool {
    level == 0 || mix(value).trailing_zeros() >= u32::from(level)
}

/// A value whose bits all depend on all bits (the finaliser of SplitMix64).
pub(crate) const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
