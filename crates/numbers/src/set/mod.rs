//! Sets of numbers: which of many sets hold a number, at a cost that does not grow with their size.
//!
//! A [`NumberMap`] takes `(pattern, tag)` pairs and interns each distinct *set of tags*. A look-up costs one
//! probe of a hash table (exact), one walk down a shallow tree for each of ranges and prefixes, and one probe for each distinct
//! shape of wildcard of that length.
//!
//! ```text
//! exact     number ──hash──► set           prefix   left-aligned digits ──tree──► set
//! range     number ──tree──► set           wildcard digits & mask ──hash──► set
//! ```
mod exact;
mod expiring;
mod intern;
mod segments;

use hashbrown::HashMap;

use self::exact::ExactTable;
use self::intern::Interner;
use self::segments::{Boundary, Segments};
use crate::number::DIGITS_MAX;
use crate::{E164, Pattern};

pub use self::expiring::{ExpiringSet, NEVER};
pub use self::intern::SetId;

/// Which tags hold a number.
#[derive(Debug, Default)]
pub struct NumberMap {
    exact: ExactTable,
    ranges: Segments,
    prefixes: Segments,
    /// By length of the number.
    wildcards: [Vec<WildcardShape>; DIGITS_MAX + 1],
    any: SetId,
    tags: Vec<Box<[u32]>>,
}

/// All wildcards of one length with `?` at the same places.
#[derive(Debug)]
struct WildcardShape {
    mask: u64,
    sets: HashMap<u64, SetId>,
}

impl NumberMap {
    /// Calls `found` with each non-empty set of tags that holds the number. Sets may overlap.
    #[inline]
    pub fn look_up(&self, number: E164, mut found: impl FnMut(SetId)) {
        let mut report = |set: SetId| {
            if set != SetId::EMPTY {
                found(set);
            }
        };
        report(self.any);
        report(self.exact.get(number));
        if !self.ranges.is_empty() {
            report(self.ranges.get(number.get()));
        }
        let shapes = &self.wildcards[number.len()];
        if self.prefixes.is_empty() && shapes.is_empty() {
            return;
        }
        let key = number.key();
        report(self.prefixes.get(key));
        for shape in shapes {
            report(
                shape
                    .sets
                    .get(&(key & shape.mask))
                    .copied()
                    .unwrap_or_default(),
            );
        }
    }

    /// Brings what look-ups of these numbers begin with closer to the processor; says nothing.
    #[inline]
    pub fn touch(&self, numbers: &[u64]) {
        self.exact.touch(numbers);
    }

    /// The tags of a set, ascending.
    #[must_use]
    pub fn tags(&self, set: SetId) -> &[u32] {
        &self.tags[set.index()]
    }

    /// The tags of every set, in the order of their ids; the first is the empty one.
    pub fn sets(&self) -> impl Iterator<Item = &[u32]> {
        self.tags.iter().map(|tags| &**tags)
    }

    /// Every tag that holds the number, ascending.
    #[must_use]
    pub fn tags_of(&self, number: E164) -> Vec<u32> {
        let mut tags = Vec::new();
        self.look_up(number, |set| tags.extend_from_slice(self.tags(set)));
        tags.sort_unstable();
        tags.dedup();
        tags
    }

    /// Memory held, octets, without allocator overhead.
    #[must_use]
    pub fn memory(&self) -> usize {
        let shapes = self.wildcards.iter().flatten();
        let wildcards: usize = shapes
            .map(|shape| shape.sets.capacity() * size_of::<(u64, SetId)>())
            .sum();
        let tags: usize = self
            .tags
            .iter()
            .map(|tags| size_of_val::<[u32]>(tags) + size_of::<Box<[u32]>>())
            .sum();
        self.exact.memory() + self.ranges.memory() + self.prefixes.memory() + wildcards + tags
    }
}

/// Collects patterns for a [`NumberMap`].
#[derive(Debug, Default)]
pub struct NumberMapBuilder {
    exact: Vec<(E164, u32)>,
    ranges: Vec<Boundary>,
    prefixes: Vec<Boundary>,
    wildcards: Vec<(u8, u64, u64, u32)>,
    any: Vec<u32>,
}

impl NumberMapBuilder {
    /// Makes room for this many exact numbers.
    pub fn reserve(&mut self, patterns: usize) {
        self.exact.reserve(patterns);
    }

    /// Numbers under `pattern` shall have `tag`.
    pub fn add(&mut self, pattern: Pattern, tag: u32) {
        match pattern {
            Pattern::Any => self.any.push(tag),
            Pattern::Exact(number) => self.exact.push((number, tag)),
            Pattern::Range(low, high) => {
                self.ranges.extend([
                    Boundary::opens(low.get(), tag),
                    Boundary::closes(high.get() + 1, tag),
                ]);
            }
            Pattern::Prefix(prefix) => {
                let (start, width) = (prefix.key(), 1 << (60 - 4 * prefix.len()));
                self.prefixes.extend([
                    Boundary::opens(start, tag),
                    Boundary::closes(start + width, tag),
                ]);
            }
            Pattern::Wildcard(wildcard) => {
                self.wildcards
                    .push((wildcard.length, wildcard.mask, wildcard.fixed, tag));
            }
        }
    }

    /// Compiles. Time grows with the number of patterns, not with what they span.
    #[must_use]
    pub fn build(self) -> NumberMap {
        let mut interner = Interner::default();
        let any = self
            .any
            .iter()
            .fold(SetId::EMPTY, |set, &tag| interner.with(set, tag));
        let mut exact = ExactTable::with_capacity(self.exact.len());
        for (number, tag) in self.exact {
            exact.update(number, |set| interner.with(set, tag));
        }
        let ranges = Segments::sweep(self.ranges, &mut interner);
        let prefixes = Segments::sweep(self.prefixes, &mut interner);
        let mut wildcards: [Vec<WildcardShape>; DIGITS_MAX + 1] = Default::default();
        let mut places: HashMap<(u8, u64), usize> = HashMap::new();
        for (length, mask, fixed, tag) in self.wildcards {
            let shapes = &mut wildcards[usize::from(length)];
            let place = *places.entry((length, mask)).or_insert_with(|| {
                shapes.push(WildcardShape {
                    mask,
                    sets: HashMap::new(),
                });
                shapes.len() - 1
            });
            let set = shapes[place].sets.entry(fixed).or_default();
            *set = interner.with(*set, tag);
        }
        NumberMap {
            exact,
            ranges,
            prefixes,
            wildcards,
            any,
            tags: interner.into_tags(),
        }
    }
}

/// One set of numbers.
#[derive(Debug, Default)]
pub struct NumberSet {
    map: NumberMap,
    has_patterns: bool,
}

impl NumberSet {
    /// Whether the number is in it.
    #[must_use]
    pub fn contains(&self, number: E164) -> bool {
        let mut is_in = false;
        if self.has_patterns {
            self.map.look_up(number, |_| is_in = true);
        }
        is_in
    }

    /// Whether it holds no pattern.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        !self.has_patterns
    }
}

impl FromIterator<Pattern> for NumberSet {
    fn from_iter<I: IntoIterator<Item = Pattern>>(patterns: I) -> Self {
        let mut builder = NumberMapBuilder::default();
        let mut has_patterns = false;
        for pattern in patterns {
            has_patterns = true;
            builder.add(pattern, 0);
        }
        Self {
            map: builder.build(),
            has_patterns,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Patterns over few digits, so that they meet often.
    fn patterns() -> impl Strategy<Value = Pattern> {
        prop_oneof![
            Just("*".to_owned()),
            "[+][12][0-2]{0,4}",
            "[+][12][0-2]{0,3}[*]",
            "[+][12][0-2?]{1,4}",
            ("[12][0-2]{3}", "[12][0-2]{3}").prop_map(|(a, b)| if a <= b {
                format!("+{a}-+{b}")
            } else {
                format!("+{b}-+{a}")
            }),
        ]
        .prop_map(|text| text.parse().unwrap())
    }

    proptest! {
        #[test]
        fn finds_exactly_the_tags_whose_pattern_matches(
            entries in prop::collection::vec((patterns(), 0..6u32), 0..40),
            numbers in prop::collection::vec("[12][0-2]{0,5}", 30),
        ) {
            let mut builder = NumberMapBuilder::default();
            entries.iter().for_each(|&(pattern, tag)| builder.add(pattern, tag));
            let map = builder.build();
            for text in numbers {
                let number = E164::from_digits(text.as_bytes()).unwrap();
                let mut expected: Vec<u32> =
                    entries.iter().filter(|(pattern, _)| pattern.matches(number)).map(|&(_, tag)| tag).collect();
                expected.sort_unstable();
                expected.dedup();
                prop_assert_eq!(map.tags_of(number), expected, "{}", text);
            }
        }
    }

    #[test]
    fn an_empty_set_holds_nothing() {
        let number = E164::new(12_105_550_123).unwrap();
        assert!(!NumberSet::default().contains(number));
        assert!(!NumberSet::from_iter([]).contains(number));
        assert!(NumberSet::from_iter(["+1210*".parse().unwrap()]).contains(number));
    }

    #[test]
    fn many_prefixes_and_ranges_are_found() {
        let mut builder = NumberMapBuilder::default();
        for index in 0..20_000_u64 {
            builder.add(Pattern::Prefix(E164::new(100_000 + index * 3).unwrap()), 1);
            builder.add(
                Pattern::Range(
                    E164::new(2_000_000 + index * 30).unwrap(),
                    E164::new(2_000_009 + index * 30).unwrap(),
                ),
                2,
            );
        }
        let map = builder.build();
        let tags = |number| map.tags_of(E164::new(number).unwrap());
        assert_eq!(
            (tags(100_003), tags(1_000_037), tags(100_001)),
            (vec![1], vec![1], vec![])
        );
        assert_eq!(
            (tags(2_000_039), tags(2_000_040), tags(2_599_979)),
            (vec![2], vec![], vec![2])
        );
    }
}
