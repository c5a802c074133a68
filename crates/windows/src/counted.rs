//! Distinct values with how often each is there, and how many of them lie beside another one.

/// A multiset, sorted; small enough that moving its tail is cheap.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counted {
    values: Vec<(u64, u32)>,
    adjacent: u32,
}

impl Counted {
    /// One more of a value; neighbours differ by at most `gap`, 0 where nobody asks.
    pub(crate) fn add(&mut self, value: u64, gap: u64) {
        match self
            .values
            .binary_search_by_key(&value, |&(known, _)| known)
        {
            Ok(place) => self.values[place].1 += 1,
            Err(place) => {
                let before = self.adjacent_around(place, gap, None);
                self.values.insert(place, (value, 1));
                self.adjacent =
                    self.adjacent + self.adjacent_around(place, gap, Some(place)) - before;
            }
        }
    }

    /// One less of a value that is there.
    pub(crate) fn remove(&mut self, value: u64, gap: u64) {
        let Ok(place) = self
            .values
            .binary_search_by_key(&value, |&(known, _)| known)
        else {
            return;
        };
        if self.values[place].1 > 1 {
            self.values[place].1 -= 1;
            return;
        }
        let before = self.adjacent_around(place, gap, Some(place));
        self.values.remove(place);
        self.adjacent = self.adjacent + self.adjacent_around(place, gap, None) - before;
    }

    pub(crate) fn distinct(&self) -> usize {
        self.values.len()
    }

    /// How many values have a neighbour.
    pub(crate) const fn adjacent(&self) -> u32 {
        self.adjacent
    }

    pub(crate) fn clear(&mut self) {
        self.values = Vec::new();
        self.adjacent = 0;
    }

    /// Of the two values around a place, and the one at it where there is one, how many have a neighbour.
    fn adjacent_around(&self, place: usize, gap: u64, own: Option<usize>) -> u32 {
        if gap == 0 {
            return 0;
        }
        let above = own.map_or(place, |own| own + 1);
        let places = [
            place.checked_sub(1),
            own,
            (above < self.values.len()).then_some(above),
        ];
        let count = places
            .into_iter()
            .flatten()
            .filter(|&at| self.has_neighbour(at, gap))
            .count();
        u32::try_from(count).unwrap_or(0)
    }

    fn has_neighbour(&self, place: usize, gap: u64) -> bool {
        let value = self.values[place].0;
        let is_near = |other: &(u64, u32)| other.0.abs_diff(value) <= gap;
        place
            .checked_sub(1)
            .and_then(|below| self.values.get(below))
            .is_some_and(is_near)
            || self.values.get(place + 1).is_some_and(is_near)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Counted;

    proptest! {
        #[test]
        fn counts_as_a_plain_recount_does(
            steps in prop::collection::vec((any::<bool>(), 0_u64..30), 1..200), gap in 1_u64..4
        ) {
            let (mut counted, mut plain) = (Counted::default(), Vec::new());
            for (adds, value) in steps {
                if adds {
                    counted.add(value, gap);
                    plain.push(value);
                } else if let Some(place) = plain.iter().position(|&known| known == value) {
                    counted.remove(value, gap);
                    plain.swap_remove(place);
                }
                let mut distinct = plain.clone();
                distinct.sort_unstable();
                distinct.dedup();
                let beside = distinct.iter().filter(|&&one| {
                    distinct.iter().any(|&other| other != one && other.abs_diff(one) <= gap)
                });
                prop_assert_eq!(counted.adjacent() as usize, beside.count());
                prop_assert_eq!(counted.distinct(), distinct.len());
            }
        }
    }
}
