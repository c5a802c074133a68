//! Marks of a record.
use serde::{Serialize, Serializer};

/// What has to be known to read a record right; a set of bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallFlags(pub u32);

impl CallFlags {
    /// The INVITE was not captured; start is the first message that was.
    pub const START_MISSED: Self = Self(1);
    /// No end was seen.
    pub const END_MISSED: Self = Self(1 << 1);
    /// Given up for lack of room.
    pub const EVICTED: Self = Self(1 << 2);
    /// A message was captured in part (snap length).
    pub const TRUNCATED: Self = Self(1 << 3);
    /// The caller cancelled, but the answer came first.
    pub const CANCEL_LOST: Self = Self(1 << 4);
    /// Media was announced before the answer.
    pub const EARLY_MEDIA: Self = Self(1 << 5);
    /// T.38 was offered.
    pub const FAX: Self = Self(1 << 6);
    /// Video was accepted.
    pub const VIDEO: Self = Self(1 << 7);
    /// SRTP was agreed.
    pub const ENCRYPTED_MEDIA: Self = Self(1 << 8);
    /// Answered, but the ACK was not seen.
    pub const ACK_MISSED: Self = Self(1 << 9);
    /// The call goes on: a record of the live table, not of a call that is over.
    pub const IN_PROGRESS: Self = Self(1 << 10);
    /// The probe lost packets while the call was up.
    pub const PROBE_LOST_PACKETS: Self = Self(1 << 11);
    /// A REFER moved the call.
    pub const TRANSFERRED: Self = Self(1 << 12);
    /// Hung up or acknowledged, but the answer itself was not captured.
    pub const ANSWER_MISSED: Self = Self(1 << 13);

    const NAMES: [&'static str; 14] = [
        "start_missed",
        "end_missed",
        "evicted",
        "truncated",
        "cancel_lost",
        "early_media",
        "fax",
        "video",
        "encrypted_media",
        "ack_missed",
        "in_progress",
        "probe_lost_packets",
        "transferred",
        "answer_missed",
    ];

    /// Whether all bits of `other` are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Sets the bits of `other`.
    pub const fn set(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// The words of the bits that are set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES
            .into_iter()
            .enumerate()
            .filter(move |(bit, _)| self.0 >> bit & 1 == 1)
            .map(|(_, name)| name)
    }
}

impl Serialize for CallFlags {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}
