//! What a double tap shows twice is taken once: both sides of a SPAN session, a bond's members, a packet seen
//! before and after a router.
//!
//! A copy has the same addresses, ports and payload, and comes within milliseconds. A true retransmission of SIP comes
//! half a second later at the earliest (T1, RFC 3261, section 17.1.1.1), so a window of a few milliseconds eats none. RTP
//! does not pass here: its sequence numbers tell copies better.

use crate::decode::{Packet, hash_octets};

/// Datagrams remembered; at more than this many within the window, copies pass.
const SLOTS: usize = 8192;

/// The last datagrams, by their hash.
#[derive(Debug)]
pub struct Duplicates {
    slots: Box<[(u64, i64)]>,
    window_ns: i64,
    key: u64,
    removed: u64,
}

impl Duplicates {
    /// Copies within `window_ns` are removed; 0 removes none.
    #[must_use]
    pub fn new(window_ns: i64, key: u64) -> Self {
        Self {
            slots: vec![(0, i64::MIN); SLOTS].into(),
            window_ns,
            key,
            removed: 0,
        }
    }

    /// Copies removed until now.
    #[must_use]
    pub const fn removed(&self) -> u64 {
        self.removed
    }

    /// The same datagram passed a moment ago.
    pub fn is_copy(&mut self, packet: &Packet<'_>) -> bool {
        if self.window_ns == 0 {
            return false;
        }
        let hash = packet
            .flow
            .hash(hash_octets(packet.payload, self.key), self.key);
        let slot = &mut self.slots[hash as usize % SLOTS];
        if slot.0 == hash && packet.time_ns.abs_diff(slot.1) <= self.window_ns.unsigned_abs() {
            self.removed += 1;
            return true;
        }
        *slot = (hash, packet.time_ns);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Flow, Transport};

    fn packet(time_ns: i64, payload: &[u8]) -> Packet<'_> {
        Packet {
            time_ns,
            flow: Flow::default(),
            transport: Transport::Udp,
            payload,
            missing: 0,
            vlan: 0,
        }
    }

    #[test]
    fn takes_a_copy_within_the_window_once_and_leaves_a_retransmission() {
        let mut duplicates = Duplicates::new(5_000_000, 1);
        assert!(!duplicates.is_copy(&packet(0, b"BYE")));
        assert!(duplicates.is_copy(&packet(2_000, b"BYE")));
        assert!(!duplicates.is_copy(&packet(3_000, b"ACK")));
        assert!(
            !duplicates.is_copy(&packet(500_000_000, b"BYE")),
            "a retransmission after T1 is the sender's own"
        );
        assert_eq!(duplicates.removed(), 1);
    }
}
