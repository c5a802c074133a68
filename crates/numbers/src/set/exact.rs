//! Single numbers: an open-addressing table with one 64-bit word a slot.
//!
//! ```text
//! 63              14 13          0
//! ├─ number (50) ───┼─ set (14) ─┤   0 = free; set 0x3FFF = look in `wide`
//! ```
//! Half full at most, so a probe touches one cache line: a million numbers take 16 MiB.
use hashbrown::HashMap;

use super::SetId;
use crate::E164;

const SET_BITS: u32 = 14;
const WIDE: u64 = (1 << SET_BITS) - 1;
/// 2⁶⁴ ÷ golden ratio: spreads runs of consecutive numbers over the table.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

#[derive(Debug)]
pub(super) struct ExactTable {
    slots: Box<[u64]>,
    /// 64 - log₂ of the number of slots.
    shift: u32,
    wide: HashMap<u64, SetId>,
}

impl Default for ExactTable {
    fn default() -> Self {
        Self::with_capacity(0)
    }
}

impl ExactTable {
    /// Room for this many numbers.
    pub(super) fn with_capacity(numbers: usize) -> Self {
        let slots = (numbers.max(1) * 2).next_power_of_two();
        Self {
            slots: vec![0; slots].into(),
            shift: 64 - slots.ilog2(),
            wide: HashMap::new(),
        }
    }

    #[inline]
    pub(super) fn get(&self, number: E164) -> SetId {
        let slot = self.slots[self.place(number.get())];
        match slot & WIDE {
            _ if slot == 0 => SetId::EMPTY,
            WIDE => self.wide.get(&number.get()).copied().unwrap_or_default(),
            set => SetId(set as u32),
        }
    }

    /// Looks at the slots where look-ups of these numbers begin. None of these reads waits for another, so the processor
    /// has many of them under way at once; one look-up after the other would wait for memory each time.
    #[inline]
    pub(super) fn touch(&self, numbers: &[u64]) {
        let seen = numbers.iter().fold(0, |seen, &number| {
            seen ^ self.slots.get(self.home(number)).copied().unwrap_or(0)
        });
        std::hint::black_box(seen);
    }

    /// Replaces the number's set. At most as many different numbers as the capacity.
    pub(super) fn update(&mut self, number: E164, change: impl FnOnce(SetId) -> SetId) {
        let set = change(self.get(number));
        let place = self.place(number.get());
        let stored = u64::from(set.0);
        if stored >= WIDE {
            self.wide.insert(number.get(), set);
        }
        self.slots[place] = number.get() << SET_BITS | stored.min(WIDE);
    }

    pub(super) fn memory(&self) -> usize {
        size_of_val::<[u64]>(&self.slots) + self.wide.capacity() * size_of::<(u64, SetId)>()
    }

    /// Where a search for the number begins.
    #[inline]
    fn home(&self, number: u64) -> usize {
        (number.wrapping_mul(SPREAD) >> self.shift) as usize & (self.slots.len() - 1)
    }

    /// The number's slot, or the free one where it would go.
    #[inline]
    fn place(&self, number: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut place = self.home(number);
        while self.slots[place] != 0 && self.slots[place] >> SET_BITS != number {
            place = (place + 1) & mask;
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_more_sets_than_a_slot_can_name() {
        let mut table = ExactTable::with_capacity(40_000);
        let number = |index: u32| E164::new(u64::from(index) + 10_000_000).unwrap();
        (1..40_000).for_each(|index| table.update(number(index), |_| SetId(index)));
        assert!((1..40_000).all(|index| table.get(number(index)) == SetId(index)));
        assert_eq!(table.get(number(50_000)), SetId::EMPTY);
    }
}
