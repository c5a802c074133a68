//! A set of patterns of which each holds until a time of its own: what a dynamic list is made of.
//!
//! A look-up gives the latest end among the patterns that hold the number, so that whether it is in the set at `now` is
//! one comparison, and nothing has to happen when an end is reached. Overlapping ranges and prefixes are made
//! into disjoint steps, each with the latest end over it:
//!
//! ```text
//! entries  ├────── until 40 ──────┤            steps  ├─ 40 ─┼── 90 ──┼─ 40 ─┤
//!                 ├─ until 90 ─┤
//! ```
//! Memory grows with the number of patterns, however they overlap.
use std::collections::BinaryHeap;

use hashbrown::HashMap;

use crate::number::DIGITS_MAX;
use crate::{E164, Pattern};

/// Microseconds since 1970 UTC at which a pattern ceases to hold; [`NEVER`] for one that stays.
type Until = i64;

/// The end of a pattern that stays until it is removed.
pub const NEVER: Until = i64::MAX;

/// Patterns with the time until which each holds.
#[derive(Debug, Default)]
pub struct ExpiringSet {
    any: Option<Until>,
    exact: HashMap<u64, Until>,
    ranges: Steps,
    prefixes: Steps,
    /// By length of the number.
    wildcards: [Vec<Shape>; DIGITS_MAX + 1],
    length: usize,
}

/// All wildcards of one length with `?` at the same places.
#[derive(Debug)]
struct Shape {
    mask: u64,
    until: HashMap<u64, Until>,
}

impl ExpiringSet {
    /// Until when the number is in the set: the latest end among the patterns that match it. `None`: none does.
    #[inline]
    #[must_use]
    pub fn until(&self, number: E164) -> Option<Until> {
        let mut latest = self.any.max(self.exact.get(&number.get()).copied());
        if !self.ranges.is_empty() {
            latest = latest.max(self.ranges.get(number.get()));
        }
        let shapes = &self.wildcards[number.len()];
        if self.prefixes.is_empty() && shapes.is_empty() {
            return latest;
        }
        let key = number.key();
        latest = latest.max(self.prefixes.get(key));
        for shape in shapes {
            latest = latest.max(shape.until.get(&(key & shape.mask)).copied());
        }
        latest
    }

    /// Whether the number is in the set at `now_us`.
    #[inline]
    #[must_use]
    pub fn holds(&self, number: E164, now_us: i64) -> bool {
        self.until(number).is_some_and(|until| now_us < until)
    }

    /// How many patterns it was made of.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether it was made of none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl FromIterator<(Pattern, Until)> for ExpiringSet {
    fn from_iter<I: IntoIterator<Item = (Pattern, Until)>>(patterns: I) -> Self {
        let mut set = Self::default();
        let (mut ranges, mut prefixes) = (Vec::new(), Vec::new());
        for (pattern, until) in patterns {
            set.length += 1;
            match pattern {
                Pattern::Any => set.any = set.any.max(Some(until)),
                Pattern::Exact(number) => put(&mut set.exact, number.get(), until),
                Pattern::Range(low, high) => ranges.push((low.get(), high.get() + 1, until)),
                Pattern::Prefix(prefix) => {
                    let width = 1 << (60 - 4 * prefix.len());
                    prefixes.push((prefix.key(), prefix.key() + width, until));
                }
                Pattern::Wildcard(wildcard) => {
                    let shapes = &mut set.wildcards[usize::from(wildcard.length)];
                    let place = shapes
                        .iter()
                        .position(|shape| shape.mask == wildcard.mask)
                        .unwrap_or_else(|| {
                            shapes.push(Shape {
                                mask: wildcard.mask,
                                until: HashMap::new(),
                            });
                            shapes.len() - 1
                        });
                    put(&mut shapes[place].until, wildcard.fixed, until);
                }
            }
        }
        set.ranges = Steps::sweep(ranges);
        set.prefixes = Steps::sweep(prefixes);
        set
    }
}

fn put(map: &mut HashMap<u64, Until>, key: u64, until: Until) {
    let known = map.entry(key).or_insert(until);
    *known = until.max(*known);
}

/// Where each step begins and the latest end over it; it lasts to the next.
#[derive(Debug, Default)]
struct Steps {
    starts: Vec<u64>,
    until: Vec<Option<Until>>,
}

impl Steps {
    /// From intervals `(start, end not included, until)`.
    fn sweep(mut intervals: Vec<(u64, u64, Until)>) -> Self {
        intervals.sort_unstable();
        let mut points: Vec<u64> = intervals
            .iter()
            .flat_map(|&(start, end, _)| [start, end])
            .collect();
        points.sort_unstable();
        points.dedup();
        let mut steps = Self::default();
        let mut coming = intervals.into_iter().peekable();
        // The latest end on top; one that is over is taken away when it comes to the top.
        let mut open: BinaryHeap<(Until, u64)> = BinaryHeap::new();
        for point in points {
            while let Some((_, end, until)) = coming.next_if(|&(start, ..)| start <= point) {
                open.push((until, end));
            }
            while open.peek().is_some_and(|&(_, end)| end <= point) {
                open.pop();
            }
            let latest = open.peek().map(|&(until, _)| until);
            if steps.until.last() != Some(&latest) {
                steps.starts.push(point);
                steps.until.push(latest);
            }
        }
        steps
    }

    const fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    #[inline]
    fn get(&self, at: u64) -> Option<Until> {
        let after = self.starts.partition_point(|&start| start <= at);
        after.checked_sub(1).and_then(|place| self.until[place])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Patterns over few digits, so that they meet often.
    fn patterns() -> impl Strategy<Value = Pattern> {
        prop_oneof![
            1 => Just("*".to_owned()),
            8 => "[+][12][0-2]{0,4}",
            6 => "[+][12][0-2]{0,3}[*]",
            6 => "[+][12][0-2?]{1,4}",
            8 => ("[12][0-2]{3}", "[12][0-2]{3}").prop_map(|(a, b)| format!("+{}-+{}", a.clone().min(b.clone()), a.max(b))),
        ]
        .prop_map(|text| text.parse().unwrap())
    }

    proptest! {
        #[test]
        fn holds_a_number_until_the_last_of_its_patterns_ends(
            entries in prop::collection::vec((patterns(), prop_oneof![0..20i64, Just(NEVER)]), 0..40),
            numbers in prop::collection::vec("[12][0-2]{0,5}", 30),
            now in 0..20i64,
        ) {
            let set: ExpiringSet = entries.iter().copied().collect();
            prop_assert_eq!(set.len(), entries.len());
            for text in numbers {
                let number = E164::from_digits(text.as_bytes()).unwrap();
                let matching = entries.iter().filter(|(pattern, _)| pattern.matches(number));
                let expected = matching.map(|&(_, until)| until).max();
                prop_assert_eq!(set.until(number), expected, "{}", text);
                prop_assert_eq!(set.holds(number, now), expected.is_some_and(|until| now < until));
            }
        }
    }

    #[test]
    fn nested_ranges_take_memory_by_their_number() {
        let number = |value: u64| E164::new(value).unwrap();
        let nested = (0..50_000).map(|depth| {
            let pattern = Pattern::Range(number(10_000_000 + depth), number(19_999_999 - depth));
            (pattern, depth as i64)
        });
        let set: ExpiringSet = nested.collect();
        assert!(set.ranges.starts.len() <= 100_000);
        assert_eq!(set.until(number(10_000_007)), Some(7));
        assert_eq!(set.until(number(15_000_000)), Some(49_999));
        assert_eq!(set.until(number(20_000_000)), None);
    }
}
