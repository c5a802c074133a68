//! All detections together: calls in, crossings out, memory bounded over all of them.

use std::collections::HashMap;

use ringfence_numbers::NumberSet;

use crate::call::{Call, Dataset};
use crate::detection::Detection;
use crate::filter::Key;
use crate::spec::{Place, Spec, SpecError};
use crate::timeline::mix;
use crate::{EXACT_CALLS, LATENESS_US, MAX_CALLS, MAX_NUMBERS, TIGHT_CALLS};

/// A call dated so far ahead of the clock is not believed.
const AHEAD_US: i64 = 10_000_000;
/// Keys looked at after a batch, beside one for every call of it.
const SWEPT: usize = 256;

/// A key is beyond its detection's threshold: for the first time after a cool-down (`is_new`), or still.
#[derive(Debug, Clone, PartialEq)]
pub struct Crossing {
    /// Place of the detection in the specification.
    pub detection: usize,
    /// What the calls have in common.
    pub key: Key,
    /// Whether it begins an episode.
    pub is_new: bool,
    /// First call of the window, microseconds since 1970.
    pub started_us: i64,
    /// Call that crossed.
    pub at_us: i64,
    /// Last call of this batch that was beyond.
    pub last_us: i64,
    /// Highest value of this batch (lowest, of what fires below).
    pub value: f64,
    /// What it crossed.
    pub threshold: f64,
    /// Calls in the window of that value.
    pub calls: u64,
    /// Sources, most frequent first; of an episode that goes on those that this batch brought.
    pub numbers: Vec<u64>,
}

impl Crossing {
    pub(crate) fn note_source(&mut self, source: u64) {
        if source > 0 && self.numbers.len() < MAX_NUMBERS && !self.numbers.contains(&source) {
            self.numbers.push(source);
        }
    }
}

/// What happened since the engine was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Calls looked at.
    pub calls: u64,
    /// Calls too far behind the newest.
    pub too_late: u64,
    /// Calls dated ahead of the clock.
    pub ahead: u64,
    /// Keys that went because others needed the room: what they counted is lost.
    pub evicted: u64,
    /// Keys held now.
    pub keys: usize,
    /// Calls held now.
    pub held: usize,
}

/// Windows of all detections.
#[derive(Debug)]
pub struct Engine {
    detections: Vec<Detection>,
    sets: Vec<NumberSet>,
    places: HashMap<i16, Place>,
    max_keys: usize,
    watermark_us: i64,
    counters: Counters,
}

impl Engine {
    /// Read a specification (JSON, `ringfence.detection.compiled`); at most `max_keys` are held over all detections.
    /// `seed`: what callers cannot know, for they choose their numbers.
    ///
    /// # Errors
    /// The specification is none.
    pub fn new(specification: &str, max_keys: usize, seed: u64) -> Result<Self, SpecError> {
        let spec = Spec::read(specification)?;
        let sets = spec.compile_sets()?;
        let mut detections = Vec::with_capacity(spec.detections.len());
        for (place, one) in spec.detections.into_iter().enumerate() {
            one.check(place, sets.len())?;
            detections.push(Detection::new(one, mix(seed.wrapping_add(place as u64))));
        }
        Ok(Self {
            detections,
            sets,
            places: spec.places,
            max_keys: max_keys.max(1),
            watermark_us: i64::MIN,
            counters: Counters::default(),
        })
    }

    /// Count calls of a dataset; what crossed meanwhile. `now_us` is the clock: calls beyond it are not believed.
    pub fn feed(
        &mut self,
        dataset: Dataset,
        calls: impl IntoIterator<Item = Call>,
        now_us: i64,
    ) -> Vec<Crossing> {
        let mut fed = 0;
        for call in calls {
            fed += 1;
            if call.time_us > now_us.saturating_add(AHEAD_US) {
                self.counters.ahead += 1;
            } else if call.time_us < self.watermark_us.saturating_sub(LATENESS_US) {
                self.counters.too_late += 1;
            } else {
                self.watermark_us = self.watermark_us.max(call.time_us);
                self.count(dataset, &call);
            }
        }
        self.counters.calls += fed as u64;
        self.sweep(fed + SWEPT);
        self.take_crossings()
    }

    /// Time has passed: what fell silent. The clock must not run ahead of the calls that are known.
    pub fn tick(&mut self, now_us: i64) -> Vec<Crossing> {
        for detection in &mut self.detections {
            detection.tick(now_us);
        }
        self.take_crossings()
    }

    /// A key is in an episode already, as was known before this engine was made.
    pub fn prime(&mut self, detection: usize, key: Key, first_us: i64, last_us: i64) {
        if detection < self.detections.len() {
            let place = self.place_of(detection, key);
            self.detections[detection].prime(place, first_us, last_us);
        }
    }

    /// Let a key cross from another value, until a time; it has then not crossed yet.
    pub fn set_threshold(&mut self, detection: usize, key: Key, value: f64, until_us: i64) {
        if detection < self.detections.len() {
            let place = self.place_of(detection, key);
            self.detections[detection].set_threshold(place, value, until_us);
        }
    }

    /// What happened until now.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let keys = self
            .detections
            .iter()
            .map(|detection| detection.table.len())
            .sum();
        Counters {
            keys,
            ..self.counters
        }
    }

    /// Keys held of each detection.
    #[must_use]
    pub fn keys(&self) -> Vec<usize> {
        self.detections
            .iter()
            .map(|detection| detection.table.len())
            .collect()
    }

    fn count(&mut self, dataset: Dataset, call: &Call) {
        for detection in 0..self.detections.len() {
            let one = &self.detections[detection];
            if one.dataset != dataset {
                continue;
            }
            let Some(key) = one.key_of(call, &self.sets, &self.places) else {
                continue;
            };
            let place = self.place_of(detection, key);
            let cap = if self.counters.held < MAX_CALLS {
                EXACT_CALLS
            } else {
                TIGHT_CALLS
            };
            let grown = self.detections[detection].count(place, call, cap);
            self.counters.held = self.counters.held.saturating_add_signed(grown);
        }
    }

    /// Where a key is; where there is no room for a new one, another has to go.
    fn place_of(&mut self, detection: usize, key: Key) -> usize {
        if let Some(place) = self.detections[detection].table.find(key) {
            return place;
        }
        let held: usize = self.detections.iter().map(|one| one.table.len()).sum();
        if held >= self.max_keys {
            self.evict(detection);
        }
        self.detections[detection].table.insert(key)
    }

    /// From the table with the most keys, so that a flood of keys of one detection does not empty the others.
    fn evict(&mut self, asking: usize) {
        let largest = (0..self.detections.len())
            .max_by_key(|&one| self.detections[one].table.len())
            .unwrap_or(asking);
        let table = &mut self.detections[largest].table;
        if let Some(place) = table.idlest() {
            let calls = table.remove(place);
            self.counters.held = self.counters.held.saturating_sub(calls);
            self.counters.evicted += 1;
        }
    }

    fn sweep(&mut self, count: usize) {
        for detection in &mut self.detections {
            let (_, calls) = detection.sweep(count.min(65_536), self.watermark_us);
            self.counters.held = self.counters.held.saturating_sub(calls);
        }
    }

    fn take_crossings(&mut self) -> Vec<Crossing> {
        let mut taken = Vec::new();
        for (place, detection) in self.detections.iter_mut().enumerate() {
            taken.append(&mut detection.take_crossings(place));
        }
        taken.sort_by_key(|crossing| (crossing.at_us, crossing.detection, crossing.key));
        taken
    }
}
