//! The compiled engine against a plain reading of the same policy: every decision must be equal.

use std::collections::HashMap;

use proptest::prelude::*;
use proptest::string::{RegexGeneratorStrategy, string_regex};
use ringfence_numbers::{Direction, NumberClass, Party};
use ringfence_policy::{
    Action, DynamicEntries, RateCounters, Reason, RecordedCall, Replay, Snapshot, Verdict,
};
use serde_json::{Value, json};

const MINUTE_US: i64 = 60_000_000;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// The reference: strings, loops, nothing clever.
struct Plain<'a> {
    document: &'a Value,
    entries: &'a Value,
    calls: HashMap<(u64, String), Vec<i64>>,
}

#[derive(Debug, PartialEq)]
struct Outcome {
    action: Action,
    reason: Reason,
    rule: u64,
    target: u64,
    monitored: Vec<u32>,
}

impl Plain<'_> {
    fn decide(
        &mut self,
        source: &Party,
        destination: &Party,
        direction: Direction,
        now_us: i64,
    ) -> Outcome {
        let outcome = |action, reason| Outcome {
            action,
            reason,
            rule: 0,
            target: 0,
            monitored: vec![],
        };
        if destination.class == NumberClass::Emergency {
            return outcome(Action::Allow, Reason::Protected);
        }
        let mut monitored = vec![];
        for rule in self.document["rules"].as_array().unwrap() {
            let wanted = rule["direction"].as_str().unwrap();
            let matches = rule["mode"] != "off"
                && (wanted == "any" || wanted == direction.word())
                && self.side(&rule["sources"], source, now_us)
                && self.side(&rule["destinations"], destination, now_us)
                && self.in_schedule(&rule["schedule"], now_us)
                && self.above_rate(rule, source, destination, now_us);
            if !matches {
                continue;
            }
            let id = rule["id"].as_u64().unwrap();
            if rule["mode"] == "monitor" {
                monitored.push(id as u32);
                continue;
            }
            let action = match rule["action"].as_str().unwrap() {
                "allow" => Action::Allow,
                "terminate" => Action::Terminate,
                _ => Action::Redirect,
            };
            let target = rule["target"]
                .as_str()
                .map_or(0, |text| text[1..].parse().unwrap());
            monitored.truncate(8);
            return Outcome {
                action,
                reason: Reason::Rule,
                rule: id,
                target,
                monitored,
            };
        }
        monitored.truncate(8);
        Outcome {
            monitored,
            ..outcome(Action::Allow, Reason::Default)
        }
    }

    fn side(&self, matchers: &Value, party: &Party, now_us: i64) -> bool {
        let matchers = matchers.as_array().unwrap();
        matchers.is_empty()
            || matchers
                .iter()
                .any(|matcher| self.matches(matcher.as_str().unwrap(), party, now_us))
    }

    fn matches(&self, matcher: &str, party: &Party, now_us: i64) -> bool {
        if let Some(class) = matcher.strip_prefix("class:") {
            return party.class.word() == class;
        }
        if let Some(name) = matcher.strip_prefix("list:") {
            let list = &self.document["lists"][name];
            let entries = list["entries"].as_array().unwrap();
            let dynamic = self.entries["lists"][name]
                .as_object()
                .filter(|_| list["dynamic"] == true);
            let acting = dynamic
                .into_iter()
                .flatten()
                .filter(|(_, until)| until.as_i64().is_none_or(|until| now_us < until))
                .map(|(pattern, _)| pattern.as_str());
            return entries
                .iter()
                .map(|entry| entry.as_str().unwrap())
                .chain(acting)
                .any(|entry| self.matches(entry, party, now_us));
        }
        let Some(number) = party.number else {
            return false;
        };
        let number = number.to_string();
        if let Some((low, high)) = matcher.split_once('-') {
            return number.len() == low.len() && *low <= *number && *number <= *high;
        }
        if let Some(prefix) = matcher.strip_suffix('*') {
            return number.starts_with(prefix);
        }
        number.len() == matcher.len()
            && number
                .chars()
                .zip(matcher.chars())
                .all(|(have, want)| want == '?' || have == want)
    }

    fn in_schedule(&self, name: &Value, now_us: i64) -> bool {
        let Some(name) = name.as_str() else {
            return true;
        };
        let schedule = &self.document["schedules"][name];
        let minutes = now_us.div_euclid(MINUTE_US);
        let (day, minute) = (minutes.div_euclid(1440), minutes.rem_euclid(1440));
        let clock = |field: &str| {
            let text = schedule[field].as_str().unwrap();
            text[..2].parse::<i64>().unwrap() * 60 + text[3..].parse::<i64>().unwrap()
        };
        // 1970-01-01 was a Thursday.
        let is_named = |day: i64| {
            schedule["days"]
                .as_array()
                .unwrap()
                .iter()
                .any(|d| *d == DAYS[(day + 3).rem_euclid(7) as usize])
        };
        let (from, to) = (clock("from"), clock("to"));
        if from < to {
            return is_named(day) && (from..to).contains(&minute);
        }
        (minute >= from && is_named(day)) || (minute < to && is_named(day - 1))
    }

    fn above_rate(
        &mut self,
        rule: &Value,
        source: &Party,
        destination: &Party,
        now_us: i64,
    ) -> bool {
        let rate = &rule["rate"];
        if rate.is_null() {
            return true;
        }
        let key = match rate["key"].as_str().unwrap() {
            "source" => format!("{source:?}"),
            "destination" => format!("{destination:?}"),
            _ => format!("{source:?} {destination:?}"),
        };
        let calls = self
            .calls
            .entry((rule["id"].as_u64().unwrap(), key))
            .or_default();
        calls.push(now_us);
        let since = now_us - rate["window_s"].as_i64().unwrap() * 1_000_000;
        calls.iter().filter(|&&time| time > since).count() as u64 > rate["limit"].as_u64().unwrap()
    }
}

/// Parsed here: as a plain string it would be parsed for each number drawn.
fn text(pattern: &str) -> RegexGeneratorStrategy<String> {
    string_regex(pattern).unwrap()
}

/// Few digits, so that patterns and numbers meet.
fn pattern() -> impl Strategy<Value = String> {
    prop_oneof![
        1 => Just("*".to_owned()),
        6 => text("[+][12][0-2]{6,9}"),
        4 => text("[+][12][0-2]{0,5}[*]"),
        2 => text("[+][12][0-2]{2}[0-2?]{5}"),
        3 => (text("[12][0-2]{7}"), text("[12][0-2]{7}"))
            .prop_map(|(a, b)| format!("+{}-+{}", a.clone().min(b.clone()), a.max(b))),
    ]
}

fn matchers() -> impl Strategy<Value = Vec<String>> {
    let class = prop::sample::select(vec![
        "anonymous",
        "invalid",
        "extension",
        "absent",
        "short_code",
    ]);
    let matcher = prop_oneof![
        3 => pattern(),
        3 => (0..4u8).prop_map(|index| format!("list:l{index}")),
        1 => class.prop_map(|class| format!("class:{class}")),
    ];
    prop_oneof![2 => Just(vec![]), 3 => prop::collection::vec(matcher, 1..4)]
}

fn rule() -> impl Strategy<Value = Value> {
    let direction = prop::sample::select(vec![
        "any", "any", "any", "inbound", "outbound", "internal", "transit",
    ]);
    let mode = prop::sample::select(vec!["enforce", "enforce", "monitor", "monitor", "off"]);
    let action = prop::sample::select(vec!["allow", "terminate", "redirect"]);
    let schedule = prop::option::weighted(0.2, (0..2u8).prop_map(|index| format!("s{index}")));
    let key = prop::sample::select(vec!["source", "destination", "pair"]);
    let rate = prop::option::weighted(0.2, (0..4u32, 1..120u32, key));
    (mode, direction, matchers(), matchers(), action, schedule, rate).prop_map(
        |(mode, direction, sources, destinations, action, schedule, rate)| {
            let target = (action == "redirect").then_some("+12105550199");
            let rate = rate.map(|(limit, window_s, key)| json!({"limit": limit, "window_s": window_s, "key": key}));
            json!({"id": 0, "name": "", "mode": mode, "direction": direction, "sources": sources, "destinations": destinations,
                   "action": action, "target": target, "schedule": schedule, "rate": rate})
        },
    )
}

fn schedule() -> impl Strategy<Value = Value> {
    (prop::sample::subsequence(DAYS.to_vec(), 1..7), 0..24u32, 0..60u32, 0..24u32, 0..60u32).prop_map(
        |(days, from_hour, from_minute, to_hour, to_minute)| {
            json!({"zone": "UTC", "days": days, "from": format!("{from_hour:02}:{from_minute:02}"), "to": format!("{to_hour:02}:{to_minute:02}")})
        },
    )
}

fn document() -> impl Strategy<Value = Value> {
    let list = (prop::collection::vec(pattern(), 0..8), any::<bool>());
    let lists = prop::collection::vec(list, 4);
    // Beyond 64 rules a second word of bits is in play.
    let rules = prop_oneof![4 => prop::collection::vec(rule(), 0..12), 1 => prop::collection::vec(rule(), 60..140)];
    (lists, prop::collection::vec(schedule(), 2), rules).prop_map(|(lists, schedules, mut rules)| {
        for (index, rule) in rules.iter_mut().enumerate() {
            rule["id"] = json!(index + 1);
            rule["name"] = json!(format!("r{}", index + 1));
        }
        let lists: serde_json::Map<_, _> = lists
            .into_iter()
            .enumerate()
            .map(|(index, (list, dynamic))| (format!("l{index}"), json!({"entries": list, "dynamic": dynamic})))
            .collect();
        json!({"format": 1, "version": 3, "protected": ["911", "+12222222"], "lists": lists,
               "site": {"country_code": "1", "extension_lengths": [4], "own_ranges": ["+110*", "+21000000-+21222222"]},
               "schedules": {"s0": schedules[0], "s1": schedules[1]}, "rules": rules})
    })
}

/// For the lists of [`document`] and one that it does not have; ends lie within two weeks.
fn entries() -> impl Strategy<Value = Value> {
    let until = prop::option::weighted(0.7, 0..14 * 1440 * MINUTE_US);
    let list = prop::collection::hash_map(pattern(), until, 0..8);
    prop::collection::hash_map((0..5u8).prop_map(|index| format!("l{index}")), list, 0..5)
        .prop_map(|lists| json!({"format": 1, "change": 1, "lists": lists}))
}

fn party() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => text("[+][12][0-2]{6,9}"),
        1 => prop::sample::select(vec!["anonymous", "", "1001", "411", "911", "+12222222", "alice"]).prop_map(str::to_owned),
    ]
}

proptest! {
    // Ten thousand policies, each with up to thirty calls.
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn engine_equals_the_plain_reading(
        document in document(),
        entries in entries(),
        calls in prop::collection::vec((party(), party(), 0..40 * MINUTE_US), 1..30),
        start in 0..14 * 1440i64,
    ) {
        let snapshot = Snapshot::from_bytes(document.to_string().as_bytes()).unwrap();
        let compiled = DynamicEntries::from_bytes(entries.to_string().as_bytes()).unwrap();
        let mut plain = Plain { document: &document, entries: &entries, calls: HashMap::new() };
        let rates = RateCounters::default();
        let mut now_us = start * MINUTE_US;
        for (source, destination, pause) in calls {
            now_us += pause;
            let plan = snapshot.plan();
            let call = snapshot.call(plan.normalise(source.as_bytes()), plan.normalise(destination.as_bytes()));
            let decision = snapshot.decide(&call, now_us, &rates, &compiled);
            let found = Outcome {
                action: decision.action,
                reason: decision.reason,
                rule: decision.rule_id.into(),
                target: decision.target.map_or(0, |target| target.get()),
                monitored: decision.monitored.as_slice().to_vec(),
            };
            let expected = plain.decide(&call.source, &call.destination, call.direction, now_us);
            prop_assert_eq!(found, expected, "{} -> {}", source, destination);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_recorded_call_is_decided_as_on_the_wire(
        document in document(),
        entries in entries(),
        calls in prop::collection::vec((party(), party(), 0..40 * MINUTE_US, 0..2i16), 1..30),
    ) {
        let snapshot = Snapshot::from_bytes(document.to_string().as_bytes()).unwrap();
        let compiled = DynamicEntries::from_bytes(entries.to_string().as_bytes()).unwrap();
        let edges = [RateCounters::default(), RateCounters::default()];
        let mut replay = Replay::default();
        let mut now_us = 0;
        for (source, destination, pause, device) in calls {
            now_us += pause;
            let digits = destination.trim_start_matches('+');
            let plan = snapshot.plan();
            let call = snapshot.call(plan.normalise(source.as_bytes()), plan.normalise_enum_name(digits.as_bytes()));
            let row = RecordedCall {
                time_us: now_us,
                device,
                source: call.source.digits() as i64,
                source_class: call.source.class as i16,
                destination: call.destination.digits() as i64,
                destination_class: call.destination.class as i16,
                direction: call.direction as i16,
                destination_raw: if call.destination.number.is_some() { b"" } else { digits.as_bytes() },
            };
            let replayed = replay.decide(&snapshot, &row, &compiled);
            if digits.is_empty() || !digits.bytes().all(|c| c.is_ascii_digit()) {
                prop_assert_eq!((replayed.action, replayed.reason), (Action::None, Reason::NotANumber));
                continue;
            }
            let decision = snapshot.decide(&call, now_us, &edges[device as usize], &compiled);
            prop_assert_eq!(replayed, decision, "{} -> {}", source, destination);
        }
    }

    #[test]
    fn explain_tells_what_decide_does(document in document(), entries in entries(), now_us in 0..14 * 1440 * MINUTE_US, source in party(), destination in party()) {
        let mut document = document;
        for rule in document["rules"].as_array_mut().unwrap() {
            rule["rate"] = Value::Null;
        }
        let snapshot = Snapshot::from_bytes(document.to_string().as_bytes()).unwrap();
        let compiled = DynamicEntries::from_bytes(entries.to_string().as_bytes()).unwrap();
        let plan = snapshot.plan();
        let call = snapshot.call(plan.normalise(source.as_bytes()), plan.normalise(destination.as_bytes()));
        let decision = snapshot.decide(&call, now_us, &RateCounters::default(), &compiled);
        let explained = snapshot.explain(Some(&source), &destination, now_us, &compiled);
        prop_assert_eq!((explained.action, explained.reason, explained.rule_id), (decision.action, decision.reason, decision.rule_id));
        let with = |verdict| explained.rules.iter().filter(move |rule| rule.verdict == verdict).map(|rule| rule.id).collect::<Vec<_>>();
        let decides = if decision.rule_id == 0 { vec![] } else { vec![decision.rule_id] };
        prop_assert_eq!(with(Verdict::Decides), decides);
        let mut would = with(Verdict::WouldDecide);
        would.truncate(8);
        prop_assert_eq!(would, decision.monitored.as_slice());
    }
}
