//! Contents of lists beside the document: they list what inline entries would, until their end, and nothing half.

use proptest::prelude::*;
use ringfence_policy::{
    Action, Contents, DynamicEntries, PolicyError, RateCounters, Snapshot, contents_named,
};
use serde_json::{Value, json};

const HASH: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const NOW_US: i64 = 1_763_840_000_000_000;

fn document(list: &Value) -> String {
    json!({
        "format": 1, "version": 7, "site": {"country_code": "1", "national_prefix": "1", "national_lengths": [10]},
        "lists": {"bad": list, "unused": {"entries": ["+1*"]}},
        "rules": [{"id": 1, "name": "bad", "mode": "enforce", "direction": "any", "sources": [],
                   "destinations": ["list:bad"], "action": "terminate", "target": null, "schedule": null, "rate": null}],
    })
    .to_string()
}

fn compile(list: &Value, content: &str) -> Result<Snapshot, PolicyError> {
    let contents: Contents = [(HASH, content.as_bytes())].into_iter().collect();
    Snapshot::with_contents(document(list).as_bytes(), &contents)
}

fn is_terminated(snapshot: &Snapshot, destination: &str, now_us: i64) -> bool {
    let plan = snapshot.plan();
    let call = snapshot.call(
        plan.normalise(b"+12105550123"),
        plan.normalise(destination.as_bytes()),
    );
    let decision = snapshot.decide(
        &call,
        now_us,
        &RateCounters::default(),
        &DynamicEntries::default(),
    );
    decision.action == Action::Terminate
}

#[test]
fn a_content_lists_what_stands_in_it_beside_inline_entries() {
    let list = json!({"entries": ["+442079460000"], "content": HASH});
    let snapshot = compile(&list, "ringfence-list 1\n+12105550100\n+1900*\n").unwrap();
    for listed in ["+442079460000", "+12105550100", "+19005550100"] {
        assert!(is_terminated(&snapshot, listed, NOW_US), "{listed}");
    }
    assert!(!is_terminated(&snapshot, "+12105550101", NOW_US));
}

#[test]
fn an_entry_with_an_end_acts_until_then_and_explain_says_so() {
    let content = format!(
        "ringfence-list 1\n+12105550100 {NOW_US}\n+1900* {}\n",
        NOW_US + 5
    );
    let snapshot = compile(&json!({"content": HASH}), &content).unwrap();
    assert!(is_terminated(&snapshot, "+12105550100", NOW_US - 1));
    assert!(!is_terminated(&snapshot, "+12105550100", NOW_US));
    assert!(is_terminated(&snapshot, "+19005550100", NOW_US + 4));
    assert!(!is_terminated(&snapshot, "+19005550100", NOW_US + 5));
    let none = DynamicEntries::default();
    let explained = snapshot.explain(None, "+12105550100", NOW_US - 1, &none);
    let why = &explained.rules[0].why;
    assert!(why.contains("list:bad until 2025-11-22T19:33:20Z"), "{why}");
    let after = snapshot.explain(None, "+12105550100", NOW_US, &none);
    assert!(after.rules[0].why.contains("in none of"));
}

#[test]
fn an_empty_content_lists_nothing() {
    let snapshot = compile(&json!({"content": HASH}), "ringfence-list 1\n").unwrap();
    assert!(!is_terminated(&snapshot, "+12105550100", NOW_US));
}

#[test]
fn what_is_not_whole_is_refused_with_list_and_line() {
    for (content, problem) in [
        ("", "is not a content"),
        ("ringfence-list 2\n", "is not a content"),
        ("ringfence-list 1\n+1210555", "ends within a line"),
        ("ringfence-list 1\n+12105550100\n+1x\n", "line 3: \"+1x\""),
        ("ringfence-list 1\n+12105550100 soon\n", "line 2: \"soon\""),
        ("ringfence-list 1\n\n+12105550100\n", "line 2"),
    ] {
        let error = compile(&json!({"content": HASH}), content).unwrap_err();
        assert_eq!(error.field, "lists.bad.content");
        assert!(error.problem.contains(problem), "{content:?}: {error}");
    }
    let error = Snapshot::from_bytes(document(&json!({"content": HASH})).as_bytes()).unwrap_err();
    assert!(error.problem.contains("not at hand"), "{error}");
    for hash in ["../../etc/passwd", "AB", &HASH.to_uppercase()] {
        let list = json!({"content": hash});
        let error = compile(&list, "ringfence-list 1\n").unwrap_err();
        assert!(error.problem.contains("SHA-256"), "{error}");
        assert!(contents_named(document(&list).as_bytes()).is_err());
    }
}

#[test]
fn a_document_says_which_contents_it_needs() {
    let named = contents_named(document(&json!({"content": HASH})).as_bytes()).unwrap();
    assert_eq!(named, [HASH]);
    assert!(
        contents_named(document(&json!({"entries": []})).as_bytes())
            .unwrap()
            .is_empty()
    );
}

proptest! {
    #[test]
    fn a_content_decides_as_inline_entries_do(
        patterns in prop::collection::vec("[+]1[0-2]{3,6}[*]?", 0..30),
        numbers in prop::collection::vec("[+]1[0-2]{6}", 10),
    ) {
        let inline = compile(&json!({"entries": patterns}), "ringfence-list 1\n").unwrap();
        let content: String = patterns.iter().map(|pattern| format!("{pattern}\n")).collect();
        let beside = compile(&json!({"content": HASH}), &format!("ringfence-list 1\n{content}")).unwrap();
        for number in numbers {
            prop_assert_eq!(is_terminated(&inline, &number, NOW_US), is_terminated(&beside, &number, NOW_US));
        }
    }

    #[test]
    fn any_octets_are_refused_or_compiled(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut content = b"ringfence-list 1\n".to_vec();
        content.extend(octets);
        let contents: Contents = [(HASH, &content[..])].into_iter().collect();
        let _ = Snapshot::with_contents(document(&json!({"content": HASH})).as_bytes(), &contents);
    }
}
