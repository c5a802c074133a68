//! Sets of rules as bits: bit n is the n-th rule in the order they are tried.

/// Words for so many rules.
pub(crate) fn words_for(rules: usize) -> usize {
    rules.div_ceil(64)
}

/// One set over all rules.
#[derive(Debug, Clone)]
pub(crate) struct RuleBits(Box<[u64]>);

impl RuleBits {
    pub(crate) fn new(rules: usize) -> Self {
        Self(vec![0; words_for(rules)].into())
    }

    pub(crate) fn insert(&mut self, rule: usize) {
        self.0[rule / 64] |= 1 << (rule % 64);
    }

    #[inline]
    pub(crate) fn word(&self, index: usize) -> u64 {
        self.0[index]
    }
}

/// Many sets of rules by row; of each row only the words between its first and last rule are kept.
#[derive(Debug, Default)]
pub(crate) struct RuleRows {
    rows: Vec<Window>,
    bits: Vec<u64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Window {
    /// Where the words stand in `bits`.
    start: usize,
    /// Which word the first is.
    first: usize,
    length: usize,
}

impl RuleRows {
    /// Adds the next row.
    pub(crate) fn push(&mut self, rules: impl Iterator<Item = usize> + Clone) {
        let (Some(low), Some(high)) = (rules.clone().min(), rules.clone().max()) else {
            self.rows.push(Window::default());
            return;
        };
        let window = Window {
            start: self.bits.len(),
            first: low / 64,
            length: high / 64 - low / 64 + 1,
        };
        self.bits.resize(window.start + window.length, 0);
        for rule in rules {
            self.bits[window.start + rule / 64 - window.first] |= 1 << (rule % 64);
        }
        self.rows.push(window);
    }

    #[inline]
    pub(crate) fn row(&self, index: usize) -> Row<'_> {
        let window = self.rows[index];
        Row {
            first: window.first,
            words: &self.bits[window.start..window.start + window.length],
        }
    }
}

/// A set of rules within its window.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Row<'a> {
    first: usize,
    words: &'a [u64],
}

impl Row<'_> {
    #[inline]
    pub(crate) fn word(&self, index: usize) -> u64 {
        self.words
            .get(index.wrapping_sub(self.first))
            .copied()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_hold_what_was_pushed() {
        let mut rows = RuleRows::default();
        for rules in [vec![], vec![0], vec![200, 130, 131], vec![63, 64]] {
            rows.push(rules.into_iter());
        }
        assert_eq!(rows.row(0).word(0), 0);
        assert_eq!((rows.row(1).word(0), rows.row(1).word(1)), (1, 0));
        assert_eq!(
            (0..4)
                .map(|word| rows.row(2).word(word))
                .collect::<Vec<_>>(),
            [0, 0, 0b1100, 1 << 8]
        );
        assert_eq!((rows.row(3).word(0), rows.row(3).word(1)), (1 << 63, 1));
    }
}
