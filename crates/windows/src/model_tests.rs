//! The engine beside a plain recount of every window: same crossings, in any order of arrival; and its bounds.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::{Call, Dataset, EXACT_CALLS, Engine, Key, LATENESS_US};

const SECOND: i64 = 1_000_000;
const NOW: i64 = 2_000_000_000 * SECOND;

#[derive(Debug, Clone, Copy)]
struct Rule {
    measure: &'static str,
    window_us: i64,
    cool_down_us: i64,
    value: f64,
    below: bool,
    at_least: u64,
}

impl Rule {
    fn engine(&self) -> Engine {
        Engine::new(&self.json("\"source\""), 1000, 7).unwrap()
    }

    fn json(&self, key: &str) -> String {
        format!(
            r#"{{"detections": [{{"dataset": "sip", "key": {key}, "measure": {}, "window_us": {}, "cool_down_us": {},
                "value": {}, "below": {}, "at_least": {}, "tells_sources": true}}]}}"#,
            self.measure, self.window_us, self.cool_down_us, self.value, self.below, self.at_least
        )
    }

    /// Times at which windows end that are beyond the threshold, by plain recount.
    fn beyond(&self, calls: &[Call]) -> Vec<i64> {
        // A call that was not answered has no duration and counts for none.
        let counts = |call: &&Call| !self.measure.contains("duration") || call.duration_ms >= 0;
        let calls: Vec<Call> = calls.iter().filter(counts).copied().collect();
        let mut ends: Vec<i64> = calls.iter().map(|call| call.time_us).collect();
        ends.sort_unstable();
        ends.dedup();
        ends.retain(|&end| {
            let window: Vec<&Call> = calls
                .iter()
                .filter(|call| call.time_us > end - self.window_us && call.time_us <= end)
                .collect();
            let value = self.value_of(&window);
            window.len() as u64 >= self.at_least.max(1)
                && if self.below {
                    value <= self.value
                } else {
                    value >= self.value
                }
        });
        ends
    }

    fn value_of(&self, window: &[&Call]) -> f64 {
        let distinct: BTreeSet<u64> = window.iter().map(|call| call.destination).collect();
        match self.measure {
            "\"count\"" => window.len() as f64,
            "{\"distinct\": \"destination\"}" => distinct.len() as f64,
            "{\"adjacent\": [\"destination\", 1]}" => {
                let beside =
                    |one: &&u64| distinct.contains(&(*one + 1)) || distinct.contains(&(*one - 1));
                distinct.iter().filter(beside).count() as f64
            }
            "\"duration_total\"" => {
                window
                    .iter()
                    .map(|call| i64::from(call.duration_ms.max(0)))
                    .sum::<i64>() as f64
                    / 1e3
            }
            "\"share_answered\"" => {
                window.iter().filter(|call| call.outcome == 1).count() as f64 / window.len() as f64
            }
            "\"concurrency\"" => {
                let at_once = |moment: i64| {
                    window
                        .iter()
                        .filter(|call| call.start_us <= moment && moment < call.time_us)
                        .count()
                };
                window
                    .iter()
                    .map(|call| at_once(call.start_us))
                    .max()
                    .unwrap_or(0) as f64
            }
            other => panic!("{other}"),
        }
    }

    /// First crossing of each episode.
    fn episodes(&self, calls: &[Call]) -> Vec<i64> {
        let (mut found, mut last) = (Vec::new(), None);
        for end in self.beyond(calls) {
            if last.is_none_or(|last| end > last + self.cool_down_us) {
                found.push(end);
            }
            last = Some(end);
        }
        found
    }
}

fn rules() -> impl Strategy<Value = Rule> {
    let measures = [
        ("\"count\"", 3.0, false, 1),
        ("{\"distinct\": \"destination\"}", 3.0, false, 1),
        ("{\"adjacent\": [\"destination\", 1]}", 3.0, false, 1),
        ("\"duration_total\"", 60.0, false, 1),
        ("\"share_answered\"", 0.4, true, 3),
        ("\"concurrency\"", 3.0, false, 1),
    ];
    (
        prop::sample::select(measures.to_vec()),
        5_i64..40,
        1_i64..30,
    )
        .prop_map(|(one, window, cool_down)| Rule {
            measure: one.0,
            window_us: window * SECOND,
            cool_down_us: cool_down * SECOND,
            value: one.1,
            below: one.2,
            at_least: one.3,
        })
}

/// Calls with the delay, in seconds, with which each comes to be known.
fn traffic() -> impl Strategy<Value = Vec<(Call, i64)>> {
    let call = (
        0_i64..200,
        1_u64..4,
        1_u64..9,
        -1_i32..40,
        1_u8..5,
        0_i64..60,
    )
        .prop_map(|(time, source, destination, duration_s, outcome, delay)| {
            let time_us = NOW + time * SECOND;
            let call = Call {
                time_us,
                start_us: time_us - i64::from(duration_s.max(0)) * SECOND,
                source: 12_105_550_100 + source,
                destination: 12_105_550_200 + destination,
                duration_ms: if duration_s < 0 {
                    -1
                } else {
                    duration_s * 1000
                },
                outcome,
                ..Call::default()
            };
            (call, delay)
        });
    prop::collection::vec(call, 1..120)
}

fn by_source(calls: &[Call]) -> BTreeMap<u64, Vec<Call>> {
    let mut found: BTreeMap<u64, Vec<Call>> = BTreeMap::new();
    for call in calls {
        found.entry(call.source).or_default().push(*call);
    }
    found
}

/// (source, time) of crossings, call by call; with `is_new` only of those that begin an episode.
fn crossings(engine: &mut Engine, calls: &[Call], is_new: bool) -> BTreeSet<(u64, i64)> {
    let mut found = BTreeSet::new();
    for call in calls {
        for one in engine.feed(Dataset::Sip, [*call], NOW + 400 * SECOND) {
            if one.is_new || !is_new {
                found.insert((one.key.0, one.at_us));
            }
        }
    }
    found
}

proptest! {
    #[test]
    fn calls_in_order_open_the_episodes_of_a_recount(rule in rules(), traffic in traffic()) {
        let mut calls: Vec<Call> = traffic.into_iter().map(|(call, _)| call).collect();
        calls.sort_by_key(|call| call.time_us);
        // Of several calls of one moment only the last sees them all: a share may have crossed before.
        let mut seconds = BTreeSet::new();
        calls.retain(|call| seconds.insert((call.source, call.time_us)));
        let expected: BTreeSet<(u64, i64)> = by_source(&calls)
            .iter()
            .flat_map(|(&source, calls)| rule.episodes(calls).into_iter().map(move |at| (source, at)))
            .collect();
        let found = crossings(&mut rule.engine(), &calls, true);
        if rule.measure == "\"concurrency\"" {
            // Told when calls end that overlapped, not for as long as their window lasts: the first is the same.
            let first = |all: &BTreeSet<(u64, i64)>| -> BTreeMap<u64, i64> { all.iter().rev().copied().collect() };
            prop_assert_eq!(first(&found), first(&expected));
        } else {
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn late_calls_count_at_their_own_time(rule in rules(), mut traffic in traffic()) {
        if rule.below {
            return Ok(()); // what comes late may lift a window again that was below when it was told
        }
        traffic.sort_by_key(|(call, delay)| call.time_us + delay * SECOND);
        let calls: Vec<Call> = traffic.into_iter().map(|(call, _)| call).collect();
        let found = crossings(&mut rule.engine(), &calls, false);
        let by_source = by_source(&calls);
        let beyond: BTreeSet<(u64, i64)> = by_source
            .iter()
            .flat_map(|(&source, calls)| rule.beyond(calls).into_iter().map(move |at| (source, at)))
            .collect();
        prop_assert!(found.is_subset(&beyond), "{found:?} of {beyond:?}");
        let keys = |all: &BTreeSet<(u64, i64)>| -> BTreeSet<u64> { all.iter().map(|one| one.0).collect() };
        prop_assert_eq!(keys(&found), keys(&beyond));
    }

    #[test]
    fn one_batch_tells_what_single_calls_tell(rule in rules(), traffic in traffic()) {
        let mut calls: Vec<Call> = traffic.into_iter().map(|(call, _)| call).collect();
        calls.sort_by_key(|call| call.time_us);
        let single = crossings(&mut rule.engine(), &calls, true);
        let batch = rule.engine().feed(Dataset::Sip, calls, NOW + 400 * SECOND);
        let batch: BTreeSet<(u64, i64)> = batch.iter().filter(|one| one.is_new).map(|one| (one.key.0, one.at_us)).collect();
        prop_assert_eq!(batch, single);
    }
}

const FLOOD: Rule = Rule {
    measure: "\"count\"",
    window_us: 10 * SECOND,
    cool_down_us: 60 * SECOND,
    value: 100.0,
    below: false,
    at_least: 0,
};

fn flood(calls: i64, per_second: i64) -> impl Iterator<Item = Call> {
    (0..calls).map(move |number| Call {
        time_us: NOW + number * SECOND / per_second,
        source: 1_000_000_000 + u64::try_from(number).unwrap(),
        destination: 12_105_550_100,
        ..Call::default()
    })
}

#[test]
fn a_flood_is_one_episode_that_tells_its_sources() {
    let mut engine = Engine::new(&FLOOD.json("\"destination\""), 1000, 1).unwrap();
    let mut calls = flood(1000, 100);
    let first = engine.feed(Dataset::Sip, calls.by_ref().take(150), NOW + 60 * SECOND);
    assert_eq!(first.len(), 1);
    assert!(first[0].is_new);
    assert_eq!(first[0].at_us, NOW + 99 * SECOND / 100);
    assert_eq!(first[0].value, 150.0);
    assert_eq!(first[0].numbers.len(), 150);
    let next = engine.feed(Dataset::Sip, calls.by_ref().take(50), NOW + 60 * SECOND);
    assert_eq!(
        (next.len(), next[0].is_new, next[0].numbers.len()),
        (1, false, 50)
    );
    assert_eq!(next[0].numbers[0], 1_000_000_150);
}

#[test]
fn what_fired_before_a_restart_does_not_fire_again() {
    let mut engine = Engine::new(&FLOOD.json("\"destination\""), 1000, 1).unwrap();
    engine.prime(0, Key(12_105_550_100, 0), NOW - SECOND, NOW - SECOND);
    let crossings = engine.feed(Dataset::Sip, flood(200, 100), NOW + 60 * SECOND);
    assert!(crossings.iter().all(|one| !one.is_new), "{crossings:?}");
}

#[test]
fn a_key_with_a_threshold_of_its_own_crosses_there() {
    let mut engine = Engine::new(&FLOOD.json("\"destination\""), 1000, 1).unwrap();
    engine.set_threshold(0, Key(12_105_550_100, 0), 180.0, NOW + 60 * SECOND);
    let crossings = engine.feed(Dataset::Sip, flood(200, 100), NOW + 60 * SECOND);
    assert_eq!(
        (crossings[0].at_us, crossings[0].threshold),
        (NOW + 179 * SECOND / 100, 180.0)
    );
}

#[test]
fn a_crowded_window_stays_small_and_counts_on() {
    let mut engine = Engine::new(&FLOOD.json("\"destination\""), 1000, 1).unwrap();
    let crossings = engine.feed(Dataset::Sip, flood(100_000, 2000), NOW + 600 * SECOND);
    let value = crossings[0].value;
    assert!((20_000.0..20_600.0).contains(&value), "{value}"); // ten seconds and a 512th of window and lateness
    assert!(engine.counters().held <= 2 * EXACT_CALLS);
}

#[test]
fn many_distinct_numbers_are_estimated() {
    let rule = Rule {
        measure: "{\"distinct\": \"source\"}",
        value: 10.0,
        window_us: 600 * SECOND,
        ..FLOOD
    };
    let mut engine = Engine::new(&rule.json("\"destination\""), 1000, 1).unwrap();
    let crossings = engine.feed(Dataset::Sip, flood(100_000, 2000), NOW + 600 * SECOND);
    let value = crossings[0].value;
    assert!((90_000.0..110_000.0).contains(&value), "{value}");
    assert!(engine.counters().held <= EXACT_CALLS);
}

#[test]
fn keys_are_bounded_and_what_goes_is_counted() {
    let mut engine = Engine::new(&FLOOD.json("\"source\""), 1000, 1).unwrap();
    let _ = engine.feed(Dataset::Sip, flood(5000, 1000), NOW + 60 * SECOND);
    let counters = engine.counters();
    assert_eq!(
        (counters.keys, counters.evicted, counters.held),
        (1000, 4000, 1000)
    );
}

#[test]
fn idle_keys_are_forgotten() {
    let mut engine = Engine::new(&FLOOD.json("\"source\""), 100_000, 1).unwrap();
    let _ = engine.feed(Dataset::Sip, flood(5000, 1000), NOW + 60 * SECOND);
    let late = Call {
        time_us: NOW + 600 * SECOND,
        source: 12_105_550_100,
        ..Call::default()
    };
    for _ in 0..30 {
        let _ = engine.feed(Dataset::Sip, [late], NOW + 600 * SECOND);
    }
    assert_eq!((engine.counters().keys, engine.counters().evicted), (1, 0));
}

#[test]
fn calls_from_the_future_and_from_long_ago_are_counted_not_believed() {
    let mut engine = Engine::new(&FLOOD.json("\"source\""), 1000, 1).unwrap();
    let at = |time_us: i64| Call {
        time_us,
        source: 12_105_550_100,
        ..Call::default()
    };
    let calls = [
        at(NOW),
        at(NOW + 3600 * SECOND),
        at(NOW - LATENESS_US - 1),
        at(NOW - LATENESS_US),
    ];
    let _ = engine.feed(Dataset::Sip, calls, NOW);
    let counters = engine.counters();
    assert_eq!(
        (
            counters.calls,
            counters.ahead,
            counters.too_late,
            counters.held
        ),
        (4, 1, 1, 2)
    );
}

#[test]
fn silence_is_told_once_and_ends_with_a_call() {
    let rule = Rule {
        measure: "\"silence\"",
        value: 0.0,
        below: true,
        cool_down_us: SECOND,
        ..FLOOD
    };
    let mut engine = Engine::new(&rule.json("\"device\""), 1000, 1).unwrap();
    let call = |at: i64| Call {
        time_us: NOW + at * SECOND,
        device: 3,
        ..Call::default()
    };
    assert!(engine.feed(Dataset::Sip, [call(0)], NOW).is_empty());
    assert!(engine.tick(NOW + 5 * SECOND).is_empty());
    let silent = engine.tick(NOW + 10 * SECOND);
    assert_eq!(
        (silent.len(), silent[0].is_new, silent[0].started_us),
        (1, true, NOW)
    );
    assert!(!engine.tick(NOW + 11 * SECOND)[0].is_new);
    assert!(
        engine
            .feed(Dataset::Sip, [call(12)], NOW + 12 * SECOND)
            .is_empty()
    );
    assert!(engine.tick(NOW + 13 * SECOND).is_empty());
    assert!(engine.tick(NOW + 22 * SECOND)[0].is_new);
}

#[test]
fn what_is_no_specification_is_refused() {
    for (text, fault) in [
        ("{", "not a specification"),
        (
            r#"{"detections": [], "sets": [["abc"]]}"#,
            "pattern \"abc\"",
        ),
        (
            &FLOOD.json("\"source\"").replace("10000000", "0"),
            "must be positive",
        ),
        (
            &FLOOD.json("\"source\"").replace(
                "{\"dataset\"",
                "{\"filter\": {\"source\": {\"all_of\": [3]}}, \"dataset\"",
            ),
            "set 3 does not exist",
        ),
    ] {
        let message = Engine::new(text, 1, 1).unwrap_err().to_string();
        assert!(message.contains(fault), "{message}");
    }
}

#[test]
fn calls_are_told_apart_by_every_part_of_a_filter() {
    let base = Call {
        time_us: NOW,
        source: 12_105_550_100,
        destination: 12_105_550_199,
        device: 3,
        direction: 1,
        country: 5,
        duration_ms: 1000,
        ..Call::default()
    };
    let filters: [(&str, Call, Call); 9] = [
        (
            r#"{"directions": 2}"#,
            base,
            Call {
                direction: 2,
                ..base
            },
        ),
        (r#"{"outcomes": 4}"#, Call { outcome: 2, ..base }, base),
        (
            r#"{"source": {"all_of": [0]}}"#,
            base,
            Call {
                source: 13_105_550_100,
                ..base
            },
        ),
        (
            r#"{"source": {"none_of": [0]}}"#,
            Call {
                source: 13_105_550_100,
                ..base
            },
            base,
        ),
        (r#"{"foreign": true}"#, base, Call { country: 9, ..base }),
        (
            r#"{"same_prefix": 7}"#,
            base,
            Call {
                destination: 12_105_560_199,
                ..base
            },
        ),
        (
            r#"{"duration_ms": [0, 1000]}"#,
            base,
            Call {
                duration_ms: -1,
                ..base
            },
        ),
        (r#"{"devices": [3]}"#, base, Call { device: 4, ..base }),
        (
            r#"{"intervals_us": [[0, 5], [1999999999000000, 2000000000000001]]}"#,
            base,
            Call {
                time_us: NOW + 1,
                ..base
            },
        ),
    ];
    for (filter, passes, fails) in filters {
        let json = FLOOD.json("\"all\"").replace(
            "{\"dataset\"",
            &format!("{{\"filter\": {filter}, \"dataset\""),
        );
        let json = format!(
            r#"{}, "sets": [["+1210*"]], "places": {{"3": {{"site": 1, "country": 9}}}}}}"#,
            json.strip_suffix('}').unwrap()
        );
        for (call, expected) in [(passes, 1), (fails, 0)] {
            let mut engine = Engine::new(&json, 10, 1).unwrap();
            let _ = engine.feed(Dataset::Sip, [call], NOW);
            assert_eq!(engine.counters().held, expected, "{filter} {call:?}");
        }
    }
}
