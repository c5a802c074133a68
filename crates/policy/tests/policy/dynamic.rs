//! Dynamic entries beside a compiled policy: what they do, until when, and what they cannot do.

use ringfence_policy::{
    Action, DYNAMIC_ENTRIES_MAX, Decision, DynamicEntries, RateCounters, Reason, Snapshot,
};
use serde_json::{Value, json};

const NOW_US: i64 = 1_763_840_000_000_000;

fn snapshot() -> Snapshot {
    let document = json!({
        "format": 1, "version": 7, "protected": ["911", "+12105550911"],
        "site": {"country_code": "1", "national_prefix": "1", "national_lengths": [10]},
        "lists": {
            "attackers": {"dynamic": true},
            "refused": {"entries": ["+19005550100"], "dynamic": true},
            "fixed": {"entries": ["+12105550155"]},
        },
        "rules": [
            {"id": 1, "name": "attack", "mode": "enforce", "direction": "any", "sources": ["list:attackers"],
             "destinations": [], "action": "terminate", "target": null, "schedule": null, "rate": null},
            {"id": 2, "name": "refused", "mode": "enforce", "direction": "any", "sources": [],
             "destinations": ["list:refused", "list:fixed"], "action": "terminate", "target": null, "schedule": null, "rate": null},
        ],
    });
    Snapshot::from_bytes(document.to_string().as_bytes()).unwrap()
}

fn entries(lists: Value) -> DynamicEntries {
    let document = json!({"format": 1, "change": 5, "lists": lists});
    DynamicEntries::from_bytes(document.to_string().as_bytes()).unwrap()
}

fn decide(lists: Value, source: &str, destination: &str, now_us: i64) -> Decision {
    let snapshot = snapshot();
    let plan = snapshot.plan();
    let call = snapshot.call(
        plan.normalise(source.as_bytes()),
        plan.normalise(destination.as_bytes()),
    );
    snapshot.decide(&call, now_us, &RateCounters::default(), &entries(lists))
}

#[test]
fn every_kind_of_pattern_acts() {
    for pattern in [
        "+12105550100",
        "+1210555*",
        "+12105550000-+12105550199",
        "+1???5550100",
        "*",
    ] {
        let decision = decide(
            json!({"attackers": {pattern: null}}),
            "+12105550100",
            "+12105550199",
            NOW_US,
        );
        assert_eq!(
            (decision.action, decision.rule_id),
            (Action::Terminate, 1),
            "{pattern}"
        );
    }
    let other = decide(
        json!({"attackers": {"+12105550100": null}}),
        "+12105550101",
        "+12105550199",
        NOW_US,
    );
    assert_eq!(other.reason, Reason::Default);
}

#[test]
fn an_entry_acts_until_its_end_and_no_longer() {
    let at = |now_us| {
        let lists = json!({"attackers": {"+12105550100": NOW_US}});
        decide(lists, "+12105550100", "+12105550199", now_us).action
    };
    assert_eq!(at(NOW_US - 1), Action::Terminate);
    assert_eq!(at(NOW_US), Action::Allow);
}

#[test]
fn a_list_has_its_own_entries_and_the_dynamic_ones() {
    let lists = || json!({"refused": {"+19005550199": null}});
    for destination in ["+19005550100", "+19005550199"] {
        let decision = decide(lists(), "+12105550100", destination, NOW_US);
        assert_eq!(decision.rule_id, 2, "{destination}");
    }
}

#[test]
fn entries_of_lists_that_are_not_dynamic_or_not_there_do_nothing() {
    let lists = json!({"fixed": {"+12105550199": null}, "gone": {"*": null}});
    let decision = decide(lists, "+12105550100", "+12105550199", NOW_US);
    assert_eq!(decision.reason, Reason::Default);
}

#[test]
fn protected_destinations_stay_protected_e6() {
    for destination in ["911", "+12105550911"] {
        let lists = json!({"refused": {"*": null}, "attackers": {"*": null}});
        let decision = decide(lists, "+12105550100", destination, NOW_US);
        assert_eq!(
            (decision.action, decision.reason),
            (Action::Allow, Reason::Protected),
            "{destination}"
        );
    }
}

#[test]
fn explain_names_the_entry_and_its_end() {
    let end_us = 1_763_840_400_000_000_i64;
    let acting = entries(json!({"attackers": {"+12105550100": end_us, "+1900*": null}}));
    let why = |source, now_us| {
        let explained = snapshot().explain(Some(source), "+12105550199", now_us, &acting);
        (explained.action, explained.rules[0].why.clone())
    };
    assert_eq!(
        why("+12105550100", NOW_US),
        (
            Action::Terminate,
            "source +12105550100 is in list:attackers by a dynamic entry, until 2025-11-22T19:40:00Z; any destination"
                .into()
        )
    );
    assert_eq!(
        why("+19005550100", NOW_US).1,
        "source +19005550100 is in list:attackers by a dynamic entry, without end; any destination"
    );
    assert_eq!(why("+12105550100", end_us).0, Action::Allow);
}

#[test]
fn a_fault_names_what_is_wrong() {
    let refused = |document: Value| {
        DynamicEntries::from_bytes(document.to_string().as_bytes())
            .unwrap_err()
            .to_string()
    };
    let with = |lists: Value| json!({"format": 1, "change": 1, "lists": lists});
    assert!(refused(json!({"format": 2, "change": 1, "lists": {}})).starts_with("format: 2 "));
    assert!(refused(json!({"format": 1, "change": 1, "list": {}})).contains("list"));
    assert!(refused(with(json!({"a": {"2105550100": null}}))).contains("must start with +"));
    assert!(refused(with(json!({"a": {"+12105550100": "soon"}}))).starts_with("lists.a"));
}

#[test]
fn more_entries_than_the_most_are_refused() {
    let document = |count: usize| {
        let patterns: serde_json::Map<_, _> = (0..count)
            .map(|index| (format!("+1{}", 2_000_000_000 + index), Value::Null))
            .collect();
        let document = json!({"format": 1, "change": 1, "lists": {"a": patterns}});
        DynamicEntries::from_bytes(document.to_string().as_bytes())
    };
    assert_eq!(
        document(DYNAMIC_ENTRIES_MAX).unwrap().len(),
        DYNAMIC_ENTRIES_MAX
    );
    let error = document(DYNAMIC_ENTRIES_MAX + 1).unwrap_err().to_string();
    assert_eq!(
        error,
        "lists: hold 100001 dynamic entries; expected at most 100000"
    );
}
