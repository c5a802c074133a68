//! Calls as rows hold them, decided again: what simulation replays.
//!
//! Numbers, classes and direction are taken as recorded; whether a destination is protected is asked of the policy at hand, so
//! that one which protects more, or less, decides as it would on the wire. Rate conditions count as on the edges: each device for
//! itself, with the bounded counters of the wire; they are right where the calls come in order of time.
use std::collections::HashMap;

use ringfence_numbers::{Direction, E164, NumberClass, Party};

use crate::{Action, Call, Decision, DynamicEntries, RateCounters, Reason, Snapshot};

/// One call as a row holds it.
#[derive(Debug, Clone, Copy)]
pub struct RecordedCall<'a> {
    /// When it came, microseconds since 1970 UTC.
    pub time_us: i64,
    /// Which edge it came to.
    pub device: i16,
    /// E.164 digits, 0 for none.
    pub source: i64,
    /// `NumberClass` as a number.
    pub source_class: i16,
    /// E.164 digits, 0 for none.
    pub destination: i64,
    /// `NumberClass` as a number.
    pub destination_class: i16,
    /// `Direction` as a number.
    pub direction: i16,
    /// What was asked for; needed where there is no number.
    pub destination_raw: &'a [u8],
}

impl RecordedCall<'_> {
    /// The call as `snapshot` would see it; `None` when what was asked for is no number at all.
    fn under(&self, snapshot: &Snapshot) -> Option<Call> {
        Some(Call {
            source: party(self.source, self.source_class),
            destination: self.destination_under(snapshot)?,
            direction: Direction::from_code(self.direction).unwrap_or(Direction::Unknown),
        })
    }

    fn destination_under(&self, snapshot: &Snapshot) -> Option<Party> {
        if let Some(number) = e164(self.destination) {
            return Some(if snapshot.plan().protects(number) {
                Party {
                    number: Some(number),
                    class: NumberClass::Emergency,
                }
            } else {
                Party::number(number)
            });
        }
        let is_digits =
            !self.destination_raw.is_empty() && self.destination_raw.iter().all(u8::is_ascii_digit);
        is_digits.then(|| snapshot.plan().normalise_enum_name(self.destination_raw))
    }
}

fn party(digits: i64, class: i16) -> Party {
    let class = NumberClass::from_code(class).unwrap_or(NumberClass::Invalid);
    match e164(digits) {
        Some(number) => Party {
            number: Some(number),
            class,
        },
        None => Party::without_number(class),
    }
}

fn e164(digits: i64) -> Option<E164> {
    u64::try_from(digits).ok().and_then(E164::new)
}

/// Rate conditions of every device while calls are replayed.
#[derive(Debug, Default)]
pub struct Replay {
    rates: HashMap<i16, RateCounters>,
}

impl Replay {
    /// The decision that `snapshot` makes for the next call.
    #[inline]
    pub fn decide(
        &mut self,
        snapshot: &Snapshot,
        recorded: &RecordedCall<'_>,
        entries: &DynamicEntries,
    ) -> Decision {
        let Some(call) = recorded.under(snapshot) else {
            return Decision::without_rule(Action::None, Reason::NotANumber);
        };
        // The counters are looked up only where a rate condition is reached.
        snapshot.decide_with(&call, recorded.time_us, entries, |rule| match &rule.rate {
            None => true,
            Some(rate) => self.rates.entry(recorded.device).or_default().is_above(
                rule.id,
                rate,
                &call,
                recorded.time_us,
            ),
        })
    }
}

impl Snapshot {
    /// Whether a rule that acts has a rate condition: then calls must be replayed in order of time.
    #[must_use]
    pub fn has_rates(&self) -> bool {
        self.rules
            .iter()
            .any(|rule| rule.rate.is_some() && rule.mode != crate::Mode::Off)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(protected: &str) -> Snapshot {
        let document = format!(
            r#"{{"format":1,"version":1,"site":{{"country_code":"1"}},"protected":{protected},"rules":[{{"id":1,"name":"all",
            "mode":"enforce","direction":"any","sources":[],"destinations":[],"action":"terminate","target":null,
            "schedule":null,"rate":null}}]}}"#
        );
        Snapshot::from_bytes(document.as_bytes()).unwrap()
    }

    fn reason(protected: &str, destination: i64, class: i16, raw: &str) -> Reason {
        let call = RecordedCall {
            time_us: 0,
            device: 1,
            source: 12_105_550_123,
            source_class: 1,
            destination,
            destination_class: class,
            direction: 0,
            destination_raw: raw.as_bytes(),
        };
        let snapshot = snapshot(protected);
        Replay::default()
            .decide(&snapshot, &call, &DynamicEntries::default())
            .reason
    }

    #[test]
    fn what_is_protected_is_asked_of_the_policy_at_hand() {
        let number = 18_005_550_100;
        assert_eq!(reason("[]", number, 1, ""), Reason::Rule);
        assert_eq!(
            reason(r#"["+18005550100"]"#, number, 1, ""),
            Reason::Protected
        );
        assert_eq!(reason("[]", number, 5, ""), Reason::Rule);
        assert_eq!(reason(r#"["988"]"#, 0, 6, "988"), Reason::Protected);
        assert_eq!(reason("[]", 0, 5, "988"), Reason::Rule);
    }

    #[test]
    fn a_name_that_is_no_number_gets_no_opinion() {
        assert_eq!(reason("[]", 0, 4, "x.y.example"), Reason::NotANumber);
        assert_eq!(reason("[]", 0, 4, ""), Reason::NotANumber);
    }
}
