//! Sequence numbers (RFC 3550, appendix A.1): what came, what came again, what came late, what never came.
//!
//! ```text
//!  highest ─┐             each packet shifts; a bit that falls out on the left is final:
//!   …110111101            nought there is a packet that never came
//! ```

/// A jump further ahead than this is another source, not loss (RFC 3550: MAX_DROPOUT).
const MAX_DROPOUT: u16 = 3000;
/// A packet further behind than this is another source, not late (RFC 3550: MAX_MISORDER).
const MAX_MISORDER: u16 = 100;
/// So many packets received between two losses end a burst (RFC 3611, section 4.7.2: Gmin).
const BURST_GAP: u32 = 16;

/// What a packet's sequence number said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// The next one.
    Next,
    /// After a hole of so many.
    Ahead(u16),
    /// Filled a hole, or came before the first.
    Late,
    /// Seen before.
    Duplicate,
    /// Far off: counted when the next one follows it.
    Suspect,
    /// The source began anew.
    Restarted,
}

/// Accounts for the sequence numbers of one source. Late packets are told from copies within 128 packets.
#[derive(Clone, Copy, Debug)]
pub struct Sequence {
    window: u128,
    highest: u16,
    suspect: u16,
    has_suspect: bool,
    /// Distance from the lowest to the highest number, plus one, and the same of sources that were before.
    expected: u32,
    received: u32,
    duplicates: u32,
    reordered: u32,
    forgiven: u32,
    run: u32,
    longest_run: u32,
    since_loss: u32,
    burst_losses: u32,
    bursts: u32,
}

/// The sums.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Sums {
    /// Different packets that came.
    pub received: u32,
    /// Packets that should have come.
    pub expected: u32,
    /// Packets that never came, without those that the probe lost.
    pub lost: u32,
    /// Copies.
    pub duplicates: u32,
    /// Packets that came after a later one.
    pub reordered: u32,
    /// Bursts: two losses or more with fewer than sixteen packets between any two (RFC 3611).
    pub bursts: u32,
    /// The longest run without a packet.
    pub longest_run: u32,
    /// Packets that the probe lost.
    pub lost_by_probe: u32,
}

impl Sequence {
    /// Begins with the first packet.
    #[must_use]
    pub const fn new(first: u16) -> Self {
        Self {
            // What lies before the first packet is not missing.
            window: u128::MAX,
            highest: first,
            suspect: 0,
            has_suspect: false,
            expected: 1,
            received: 1,
            duplicates: 0,
            reordered: 0,
            forgiven: 0,
            run: 0,
            longest_run: 0,
            since_loss: BURST_GAP,
            burst_losses: 0,
            bursts: 0,
        }
    }

    /// Takes the next packet.
    #[inline]
    pub fn take(&mut self, number: u16) -> Place {
        let ahead = number.wrapping_sub(self.highest);
        if ahead == 1 {
            self.highest = number;
            let has_gone = self.window >> 127 & 1 == 0;
            self.window = self.window << 1 | 1;
            self.expected += 1;
            self.received += 1;
            if has_gone || self.run > 0 || self.since_loss < BURST_GAP {
                self.settle(!has_gone);
            }
            return Place::Next;
        }
        self.take_odd(number, ahead)
    }

    #[cold]
    fn take_odd(&mut self, number: u16, ahead: u16) -> Place {
        if ahead == 0 {
            self.duplicates += 1;
            return Place::Duplicate;
        }
        if ahead < MAX_DROPOUT {
            self.has_suspect = false;
            for _ in 0..ahead {
                let is_there = self.window >> 127 & 1 == 1;
                self.window <<= 1;
                self.settle(is_there);
            }
            self.window |= 1;
            self.highest = number;
            self.expected += u32::from(ahead);
            self.received += 1;
            return Place::Ahead(ahead - 1);
        }
        let behind = self.highest.wrapping_sub(number);
        if behind <= MAX_MISORDER {
            return self.take_late(behind);
        }
        if self.has_suspect && number == self.suspect {
            self.restart(number);
            return Place::Restarted;
        }
        self.has_suspect = true;
        self.suspect = number.wrapping_add(1);
        Place::Suspect
    }

    fn take_late(&mut self, behind: u16) -> Place {
        let bit = 1_u128 << behind;
        let since_first = self.expected - 1;
        let lies_before = u32::from(behind) > since_first;
        if lies_before {
            // Before the first packet seen: the window says "there", though nothing has come.
            let distance = u32::from(behind) - since_first;
            self.window &= !(((1_u128 << distance) - 1) << (since_first + 1));
            self.expected += distance;
        } else if self.window & bit != 0 {
            self.duplicates += 1;
            return Place::Duplicate;
        }
        self.window |= bit;
        self.received += 1;
        self.reordered += 1;
        Place::Late
    }

    fn restart(&mut self, number: u16) {
        self.flush();
        self.window = u128::MAX;
        self.highest = number;
        self.has_suspect = false;
        // The suspect before this one was its first packet.
        self.expected += 2;
        self.received += 2;
    }

    /// The hole in front of the packet just taken was made by the probe: nobody's loss.
    pub fn forgive(&mut self, packets: u16) {
        let packets = u32::from(packets);
        let bits = packets.min(126);
        self.window |= ((1_u128 << bits) - 1) << 1;
        self.forgiven += packets;
        // A hole longer than the window has been settled as loss in part.
        self.run = 0;
    }

    /// A place became final: `is_there` or lost.
    fn settle(&mut self, is_there: bool) {
        if is_there {
            self.run = 0;
            self.since_loss = self.since_loss.saturating_add(1);
            if self.since_loss == BURST_GAP {
                self.burst_losses = 0;
            }
            return;
        }
        self.run += 1;
        self.longest_run = self.longest_run.max(self.run);
        self.burst_losses += 1;
        self.bursts += u32::from(self.burst_losses == 2);
        self.since_loss = 0;
    }

    /// Makes everything in the window final.
    fn flush(&mut self) {
        for place in (0..128).rev() {
            self.settle(self.window >> place & 1 == 1);
        }
        self.burst_losses = 0;
        self.since_loss = BURST_GAP;
        self.run = 0;
    }

    /// Different packets that came until now.
    #[must_use]
    pub const fn received(&self) -> u32 {
        self.received
    }

    /// The sums, with what is still in the window taken as final.
    #[must_use]
    pub fn sums(&self) -> Sums {
        let mut whole = *self;
        whole.flush();
        let missing = whole.expected.saturating_sub(whole.received);
        let lost_by_probe = whole.forgiven.min(missing);
        Sums {
            received: whole.received,
            expected: whole.expected,
            lost: missing - lost_by_probe,
            duplicates: whole.duplicates,
            reordered: whole.reordered,
            bursts: whole.bursts,
            longest_run: whole.longest_run,
            lost_by_probe,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sums(numbers: impl IntoIterator<Item = u16>) -> Sums {
        let mut numbers = numbers.into_iter();
        let mut sequence = Sequence::new(numbers.next().unwrap());
        numbers.for_each(|number| {
            sequence.take(number);
        });
        sequence.sums()
    }

    #[test]
    fn counts_across_the_wrap() {
        let result = sums([65_534, 65_535, 1, 0, 2, 2, 5]);
        assert_eq!((result.received, result.expected, result.lost), (6, 8, 2));
        assert_eq!(
            (result.duplicates, result.reordered, result.longest_run),
            (1, 1, 2)
        );
    }

    #[test]
    fn a_packet_before_the_first_one_is_late_and_no_loss() {
        let result = sums([10, 8, 11, 9]);
        assert_eq!(
            (
                result.received,
                result.expected,
                result.lost,
                result.reordered
            ),
            (4, 4, 0, 2)
        );
    }

    #[test]
    fn a_source_that_begins_anew_has_lost_nothing() {
        let result = sums((100..200).chain(30_000..30_100));
        assert_eq!(
            (result.received, result.expected, result.lost),
            (200, 200, 0)
        );
        assert_eq!(
            sums([1, 2, 3, 40_000, 4, 5]).lost,
            0,
            "a single stray packet is nobody's"
        );
    }

    #[test]
    fn bursts_are_those_of_rfc_3611() {
        let lost = [20, 21, 25, 60, 100, 110];
        let result = sums((0..200).filter(|number| !lost.contains(number)));
        assert_eq!((result.lost, result.bursts, result.longest_run), (6, 2, 2));
    }

    #[test]
    fn what_the_probe_lost_is_not_lost() {
        let mut sequence = Sequence::new(0);
        for number in 1..50 {
            sequence.take(number);
        }
        assert_eq!(sequence.take(90), Place::Ahead(40));
        sequence.forgive(40);
        let result = sequence.sums();
        assert_eq!(
            (
                result.lost,
                result.lost_by_probe,
                result.bursts,
                result.longest_run
            ),
            (0, 40, 0, 0)
        );
    }

    proptest! {
        /// Against sets: any order within the window, any copies, any loss.
        #[test]
        fn agrees_with_a_plain_count(
            first in any::<u16>(),
            keep in prop::collection::vec((any::<bool>(), 0_u8..5, 0_u16..40), 2..400),
        ) {
            let mut arrivals: Vec<(u32, u32)> = Vec::new();
            for (index, (is_kept, copies, delay)) in keep.iter().enumerate() {
                let index = index as u32;
                if *is_kept || index == 0 {
                    arrivals.push((index + u32::from(*delay), index));
                    if *copies == 0 {
                        arrivals.push((index + u32::from(*delay) + 3, index));
                    }
                }
            }
            arrivals.sort();
            let mut seen = std::collections::BTreeSet::new();
            let (mut duplicates, mut reordered) = (0, 0);
            for (_, index) in &arrivals {
                if seen.contains(index) {
                    duplicates += 1;
                    continue;
                }
                reordered += u32::from(seen.last().is_some_and(|last| last > index));
                seen.insert(*index);
            }
            let expected = seen.last().unwrap() - seen.first().unwrap() + 1;
            let result = sums(arrivals.iter().map(|(_, index)| first.wrapping_add(*index as u16)));
            prop_assert_eq!(result.received as usize, seen.len());
            prop_assert_eq!((result.duplicates, result.reordered), (duplicates, reordered));
            prop_assert_eq!((result.expected, result.lost), (expected, expected - seen.len() as u32));
        }
    }
}
