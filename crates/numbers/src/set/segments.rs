//! Overlapping intervals made into disjoint segments, each with its set, found by a shallow tree.
//!
//! Levels of every sixteenth boundary stand above the boundaries, so that a step reads one or two cache
//! lines: a million intervals are five steps deep.
use super::SetId;
use super::intern::Interner;

const FANOUT: usize = 16;

/// Where an interval begins (included) or ends (not included).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Boundary {
    at: u64,
    tag: u32,
    opens: bool,
}

impl Boundary {
    pub(super) fn opens(at: u64, tag: u32) -> Self {
        Self {
            at,
            tag,
            opens: true,
        }
    }

    pub(super) fn closes(at: u64, tag: u32) -> Self {
        Self {
            at,
            tag,
            opens: false,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Segments {
    /// Bottom first: `levels[0]` holds the start of each segment.
    levels: Vec<Vec<u64>>,
    sets: Vec<SetId>,
}

impl Segments {
    pub(super) fn sweep(mut boundaries: Vec<Boundary>, interner: &mut Interner) -> Self {
        if boundaries.is_empty() {
            return Self::default();
        }
        boundaries.sort_unstable();
        let tags = boundaries
            .iter()
            .map(|boundary| boundary.tag as usize + 1)
            .max()
            .unwrap_or(0);
        let mut open_count = vec![0_u32; tags];
        let (mut starts, mut sets, mut set) = (vec![0], vec![SetId::EMPTY], SetId::EMPTY);
        for group in boundaries.chunk_by(|left, right| left.at == right.at) {
            // Opening first keeps a count from going below zero where one interval ends and the next begins.
            for boundary in group.iter().filter(|boundary| boundary.opens) {
                open_count[boundary.tag as usize] += 1;
                set = interner.with(set, boundary.tag);
            }
            for boundary in group.iter().filter(|boundary| !boundary.opens) {
                let count = &mut open_count[boundary.tag as usize];
                *count -= 1;
                if *count == 0 {
                    set = interner.without(set, boundary.tag);
                }
            }
            if sets.last() != Some(&set) {
                starts.push(group[0].at);
                sets.push(set);
            }
        }
        let mut levels = vec![starts];
        while let Some(below) = levels.last().filter(|level| level.len() > FANOUT) {
            levels.push(below.iter().copied().step_by(FANOUT).collect());
        }
        Self { levels, sets }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// The set of the segment that holds `at`.
    #[inline]
    pub(super) fn get(&self, at: u64) -> SetId {
        let mut place = 0;
        for level in self.levels.iter().rev() {
            let start = place * FANOUT;
            let chunk = &level[start..level.len().min(start + FANOUT)];
            // The first entry is never above `at`: the lowest segment starts at 0.
            place = start + chunk.iter().filter(|&&boundary| boundary <= at).count() - 1;
        }
        self.sets.get(place).copied().unwrap_or_default()
    }

    pub(super) fn memory(&self) -> usize {
        let starts: usize = self
            .levels
            .iter()
            .map(|level| level.capacity() * size_of::<u64>())
            .sum();
        starts + self.sets.capacity() * size_of::<SetId>()
    }
}
