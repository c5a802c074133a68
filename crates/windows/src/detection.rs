//! One detection at work: its keys, and what crossed its threshold since it was last asked.

use std::collections::HashMap;

use ringfence_numbers::NumberSet;

use crate::LATENESS_US;
use crate::call::{Call, Dataset};
use crate::engine::Crossing;
use crate::filter::{Filter, Key, key_of};
use crate::measure::MeasureSpec;
use crate::spec::{DetectionSpec, KeySpec, Place};
use crate::table::{Entry, NEVER, Table};
use crate::timeline::{Beyond, Question};
use crate::{EXACT_CALLS, MAX_NUMBERS};

/// A key whose silence is watched is forgotten after so long: it is not coming back.
const SILENCE_KEPT_US: i64 = 7 * 86_400_000_000;
/// Calls kept of a key whose silence is watched.
const SILENCE_CALLS: usize = 64;

#[derive(Debug)]
pub(crate) struct Detection {
    pub dataset: Dataset,
    pub table: Table,
    filter: Filter,
    key: KeySpec,
    question: Question,
    cool_down_us: i64,
    tells_sources: bool,
    /// Key → its place in `crossings`, of the episode that runs.
    open: hashbrown::HashMap<Key, usize>,
    crossings: Vec<Crossing>,
}

impl Detection {
    pub(crate) fn new(spec: DetectionSpec, seed: u64) -> Self {
        Self {
            dataset: spec.dataset,
            table: Table::new(seed),
            filter: Filter::new(spec.filter),
            key: spec.key,
            question: Question {
                measure: spec.measure,
                window_us: spec.window_us,
                lateness_us: LATENESS_US,
                threshold: spec.value,
                below: spec.below,
                at_least: spec.at_least,
            },
            cool_down_us: spec.cool_down_us,
            tells_sources: spec.tells_sources,
            open: hashbrown::HashMap::new(),
            crossings: Vec::new(),
        }
    }

    /// The key that a call counts for, if any.
    pub(crate) fn key_of(
        &self,
        call: &Call,
        sets: &[NumberSet],
        places: &HashMap<i16, Place>,
    ) -> Option<Key> {
        self.filter
            .lets_pass(call, sets, places)
            .then(|| key_of(self.key, call, places))
            .flatten()
    }

    /// Count a call for the key at a place; by how much the calls kept grew.
    pub(crate) fn count(&mut self, place: usize, call: &Call, cap: usize) -> isize {
        let Some(item) = self.question.measure.item(call, self.tells_sources) else {
            return 0;
        };
        let is_silence = self.question.measure == MeasureSpec::Silence;
        let cap = if is_silence {
            SILENCE_CALLS
        } else {
            cap.min(EXACT_CALLS)
        };
        let entry = self.table.entry(place);
        entry.touched_us = entry.touched_us.max(call.time_us);
        let question = with_threshold(self.question, entry, call.time_us);
        let before = entry.timeline.len();
        let beyond = entry.timeline.add(item, &question, cap);
        let grown = entry.timeline.len().cast_signed() - before.cast_signed();
        if is_silence {
            entry.last_us = NEVER; // it is heard
        } else if let Some(beyond) = beyond {
            self.cross(place, beyond, question.threshold, item.source);
        }
        grown
    }

    /// Ask keys that may have fallen silent; only of a measure of silence.
    pub(crate) fn tick(&mut self, now_us: i64) {
        if self.question.measure != MeasureSpec::Silence {
            return;
        }
        for place in 0..self.table.len() {
            let entry = self.table.entry(place);
            let question = with_threshold(self.question, entry, now_us);
            let calls = entry.timeline.calls_until(now_us, question.window_us);
            #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
            let value = calls as f64;
            if entry.touched_us > NEVER && entry.touched_us <= now_us && value <= question.threshold
            {
                let started_us = entry.touched_us;
                let beyond = Beyond {
                    started_us,
                    at_us: now_us,
                    last_us: now_us,
                    value,
                    calls,
                };
                self.cross(place, beyond, question.threshold, 0);
            }
        }
    }

    fn cross(&mut self, place: usize, beyond: Beyond, threshold: f64, source: u64) {
        let entry = self.table.entry(place);
        if entry.last_us != NEVER
            && beyond.last_us < entry.first_us.saturating_sub(self.cool_down_us)
        {
            return; // belongs to an episode that was over before this one
        }
        let is_new = entry.last_us == NEVER
            || beyond.at_us > entry.last_us.saturating_add(self.cool_down_us);
        let key = entry.key;
        entry.first_us = if is_new {
            beyond.at_us
        } else {
            entry.first_us.min(beyond.at_us)
        };
        entry.last_us = if is_new {
            beyond.last_us
        } else {
            entry.last_us.max(beyond.last_us)
        };
        let running = if is_new {
            None
        } else {
            self.open.get(&key).copied()
        };
        if let Some(crossing) = running.and_then(|running| self.crossings.get_mut(running)) {
            crossing.last_us = crossing.last_us.max(beyond.last_us);
            if (beyond.value > crossing.value) != self.question.below {
                crossing.value = beyond.value;
                crossing.calls = beyond.calls;
            }
            crossing.note_source(source);
            return;
        }
        let numbers = match (is_new && self.tells_sources, source) {
            (true, _) => entry.timeline.sources(MAX_NUMBERS),
            (false, 0) => Vec::new(),
            (false, one) => vec![one],
        };
        self.open.insert(key, self.crossings.len());
        self.crossings.push(Crossing {
            detection: 0,
            key,
            is_new,
            started_us: beyond.started_us,
            at_us: beyond.at_us,
            last_us: beyond.last_us,
            value: beyond.value,
            threshold,
            calls: beyond.calls,
            numbers,
        });
    }

    /// What crossed since the last time; calls from now on begin afresh.
    pub(crate) fn take_crossings(&mut self, detection: usize) -> Vec<Crossing> {
        self.open.clear();
        let mut taken = std::mem::take(&mut self.crossings);
        for crossing in &mut taken {
            crossing.detection = detection;
        }
        taken
    }

    /// Let go of some keys of which nothing can come any more; (keys, calls) that went.
    pub(crate) fn sweep(&mut self, count: usize, watermark_us: i64) -> (usize, usize) {
        let kept_us = match self.question.measure {
            MeasureSpec::Silence => SILENCE_KEPT_US,
            _ => self.question.window_us.saturating_add(LATENESS_US),
        };
        let cool_down_us = self.cool_down_us;
        self.table.sweep(count, |entry| {
            let idle_from = entry.touched_us.saturating_add(kept_us);
            let cool_from = entry.last_us.saturating_add(cool_down_us + LATENESS_US);
            idle_from < watermark_us && (entry.last_us == NEVER || cool_from < watermark_us)
        })
    }

    /// A key is in an episode already.
    pub(crate) fn prime(&mut self, place: usize, first_us: i64, last_us: i64) {
        let entry = self.table.entry(place);
        entry.first_us = first_us;
        entry.last_us = last_us;
    }

    /// A key crosses from another value for a while; it has not crossed until now.
    pub(crate) fn set_threshold(&mut self, place: usize, value: f64, until_us: i64) {
        let entry = self.table.entry(place);
        entry.threshold = Some((value, until_us));
        entry.first_us = NEVER;
        entry.last_us = NEVER;
    }
}

fn with_threshold(question: Question, entry: &Entry, time_us: i64) -> Question {
    match entry.threshold {
        Some((value, until_us)) if time_us < until_us => Question {
            threshold: value,
            ..question
        },
        _ => question,
    }
}
