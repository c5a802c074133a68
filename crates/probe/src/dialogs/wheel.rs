//! Timers of calls: a wheel of seconds.
//!
//! Each call is in at most one second's list. A deadline that moves away leaves the call where it is: when that second
//! comes, the call is asked again. Only a deadline that comes nearer moves it. So a message costs nothing here.

/// Seconds the wheel reaches ahead; later deadlines are looked at again when it has turned.
const REACH: usize = 4096;
const NIL: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Link {
    next: u32,
    previous: u32,
    /// Second in which the call is looked at.
    at: i64,
}

const LOOSE: Link = Link {
    next: NIL,
    previous: NIL,
    at: i64::MAX,
};

/// The wheel. Calls are known by the number of their slot.
#[derive(Debug)]
pub(super) struct Wheel {
    heads: Vec<u32>,
    links: Vec<Link>,
    /// Everything up to this second has been looked at.
    now: Option<i64>,
}

impl Wheel {
    pub(super) fn new() -> Self {
        Self {
            heads: vec![NIL; REACH],
            links: Vec::new(),
            now: None,
        }
    }

    /// Sees to it that the slot is looked at no later than in this second.
    #[inline]
    pub(super) fn schedule(&mut self, slot: u32, second: i64) {
        let now = self.now.unwrap_or(second);
        let second = second.clamp(now + 1, now + REACH as i64 - 1);
        let index = slot as usize;
        if index >= self.links.len() {
            self.links.resize(index + 1, LOOSE);
        }
        match self.links.get(index) {
            Some(link) if link.at <= second => return,
            Some(link) if link.at != i64::MAX => self.remove(slot),
            _ => {}
        }
        let bucket = bucket(second);
        let head = self.heads.get(bucket).copied().unwrap_or(NIL);
        if let Some(link) = self.links.get_mut(index) {
            *link = Link {
                next: head,
                previous: NIL,
                at: second,
            };
        }
        if let Some(link) = self.links.get_mut(head as usize) {
            link.previous = slot;
        }
        if let Some(place) = self.heads.get_mut(bucket) {
            *place = slot;
        }
    }

    /// Takes a slot out.
    pub(super) fn remove(&mut self, slot: u32) {
        let Some(place) = self.links.get_mut(slot as usize) else {
            return;
        };
        let link = core::mem::replace(place, LOOSE);
        if link.at == i64::MAX {
            return;
        }
        if let Some(next) = self.links.get_mut(link.next as usize) {
            next.previous = link.previous;
        }
        match self.links.get_mut(link.previous as usize) {
            Some(previous) => previous.next = link.next,
            None => {
                if let Some(head) = self.heads.get_mut(bucket(link.at)) {
                    *head = link.next;
                }
            }
        }
    }

    /// Turns to a second; what is to be looked at until then goes to `due`. A clock that goes back a little turns nothing.
    pub(super) fn turn(&mut self, second: i64, due: &mut Vec<u32>) {
        let Some(now) = self.now else {
            self.now = Some(second);
            return;
        };
        if second <= now {
            // One wrong time far ahead must not stop the wheel for good.
            if second.saturating_add(REACH as i64) < now {
                self.now = Some(second);
            }
            return;
        }
        // Whatever was to come before is in one of the wheel's lists, however far time has jumped.
        let first = (now + 1).max(second.saturating_sub(REACH as i64 - 1));
        for passed in first..=second {
            let Some(head) = self.heads.get_mut(bucket(passed)) else {
                continue;
            };
            let mut slot = core::mem::replace(head, NIL);
            while let Some(link) = self.links.get_mut(slot as usize) {
                due.push(slot);
                slot = core::mem::replace(link, LOOSE).next;
            }
        }
        self.now = Some(second);
    }

    /// Whether turning to a second would do anything.
    #[inline]
    pub(super) fn is_behind(&self, second: i64) -> bool {
        self.now
            .is_none_or(|now| second > now || second.saturating_add(REACH as i64) < now)
    }
}

const fn bucket(second: i64) -> usize {
    second.rem_euclid(REACH as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turned(wheel: &mut Wheel, second: i64) -> Vec<u32> {
        let mut due = Vec::new();
        wheel.turn(second, &mut due);
        due.sort_unstable();
        due
    }

    #[test]
    fn each_slot_comes_once_in_its_second() {
        let mut wheel = Wheel::new();
        assert!(turned(&mut wheel, 100).is_empty());
        for slot in 0..10 {
            wheel.schedule(slot, 105);
        }
        wheel.schedule(3, 103); // nearer: moves
        wheel.schedule(4, 110); // further: stays
        wheel.remove(5);
        assert_eq!(turned(&mut wheel, 103), [3]);
        assert_eq!(turned(&mut wheel, 200), [0, 1, 2, 4, 6, 7, 8, 9]);
        assert!(turned(&mut wheel, 10_000).is_empty());
    }

    #[test]
    fn a_jump_of_time_brings_all_and_a_step_back_none() {
        let mut wheel = Wheel::new();
        turned(&mut wheel, 0);
        wheel.schedule(1, 7);
        wheel.schedule(2, 1_000_000); // beyond its reach: looked at when it has turned
        assert!(turned(&mut wheel, -50).is_empty());
        assert_eq!(turned(&mut wheel, i64::MAX - 10_000), [1, 2]);
    }
}
