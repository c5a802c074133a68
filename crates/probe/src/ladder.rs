//! The SIP messages of calls in progress, for the ladder: masked, and bounded for each call and in all.
//!
//! Stands beside the call table: it is told each message of a call, and gives them up with the call's record. A call that
//! is dropped without a record leaves its messages here: the oldest go when there is no room.
use core::net::SocketAddr;
use std::collections::BTreeMap;

use ringfence_voice_wire::sip::mask;
use serde::{Serialize, Serializer};

use crate::dialogs::Arrival;
use crate::record::{CallKey, Text, Transport};

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LadderLimits {
    /// Octets of one call; further messages of it are counted only.
    pub call_octets: usize,
    /// Octets of all calls in progress.
    pub octets: usize,
}

impl Default for LadderLimits {
    fn default() -> Self {
        Self {
            call_octets: 64 << 10,
            octets: 64 << 20,
        }
    }
}

/// One message of a call, as it is shown: without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LadderMessage {
    /// Capture time, microseconds since 1970 UTC.
    pub time_us: i64,
    /// Who sent it.
    pub source: SocketAddr,
    /// To whom.
    pub destination: SocketAddr,
    /// How.
    pub transport: Transport,
    /// The whole message, secrets covered.
    #[serde(serialize_with = "as_text")]
    pub text: Vec<u8>,
}

/// The messages of one call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Ladder {
    /// As they were captured.
    pub messages: Vec<LadderMessage>,
    /// Messages that there was no room for.
    pub left_out: u32,
    #[serde(skip)]
    octets: usize,
}

/// Ladders of the calls in progress.
#[derive(Debug, Default)]
pub struct Ladders {
    limits: LadderLimits,
    // Keys grow with time, so the first is the oldest call.
    calls: BTreeMap<CallKey, Ladder>,
    octets: usize,
    forgotten: u64,
}

impl Ladders {
    /// No call yet.
    pub fn new(limits: LadderLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// A message of a call.
    pub fn add(&mut self, call: CallKey, arrival: &Arrival, message: &[u8]) {
        let ladder = self.calls.entry(call).or_default();
        if ladder.octets + message.len() > self.limits.call_octets {
            ladder.left_out = ladder.left_out.saturating_add(1);
            return;
        }
        let mut text = message.to_vec();
        mask(&mut text);
        ladder.octets += text.len();
        self.octets += text.len();
        ladder.messages.push(LadderMessage {
            time_us: arrival.time_us,
            source: arrival.source,
            destination: arrival.destination,
            transport: arrival.transport,
            text,
        });
        while self.octets > self.limits.octets {
            let Some((_, oldest)) = self.calls.pop_first() else {
                return;
            };
            self.octets -= oldest.octets;
            self.forgotten += 1;
        }
    }

    /// The messages of a call that is over.
    pub fn take(&mut self, call: CallKey) -> Ladder {
        let ladder = self.calls.remove(&call).unwrap_or_default();
        self.octets -= ladder.octets;
        ladder
    }

    /// Octets held.
    pub const fn octets(&self) -> usize {
        self.octets
    }

    /// Calls whose messages had to go before their record was made.
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

fn as_text<S: Serializer>(text: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    Text(text).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(time_us: i64) -> Arrival {
        Arrival {
            time_us,
            source: "192.0.2.1:5060".parse().unwrap(),
            destination: "192.0.2.2:5060".parse().unwrap(),
            transport: Transport::Udp,
            vlan: 0,
            is_truncated: false,
        }
    }

    #[test]
    fn a_call_gives_its_messages_once_and_without_secrets() {
        let mut ladders = Ladders::new(LadderLimits::default());
        let message =
            b"INVITE sip:b@x SIP/2.0\r\nAuthorization: Digest response=\"s3cret\"\r\n\r\n";
        ladders.add(CallKey(1), &arrival(5), message);
        ladders.add(CallKey(2), &arrival(6), b"BYE sip:b@x SIP/2.0\r\n\r\n");
        let ladder = ladders.take(CallKey(1));
        assert_eq!(ladder.messages.len(), 1);
        assert_eq!(ladder.messages[0].time_us, 5);
        let text = String::from_utf8(ladder.messages[0].text.clone()).unwrap();
        assert!(
            text.starts_with("INVITE") && !text.contains("s3cret"),
            "{text}"
        );
        assert_eq!(ladders.take(CallKey(1)), Ladder::default());
        ladders.take(CallKey(2));
        assert_eq!(ladders.octets(), 0);
    }

    #[test]
    fn a_long_call_keeps_its_first_messages_and_counts_the_others() {
        let mut ladders = Ladders::new(LadderLimits {
            call_octets: 100,
            octets: 1000,
        });
        for time in 0..5 {
            ladders.add(CallKey(1), &arrival(time), &[b'x'; 40]);
        }
        let ladder = ladders.take(CallKey(1));
        assert_eq!((ladder.messages.len(), ladder.left_out), (2, 3));
    }

    #[test]
    fn a_flood_of_calls_stays_within_its_room_and_the_oldest_go() {
        let mut ladders = Ladders::new(LadderLimits {
            call_octets: 100,
            octets: 1000,
        });
        for call in 0..10_000 {
            ladders.add(CallKey(call), &arrival(0), &[b'x'; 100]);
            assert!(ladders.octets() <= 1000);
        }
        assert_eq!(ladders.forgotten(), 9_990);
        assert!(ladders.take(CallKey(0)).messages.is_empty());
        assert_eq!(ladders.take(CallKey(9_999)).messages.len(), 1);
    }
}
