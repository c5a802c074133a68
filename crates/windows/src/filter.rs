//! Which calls count for a detection, and for which key.

use std::collections::HashMap;

use ringfence_numbers::{E164, NumberSet};

use crate::call::Call;
use crate::spec::{FilterSpec, KeySpec, PartySpec, Place};

/// What calls are counted for. What the two values are says the detection: numbers, a prefix, a site's or device's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub u64, pub u64);

#[derive(Debug)]
pub(crate) struct Filter {
    spec: FilterSpec,
}

impl Filter {
    pub(crate) const fn new(spec: FilterSpec) -> Self {
        Self { spec }
    }

    /// The cheapest questions first.
    pub(crate) fn lets_pass(
        &self,
        call: &Call,
        sets: &[NumberSet],
        places: &HashMap<i16, Place>,
    ) -> bool {
        let spec = &self.spec;
        has(spec.directions, call.direction)
            && has(spec.call_types, call.call_type)
            && has(spec.outcomes, call.outcome)
            && has(spec.trunk_sides, call.trunk_side)
            && has(spec.source_classes, call.source_class)
            && has(spec.destination_classes, call.destination_class)
            && spec.duration_ms.is_none_or(|(least, most)| {
                call.duration_ms >= 0 && (least..=most).contains(&call.duration_ms)
            })
            && spec
                .devices
                .as_ref()
                .is_none_or(|devices| devices.contains(&call.device))
            && spec
                .same_prefix
                .is_none_or(|digits| begin_alike(call, digits))
            && spec
                .foreign
                .is_none_or(|wanted| is_foreign(call, places) == Some(wanted))
            && spec
                .intervals_us
                .as_ref()
                .is_none_or(|intervals| is_within(intervals, call.time_us))
            && is_in(&spec.source, call.source, sets)
            && is_in(&spec.destination, call.destination, sets)
    }
}

/// The key of a call; None where it has none, such as a caller without a number.
pub(crate) fn key_of(kind: KeySpec, call: &Call, places: &HashMap<i16, Place>) -> Option<Key> {
    let number = |number: u64| (number > 0).then_some(number);
    match kind {
        KeySpec::Source => number(call.source).map(|source| Key(source, 0)),
        KeySpec::Destination => number(call.destination).map(|destination| Key(destination, 0)),
        KeySpec::Pair => Some(Key(number(call.source)?, number(call.destination)?)),
        KeySpec::SourcePrefix(digits) => {
            number(call.source).map(|source| Key(leading(source, digits), 0))
        }
        KeySpec::DestinationPrefix(digits) => {
            number(call.destination).map(|called| Key(leading(called, digits), 0))
        }
        KeySpec::Country => u64::try_from(call.country)
            .ok()
            .filter(|&id| id > 0)
            .map(|id| Key(id, 0)),
        KeySpec::Site => {
            let place = places.get(&call.device)?;
            u64::try_from(place.site).ok().map(|site| Key(site, 0))
        }
        KeySpec::Device => u64::try_from(call.device).ok().map(|device| Key(device, 0)),
        KeySpec::All => Some(Key(0, 0)),
    }
}

const fn has(mask: u32, word: u8) -> bool {
    mask == 0 || (word < 32 && mask & (1 << word) != 0)
}

fn is_in(party: &PartySpec, number: u64, sets: &[NumberSet]) -> bool {
    if party.all_of.is_empty() && party.none_of.is_empty() {
        return true;
    }
    let Some(number) = E164::new(number) else {
        return party.all_of.is_empty();
    };
    let holds = |&set: &usize| sets.get(set).is_some_and(|set| set.contains(number));
    party.all_of.iter().all(holds) && !party.none_of.iter().any(holds)
}

/// None: one of the two countries is not known.
fn is_foreign(call: &Call, places: &HashMap<i16, Place>) -> Option<bool> {
    let home = places.get(&call.device)?.country;
    (call.country != 0).then_some(call.country != home)
}

fn is_within(intervals: &[(i64, i64)], time_us: i64) -> bool {
    let after = intervals.partition_point(|&(from, _)| from <= time_us);
    after
        .checked_sub(1)
        .and_then(|place| intervals.get(place))
        .is_some_and(|&(_, to)| time_us < to)
}

fn begin_alike(call: &Call, digits: u32) -> bool {
    call.source > 0
        && call.destination > 0
        && call.source != call.destination
        && leading(call.source, digits) == leading(call.destination, digits)
}

/// The first digits of a number; all of it where it has no more.
fn leading(number: u64, digits: u32) -> u64 {
    let length = number.checked_ilog10().map_or(1, |log| log + 1);
    number / 10_u64.pow(length.saturating_sub(digits))
}
