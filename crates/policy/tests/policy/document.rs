//! The policy document of docs/contracts.md 4: what it means, and that faults name their field.

use ringfence_policy::{Asker, DynamicEntries, NoOpinion, Snapshot};
use serde_json::{Value, json};

const CONTRACT: &str = r#"{"format": 1, "version": 7,
 "site": {"country": "US", "country_code": "1", "national_prefix": "1", "international_prefixes": ["011"], "national_lengths": [10],
          "local_prefix": "", "local_lengths": [], "extension_lengths": [], "own_ranges": ["+12105550000-+12105559999"]},
 "protected": ["911", "112", "988"],
 "answers": {"allow": "!^(.*)$!sip:\\1@allow.{host}!", "terminate": "!^(.*)$!sip:\\1@terminate.{host}!",
             "redirect": "!^.*$!sip:{target}@redirect.{host}!", "service": "E2U+sip", "host": null, "no_opinion": "nodata"},
 "profiles": {"cisco": {"allow": "!^(.*)$!sip:\\1@allow.{host};rule={rule}!", "service": "sip+E2U", "no_opinion": "nxdomain"}},
 "clients": [{"network": "192.0.2.0/24", "profile": "cisco", "name": "edge-1"}],
 "lists": {"bad": {"entries": ["+1900*", "+12105550100-+12105550199"]}},
 "schedules": {"office": {"zone": "America/Chicago", "days": ["mon", "tue"], "from": "08:00", "to": "18:00"}},
 "rules": [{"id": 12, "name": "premium", "mode": "enforce", "direction": "any", "sources": [], "destinations": ["+19005550100", "list:bad"],
            "action": "terminate", "target": null, "schedule": null, "rate": null},
           {"id": 13, "name": "moved", "mode": "enforce", "direction": "any", "sources": ["class:anonymous"], "destinations": ["+12105551000"],
            "action": "redirect", "target": "+12105550199", "schedule": null, "rate": null}]}"#;

fn explained(source: Option<&str>, destination: &str) -> Value {
    let snapshot = Snapshot::from_bytes(CONTRACT.as_bytes()).unwrap();
    serde_json::to_value(snapshot.explain(source, destination, 0, &DynamicEntries::default()))
        .unwrap()
}

#[test]
fn explain_has_the_shape_of_the_contract() {
    let found = explained(Some("sip:2105550123@sbc"), "19005550100");
    let expected = json!({"action": "terminate", "reason": "rule", "rule": "premium", "rule_id": 12, "target": null, "policy_version": 7,
        "source": "+12105550123", "source_class": "number", "destination": "+19005550100", "destination_class": "number",
        "direction": "outbound", "monitored": [], "answer": r"!^(.*)$!sip:\1@terminate.{host}!",
        "service": "E2U+sip", "rules": [
            {"id": 12, "name": "premium", "mode": "enforce", "verdict": "decides", "why": "any source; destination +19005550100 is in +19005550100",
             "condition": null, "rate": null},
            {"id": 13, "name": "moved", "mode": "enforce", "verdict": "not_reached", "why": "rule \"premium\" decided before",
             "condition": null, "rate": null}]});
    assert_eq!(found, expected);
}

#[test]
fn a_redirect_names_its_target_and_an_emergency_its_protection() {
    let moved = explained(Some("anonymous"), "+12105551000");
    assert_eq!(
        (&moved["action"], &moved["target"]),
        (&json!("redirect"), &json!("+12105550199"))
    );
    assert_eq!(moved["answer"], "!^.*$!sip:+12105550199@redirect.{host}!");
    assert_eq!(
        (&moved["source"], &moved["source_class"]),
        (&json!("anonymous"), &json!("anonymous"))
    );
    let emergency = explained(None, "911");
    assert_eq!(
        (&emergency["action"], &emergency["reason"]),
        (&json!("allow"), &json!("protected"))
    );
    assert_eq!(
        (&emergency["source"], &emergency["destination"]),
        (&Value::Null, &json!("911"))
    );
    assert!(
        emergency["rules"]
            .as_array()
            .unwrap()
            .iter()
            .all(|rule| rule["verdict"] == "not_reached")
    );
}

#[test]
fn emergency_numbers_stay_allowed_under_a_policy_that_terminates_everything() {
    let mut document: Value = serde_json::from_str(CONTRACT).unwrap();
    let rule = json!({"id": 1, "name": "all", "mode": "enforce", "direction": "any", "sources": [], "destinations": [],
                      "action": "terminate", "target": null, "schedule": null, "rate": null});
    document["rules"] = json!([rule]);
    let snapshot = Snapshot::from_bytes(document.to_string().as_bytes()).unwrap();
    for destination in [
        "911",
        "112",
        "988",
        "+911",
        "1911",
        "sip:911@psap",
        "tel:911",
    ] {
        let explained = serde_json::to_value(snapshot.explain(
            Some("+12105550001"),
            destination,
            0,
            &DynamicEntries::default(),
        ))
        .unwrap();
        assert_eq!(
            (&explained["action"], &explained["reason"]),
            (&json!("allow"), &json!("protected")),
            "{destination}"
        );
    }
    assert_eq!(
        serde_json::to_value(snapshot.explain(None, "+12105550001", 0, &DynamicEntries::default()))
            .unwrap()["action"],
        "terminate"
    );
}

#[test]
fn a_fault_names_its_field() {
    for (pointer, value, field) in [
        ("/format", json!(2), "format"),
        ("/version", json!(0), "version"),
        ("/version", json!("7"), "version"),
        ("/site/country_code", json!("01"), "site.country_code"),
        ("/site/own_ranges/0", json!("1210*"), "site.own_ranges[0]"),
        ("/protected/1", json!("x"), "protected[1]"),
        ("/answers/allow", json!("!^.*$!sip:a b!"), "answers.allow"),
        ("/answers/host", json!("a b"), "answers.host"),
        ("/answers/service", json!("sip"), "answers.service"),
        (
            "/answers/no_opinion",
            json!("servfail"),
            "answers.no_opinion",
        ),
        (
            "/profiles/cisco/allow",
            json!(r"!^(.*)$!sip:\1@\1!"),
            "profiles.cisco.allow",
        ),
        (
            "/profiles/cisco/redirect",
            json!("!^.*$!sip:{target}@redirect"),
            "profiles.cisco.redirect",
        ),
        (
            "/profiles/cisco/terminate",
            json!(format!("!^.*$!sip:{}@{{host}}!", "a".repeat(120))),
            "profiles.cisco.terminate",
        ),
        (
            "/profiles/cisco/service",
            json!("sip"),
            "profiles.cisco.service",
        ),
        (
            "/clients/0/network",
            json!("192.0.2.1/24"),
            "clients[0].network",
        ),
        ("/clients/0/profile", json!("oracle"), "clients[0].profile"),
        (
            "/lists/bad/entries/1",
            json!("+1 900"),
            "lists.bad.entries[1]",
        ),
        (
            "/schedules/office/zone",
            json!("America/Nowhere"),
            "schedules.office.zone",
        ),
        ("/rules/0/id", json!(13), "rules[1].id"),
        ("/rules/0/id", json!(0), "rules[0].id"),
        ("/rules/0/mode", json!("on"), "rules[0].mode"),
        (
            "/rules/0/destinations/1",
            json!("list:good"),
            "rules[0].destinations[1]",
        ),
        (
            "/rules/0/destinations/1",
            json!("class:number"),
            "rules[0].destinations[1]",
        ),
        ("/rules/0/target", json!("+12105550199"), "rules[0].target"),
        ("/rules/1/target", json!(null), "rules[1].target"),
        ("/rules/1/target", json!("+1210*"), "rules[1].target"),
        ("/rules/0/schedule", json!("never"), "rules[0].schedule"),
        (
            "/rules/0/rate",
            json!({"limit": 10_001, "window_s": 60, "key": "pair"}),
            "rules[0].rate.limit",
        ),
        (
            "/rules/0/rate",
            json!({"limit": 1, "window_s": 0, "key": "pair"}),
            "rules[0].rate.window_s",
        ),
        (
            "/rules/0/rate",
            json!({"limit": 1, "window_s": 1, "key": "peer"}),
            "rules[0].rate.key",
        ),
    ] {
        let mut document: Value = serde_json::from_str(CONTRACT).unwrap();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        match document.pointer_mut(parent).unwrap() {
            Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
            parent => parent[key] = value,
        }
        let error = Snapshot::from_bytes(document.to_string().as_bytes()).unwrap_err();
        assert_eq!(error.field, field, "{error}");
        assert!(!error.to_string().contains('\n'));
    }
}

#[test]
fn an_sbc_has_the_profile_of_its_network() {
    let snapshot = Snapshot::from_bytes(CONTRACT.as_bytes()).unwrap();
    let profile_of = |address: &str| snapshot.profile_of(address.parse().unwrap());
    let profile = profile_of("192.0.2.7").unwrap();
    assert_eq!(snapshot.profiles()[profile.index()].service(), "sip+E2U");
    assert_eq!(
        snapshot.profiles()[profile.index()].no_opinion(),
        NoOpinion::NxDomain
    );
    assert_eq!(profile_of("192.0.3.7"), None);
    let mut document: Value = serde_json::from_str(CONTRACT).unwrap();
    document["clients"] = json!([document["clients"][0], document["clients"][0]]);
    let error = Snapshot::from_bytes(document.to_string().as_bytes()).unwrap_err();
    assert_eq!(error.field, "clients[1].network");
}

#[test]
fn refuses_unknown_fields_and_what_is_no_document() {
    let mut document: Value = serde_json::from_str(CONTRACT).unwrap();
    document["rules"][0]["colour"] = json!("red");
    let error = Snapshot::from_bytes(document.to_string().as_bytes()).unwrap_err();
    assert!(
        error.field.starts_with("rules[0]") && error.problem.contains("colour"),
        "{error}"
    );
    for bytes in [&b""[..], b"{", b"[]", b"\xff", b"{\"format\":1}"] {
        assert_eq!(Snapshot::from_bytes(bytes).unwrap_err().field, "policy");
    }
}

#[test]
fn the_answer_is_written_as_the_sbc_that_asks_gets_it() {
    let document = json!({"format": 1, "version": 1, "site": {"country_code": "1"}, "rules": [],
        "answers": {"allow": "!^(.*)$!sip:\\1@allow.{host}!"},
        "profiles": {"cisco": {"allow": "!^(.*)$!sip:\\1@{host};x!", "service": "sip+E2U"}},
        "clients": [{"network": "192.0.2.0/24", "profile": "cisco", "name": "edge"}]});
    let snapshot = Snapshot::from_bytes(document.to_string().as_bytes()).unwrap();
    let answer = |client: &str, apex| {
        let asker = Asker {
            client: client.parse().ok(),
            apex,
        };
        let found =
            snapshot.explain_to(None, "+12105550100", 0, &DynamicEntries::default(), &asker);
        (found.answer.unwrap(), found.service.unwrap())
    };
    let pair = |text: &str, service: &str| (text.to_owned(), service.to_owned());
    assert_eq!(
        answer("192.0.2.7", Some("e164.example")),
        pair(r"!^(.*)$!sip:\1@e164.example;x!", "sip+E2U")
    );
    assert_eq!(
        answer("198.51.100.1", Some("e164.example")),
        pair(r"!^(.*)$!sip:\1@allow.e164.example!", "E2U+sip")
    );
    assert_eq!(
        answer("", None),
        pair(r"!^(.*)$!sip:\1@allow.{host}!", "E2U+sip")
    );
    assert_eq!(
        answer("", Some("not a host")),
        pair(r"!^(.*)$!sip:\1@allow.{host}!", "E2U+sip")
    );
}

#[test]
fn a_rate_is_told_as_state_and_a_failed_condition_is_named() {
    let rule = |id: u32, sources: Value, rate: Value| {
        json!({"id": id, "name": format!("r{id}"), "mode": "enforce", "direction": "any", "sources": sources,
               "destinations": [], "action": "terminate", "target": null, "schedule": null, "rate": rate})
    };
    let rate = json!({"limit": 10, "window_s": 60, "key": "source"});
    let document = json!({"format": 1, "version": 1, "site": {"country_code": "1"},
        "rules": [rule(1, json!([]), rate.clone()), rule(2, json!(["+1900*"]), Value::Null), rule(3, json!([]), Value::Null)]});
    let snapshot = Snapshot::from_bytes(document.to_string().as_bytes()).unwrap();
    let found = serde_json::to_value(snapshot.explain(
        Some("+12105550123"),
        "+12105550100",
        0,
        &DynamicEntries::default(),
    ))
    .unwrap();
    let rules = &found["rules"];
    assert_eq!(
        (&rules[0]["verdict"], &rules[0]["rate"]),
        (&json!("depends_on_rate"), &rate)
    );
    assert_eq!(
        rules[0]["why"],
        "any source; any destination; acts above 10 calls in 60 s per source, counted on each device: not evaluated here"
    );
    assert_eq!(
        (&rules[1]["verdict"], &rules[1]["condition"]),
        (&json!("passed_over"), &json!("source"))
    );
    assert_eq!(found["rule"], "r3");
}
