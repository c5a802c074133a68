//! Why a call is decided as it is: the decision, and a verdict for every rule (docs/contracts.md 4).
use std::net::IpAddr;

use jiff::Timestamp;
use ringfence_numbers::{NEVER, NumberClass, Party};
use serde::Serialize;

use crate::document::{Matcher, Mode, Rate};
use crate::snapshot::{Call, CompiledRule, Snapshot};
use crate::{Action, Answers, Decision, DynamicEntries, REGEXP_MAX, Reason, Values};

/// What `explain` answers, as it is shown.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// What is done.
    pub action: Action,
    /// Why.
    pub reason: Reason,
    /// Name of the deciding rule.
    pub rule: Option<String>,
    /// Its id, 0 for none.
    pub rule_id: u32,
    /// Where a redirect goes.
    pub target: Option<String>,
    /// The version that decided.
    pub policy_version: u32,
    /// Normalised, or the raw text.
    pub source: Option<String>,
    /// What the source turned out to be.
    pub source_class: &'static str,
    /// Normalised, or the raw text.
    pub destination: String,
    /// What the destination turned out to be.
    pub destination_class: &'static str,
    /// From the site's own ranges.
    pub direction: &'static str,
    /// Names of monitored rules that matched.
    pub monitored: Vec<String>,
    /// The NAPTR regexp; `{host}` is left where the asked apex fills it in, unless the asker knows it.
    pub answer: Option<String>,
    /// The NAPTR services field beside it.
    pub service: Option<String>,
    /// Every rule in order.
    pub rules: Vec<RuleVerdict>,
}

/// What became of one rule.
#[derive(Debug, Serialize)]
pub struct RuleVerdict {
    /// Id of the rule.
    pub id: u32,
    /// Name of the rule.
    pub name: String,
    /// Whether it acts.
    pub mode: Mode,
    /// What became of it.
    pub verdict: Verdict,
    /// In words.
    pub why: String,
    /// What did not hold, for a rule that was passed over.
    pub condition: Option<Condition>,
    /// The rate that a rule depends on.
    pub rate: Option<Rate>,
}

/// What a rule asks of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Its direction.
    Direction,
    /// Who calls.
    Source,
    /// Who is called.
    Destination,
    /// When.
    Schedule,
}

/// The SBC for which an answer is written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asker<'a> {
    /// Its address, which tells its profile.
    pub client: Option<IpAddr>,
    /// The apex that it asks under.
    pub apex: Option<&'a str>,
}

/// What became of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It decides.
    Decides,
    /// It matches, in monitor mode.
    WouldDecide,
    /// All but its rate holds: whether that is exceeded only the devices know.
    DependsOnRate,
    /// It does not match.
    PassedOver,
    /// The decision fell before it.
    NotReached,
    /// It is switched off.
    Off,
}

impl Snapshot {
    /// Explains a call at `now_us`. Rate conditions are taken as not exceeded: explaining counts no call.
    #[must_use]
    pub fn explain(
        &self,
        source: Option<&str>,
        destination: &str,
        now_us: i64,
        entries: &DynamicEntries,
    ) -> Explanation {
        self.explain_to(source, destination, now_us, entries, &Asker::default())
    }

    /// As [`Self::explain`], the answer written as this SBC gets it.
    #[must_use]
    pub fn explain_to(
        &self,
        source: Option<&str>,
        destination: &str,
        now_us: i64,
        entries: &DynamicEntries,
        asker: &Asker<'_>,
    ) -> Explanation {
        let from = source.map_or(Party::ABSENT, |text| self.plan.normalise(text.as_bytes()));
        let to = self.plan.normalise(destination.as_bytes());
        let call = self.call(from, to);
        let decision = self.decide_with(&call, now_us, entries, |rule| rule.rate.is_none());
        let verdicts = Walk {
            snapshot: self,
            call: &call,
            now_us,
            entries,
        }
        .verdicts();
        let name = |id: u32| {
            self.rules
                .iter()
                .find(|rule| rule.id == id)
                .map(|rule| rule.name.clone())
        };
        let answers = self.answers_to(asker);
        Explanation {
            action: decision.action,
            reason: decision.reason,
            rule: name(decision.rule_id),
            rule_id: decision.rule_id,
            target: decision.target.map(|target| target.to_string()),
            policy_version: self.version,
            source: shown(&from, source.filter(|text| !text.is_empty())),
            source_class: from.class.word(),
            destination: shown(&to, Some(destination)).unwrap_or_default(),
            destination_class: to.class.word(),
            direction: call.direction.word(),
            monitored: decision
                .monitored
                .as_slice()
                .iter()
                .filter_map(|&id| name(id))
                .collect(),
            answer: answer_text(&answers, &decision, &call, destination),
            service: answers
                .template(decision.action)
                .map(|_| answers.service().to_owned()),
            rules: verdicts,
        }
    }

    fn answers_to(&self, asker: &Asker<'_>) -> Answers {
        let profile = asker.client.and_then(|client| self.profile_of(client));
        let answers = profile.map_or(&self.answers, |id| &self.profiles[id.index()]);
        match asker.apex.map(|apex| answers.for_host(apex)) {
            Some(Ok(filled)) => filled,
            _ => answers.clone(),
        }
    }
}

fn answer_text(
    answers: &Answers,
    decision: &Decision,
    call: &Call,
    destination: &str,
) -> Option<String> {
    let digits: Vec<u8> = destination
        .bytes()
        .filter(u8::is_ascii_digit)
        .take(32)
        .collect();
    let values = Values {
        target: decision.target,
        destination: call.destination.number,
        destination_digits: &digits,
        source: call.source.number,
        rule_id: decision.rule_id,
    };
    let mut out = [0; REGEXP_MAX];
    let length = answers
        .template(decision.action)?
        .write(&values, &mut out)?;
    Some(String::from_utf8_lossy(&out[..length]).into_owned())
}

/// A rate is told as what the devices hold, not guessed.
fn rate_in_words(why: &str, rate: &Rate) -> String {
    let (limit, window, key) = (rate.limit, rate.window_s, rate.key.word());
    format!(
        "{why}; acts above {limit} calls in {window} s per {key}, counted on each device: not evaluated here"
    )
}

fn shown(party: &Party, raw: Option<&str>) -> Option<String> {
    party
        .number
        .map(|number| number.to_string())
        .or_else(|| raw.map(str::to_owned))
}

fn end_in_words(until: i64) -> String {
    match Timestamp::from_microsecond(until) {
        Ok(time) if until != NEVER => format!("until {time:.0}"),
        _ => "without end".to_owned(),
    }
}

/// Goes through the rules one by one, as the plain reading of the policy would.
struct Walk<'a> {
    snapshot: &'a Snapshot,
    call: &'a Call,
    now_us: i64,
    entries: &'a DynamicEntries,
}

impl Walk<'_> {
    fn verdicts(&self) -> Vec<RuleVerdict> {
        let lists = |party: &Party| {
            party
                .number
                .map_or(Vec::new(), |number| self.snapshot.numbers.tags_of(number))
        };
        let (source_lists, destination_lists) =
            (lists(&self.call.source), lists(&self.call.destination));
        let is_protected = self.call.destination.class == NumberClass::Emergency;
        let mut decided_by = is_protected
            .then(|| "the destination is protected and allowed before any rule".to_owned());
        let mut verdicts = Vec::with_capacity(self.snapshot.rules.len());
        for rule in &self.snapshot.rules {
            let mut condition = None;
            let (verdict, why) = match (&decided_by, rule.mode) {
                (_, Mode::Off) => (Verdict::Off, "the rule is switched off".to_owned()),
                (Some(why), _) => (Verdict::NotReached, why.clone()),
                (None, mode) => match self.test(rule, &source_lists, &destination_lists) {
                    Err((failed, why)) => {
                        condition = Some(failed);
                        (Verdict::PassedOver, why)
                    }
                    Ok(why) => match (&rule.rate, mode) {
                        (Some(rate), _) => (Verdict::DependsOnRate, rate_in_words(&why, rate)),
                        (None, Mode::Monitor) => (Verdict::WouldDecide, why),
                        (None, _) => {
                            decided_by = Some(format!("rule {:?} decided before", rule.name));
                            (Verdict::Decides, why)
                        }
                    },
                },
            };
            verdicts.push(RuleVerdict {
                id: rule.id,
                name: rule.name.clone(),
                mode: rule.mode,
                verdict,
                why,
                condition,
                rate: rule.rate.filter(|_| verdict == Verdict::DependsOnRate),
            });
        }
        verdicts
    }

    /// Why the rule matches but for its rate, or the first condition that does not hold.
    fn test(
        &self,
        rule: &CompiledRule,
        source_lists: &[u32],
        destination_lists: &[u32],
    ) -> Result<String, (Condition, String)> {
        if !rule.direction.includes(self.call.direction) {
            let direction = self.call.direction.word();
            let why = format!("the call's direction is {direction}");
            return Err((Condition::Direction, why));
        }
        let source = self
            .side("source", &rule.sources, &self.call.source, source_lists)
            .map_err(|why| (Condition::Source, why))?;
        let destination = self
            .side(
                "destination",
                &rule.destinations,
                &self.call.destination,
                destination_lists,
            )
            .map_err(|why| (Condition::Destination, why))?;
        if !self.snapshot.is_in_schedule(rule, self.now_us) {
            let name = rule
                .schedule
                .map_or("", |place| &self.snapshot.schedules[place].name);
            return Err((
                Condition::Schedule,
                format!("the time is outside schedule {name:?}"),
            ));
        }
        Ok(format!("{source}; {destination}"))
    }

    fn side(
        &self,
        side: &str,
        matchers: &[Matcher],
        party: &Party,
        lists: &[u32],
    ) -> Result<String, String> {
        let shown = party.number.map_or_else(
            || party.class.word().to_owned(),
            |number| number.to_string(),
        );
        if matchers.is_empty() {
            return Ok(format!("any {side}"));
        }
        // How a matcher holds: empty for what is in the policy itself.
        let holds = |matcher: &Matcher| match matcher {
            Matcher::Pattern(pattern) => party
                .number
                .is_some_and(|number| pattern.matches(number))
                .then(String::new),
            Matcher::Class(class) => (party.class == *class).then(String::new),
            Matcher::List(name) => {
                let tag = self
                    .snapshot
                    .lists
                    .binary_search(name)
                    .unwrap_or(usize::MAX);
                match lists.iter().any(|&list| list as usize == tag) {
                    true => Some(String::new()),
                    false => self
                        .expiring_entry(tag, party)
                        .or_else(|| self.dynamic_entry(name, party)),
                }
            }
        };
        let found = matchers
            .iter()
            .find_map(|matcher| Some((matcher, holds(matcher)?)));
        match found {
            Some((matcher, how)) => Ok(format!("{side} {shown} is in {matcher}{how}")),
            None => Err(format!("{side} {shown} is in none of the rule's {side}s")),
        }
    }

    /// That the party is on a dynamic list now, and until when.
    fn dynamic_entry(&self, list: &String, party: &Party) -> Option<String> {
        self.snapshot.dynamic.binary_search(list).ok()?;
        let until = self.entries.until(list, party.number?, self.now_us)?;
        Some(format!(" by a dynamic entry, {}", end_in_words(until)))
    }

    /// That the party is on a list by an entry that has an end, and until when.
    fn expiring_entry(&self, tag: usize, party: &Party) -> Option<String> {
        let until = self
            .snapshot
            .expiring_until(tag, party.number?, self.now_us)?;
        Some(format!(" {}", end_in_words(until)))
    }
}
