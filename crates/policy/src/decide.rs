//! The decision: number → sets of lists → bits of rules, then the few rules left in order.
use ringfence_numbers::{NumberClass, Party};

use crate::bits::words_for;
use crate::document::Mode;
use crate::snapshot::{Call, CompiledRule, Snapshot};
use crate::{Action, Decision, DynamicEntries, RateCounters, Reason};

impl Snapshot {
    /// Decides one call at `now_us`, microseconds since 1970 UTC.
    ///
    /// The first enforced rule that matches decides; monitored rules that match before it are noted. Rate conditions count the
    /// call where their rule is reached and its other conditions hold. `entries` are those of the dynamic lists.
    #[must_use]
    pub fn decide(
        &self,
        call: &Call,
        now_us: i64,
        rates: &RateCounters,
        entries: &DynamicEntries,
    ) -> Decision {
        self.decide_with(call, now_us, entries, |rule| match &rule.rate {
            Some(rate) => rates.is_above(rule.id, rate, call, now_us),
            None => true,
        })
    }

    /// As [`Self::decide`], with the rate conditions answered by `is_above`.
    pub(crate) fn decide_with(
        &self,
        call: &Call,
        now_us: i64,
        entries: &DynamicEntries,
        mut is_above: impl FnMut(&CompiledRule) -> bool,
    ) -> Decision {
        if call.destination.class == NumberClass::Emergency {
            return Decision::without_rule(Action::Allow, Reason::Protected);
        }
        let mut decision = Decision::without_rule(Action::Allow, Reason::Default);
        let direction = &self.directions[call.direction as usize];
        let mut sources = self.sources.satisfied(&self.numbers, &call.source);
        let mut destinations = self
            .destinations
            .satisfied(&self.numbers, &call.destination);
        let (source, destination) = (call.source.number, call.destination.number);
        if !self.expiring.is_empty() {
            self.add_expiring(&mut sources, &self.sources, source, now_us);
            self.add_expiring(&mut destinations, &self.destinations, destination, now_us);
        }
        if self.has_dynamic_lists() && !entries.is_empty() {
            self.add_dynamic(&mut sources, &self.sources, source, entries, now_us);
            self.add_dynamic(
                &mut destinations,
                &self.destinations,
                destination,
                entries,
                now_us,
            );
        }
        for word in 0..words_for(self.rules.len()) {
            let mut candidates =
                direction.word(word) & sources.word(word) & destinations.word(word);
            while candidates != 0 {
                let rule = &self.rules[word * 64 + candidates.trailing_zeros() as usize];
                candidates &= candidates - 1;
                if !self.is_in_schedule(rule, now_us) || !is_above(rule) {
                    continue;
                }
                if rule.mode == Mode::Monitor {
                    decision.monitored.push(rule.id);
                    continue;
                }
                decision.action = rule.action;
                decision.reason = Reason::Rule;
                decision.rule_id = rule.id;
                decision.target = rule.target;
                return decision;
            }
        }
        decision
    }

    pub(crate) fn is_in_schedule(&self, rule: &CompiledRule, now_us: i64) -> bool {
        rule.schedule
            .is_none_or(|place| self.schedules[place].is_open(now_us))
    }
}

/// How a party is told apart in rate conditions: its number, else its class.
pub(crate) trait RateKeyed {
    fn rate_key(&self) -> u64;
}

impl RateKeyed for Party {
    fn rate_key(&self) -> u64 {
        match self.digits() {
            0 => 1 << 63 | self.class as u64,
            digits => digits,
        }
    }
}
