//! Finds the legs of one call on both sides of a back-to-back user agent.
//!
//! A leg is looked up by what survives the passage, best first: Session-ID (RFC 7989), the charging id or a header that
//! names the other Call-ID, and last the numbers: the same source and destination within two seconds, one leg ending at
//! the address where the other begins. The table has a fixed size; a newer leg overwrites an older one in its place.
use core::net::IpAddr;

use ringfence_voice_wire::sip::{Header, charging_id};

use super::call::Call;
use super::fold::{fold, mix};
use super::incoming::Incoming;
use super::texts::Field;
use crate::record::{CallKey, CorrelatedBy, Text};

/// Legs remembered, a power of two: two seconds of 4,000 calls a second.
const PLACES: usize = 1 << 14;
/// Digits at the end of a number that survive rewriting of prefixes.
const DIGITS: usize = 9;

#[derive(Debug, Clone, Copy)]
struct Leg {
    /// Hash of what legs have in common; 0 for an empty place.
    trait_hash: u64,
    correlation_id: u64,
    call_id_hash: u64,
    time_us: i64,
    source: IpAddr,
    destination: IpAddr,
    slot: u32,
    key: CallKey,
}

/// Legs of the last seconds.
#[derive(Debug)]
pub(super) struct Correlator {
    legs: Vec<Option<Leg>>,
    window_us: i64,
}

/// The other leg, to be told.
#[derive(Debug, Clone, Copy)]
pub(super) struct OtherLeg {
    pub slot: u32,
    pub key: CallKey,
    pub by: CorrelatedBy,
}

impl Correlator {
    pub(super) fn new(window_us: i64) -> Self {
        Self {
            legs: vec![None; PLACES],
            window_us,
        }
    }

    /// Gives a new call its correlation id, that of another leg if one is found.
    pub(super) fn join(
        &mut self,
        call: &mut Call,
        slot: u32,
        incoming: &Incoming<'_>,
    ) -> Option<OtherLeg> {
        // Not keyed: two probes that see the same first leg come to the same id.
        let own = fold(0, incoming.call_id).max(1);
        call.correlation_id = own;
        let mut found = None;
        for (hash, by) in self.traits(call, incoming).into_iter().flatten() {
            let hash = hash.max(1);
            let Some(place) = self.legs.get_mut(hash as usize % PLACES) else {
                continue;
            };
            if found.is_none()
                && let Some(leg) = place.filter(|leg| {
                    leg.trait_hash == hash && is_other_leg(leg, call, own, by, self.window_us)
                })
            {
                call.correlation_id = leg.correlation_id;
                call.correlated_by = by;
                found = Some(OtherLeg {
                    slot: leg.slot,
                    key: leg.key,
                    by,
                });
            }
            *place = Some(Leg {
                trait_hash: hash,
                correlation_id: call.correlation_id,
                call_id_hash: own,
                time_us: call.moments.start,
                source: call.source.ip(),
                destination: call.destination.ip(),
                slot,
                key: call.key,
            });
        }
        found
    }

    fn traits(&self, call: &Call, incoming: &Incoming<'_>) -> [Option<(u64, CorrelatedBy)>; 4] {
        let message = &incoming.message;
        let session = call.texts.get(Field::SessionId);
        let session = (!session.is_empty()).then(|| {
            (
                fold(1, &session.0.to_ascii_lowercase()),
                CorrelatedBy::SessionId,
            )
        });
        let charging = message.get(Header::ChargingVector).and_then(charging_id);
        // A leg is remembered under its own Call-ID too, which the other leg's header names.
        let other = message.get(Header::OtherCallId).unwrap_or(incoming.call_id);
        [
            session,
            charging.map(|id| (fold(2, id), CorrelatedBy::Header)),
            Some((fold(3, other), CorrelatedBy::Header)),
            numbers(call).map(|hash| (hash, CorrelatedBy::Numbers)),
        ]
    }
}

fn is_other_leg(leg: &Leg, call: &Call, own: u64, by: CorrelatedBy, window_us: i64) -> bool {
    if leg.call_id_hash == own {
        return false;
    }
    by != CorrelatedBy::Numbers
        || leg.time_us.abs_diff(call.moments.start) <= window_us.unsigned_abs()
            && (leg.destination == call.source.ip() || leg.source == call.destination.ip())
}

/// Hash of both numbers as they look on any leg; `None` when one is missing.
fn numbers(call: &Call) -> Option<u64> {
    let record = call.parties_for_correlation();
    Some(mix(number_hash(record.0)?, number_hash(record.1)?))
}

fn number_hash(number: Text<'_>) -> Option<u64> {
    let mut hash = 4;
    let mut count = 0;
    for octet in number
        .0
        .iter()
        .rev()
        .filter(|octet| octet.is_ascii_alphanumeric())
        .take(DIGITS)
    {
        hash = mix(hash, u64::from(octet.to_ascii_lowercase()));
        count += 1;
    }
    (count > 0).then_some(hash)
}
