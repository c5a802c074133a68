//! Any octets as a policy document, and as one of dynamic entries: refused with a one-line reason, or compiled, and then it decides and explains.
#![no_main]
use libfuzzer_sys::fuzz_target;
use ringfence_policy::{DynamicEntries, RateCounters, Snapshot};

fuzz_target!(|document: &[u8]| {
    if let Err(error) = DynamicEntries::from_bytes(document) {
        assert!(!error.to_string().is_empty());
    }
    match Snapshot::from_bytes(document) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(snapshot) => {
            let rates = RateCounters::default();
            let entries = DynamicEntries::default();
            for (source, destination) in [
                (Some("sip:+12105550123@sbc"), "+19005550100"),
                (None, "911"),
                (Some("anonymous"), "x"),
            ] {
                let from = snapshot.plan().normalise(source.unwrap_or("").as_bytes());
                let to = snapshot.plan().normalise(destination.as_bytes());
                let _ = snapshot.decide(&snapshot.call(from, to), 1_700_000_000_000_000, &rates, &entries);
                let _ = snapshot.explain(source, destination, i64::MAX, &entries);
            }
            let _ = snapshot.profile_of([192, 0, 2, 1].into());
            let _ = snapshot.answers().for_host("e164.internal").expect("any apex");
        }
    }
});
