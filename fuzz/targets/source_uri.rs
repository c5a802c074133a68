//! Any octets as what an SBC says of the caller: read, and normalised by a dial plan.
#![no_main]
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use ringfence_enum_server::wire::source_option::source_uri;
use ringfence_numbers::{DialPlan, Party, Site, uri_user};

const SITE: &str = r#"{"country": "US", "country_code": "1", "national_prefix": "1", "international_prefixes": ["011"],
 "national_lengths": [10], "local_prefix": "210", "local_lengths": [7], "extension_lengths": [4], "own_ranges": ["+1210555*"]}"#;

fuzz_target!(|octets: &[u8]| {
    static PLAN: OnceLock<DialPlan> = OnceLock::new();
    let plan = PLAN.get_or_init(|| {
        let site: Site = serde_json::from_str(SITE).expect("site");
        DialPlan::compile(&site, &["911".to_owned()]).expect("plan")
    });
    if let Some((uri, _)) = source_uri(octets) {
        let _ = uri_user(uri);
        check(plan, plan.normalise(uri));
    }
    check(plan, plan.normalise(octets));
    check(plan, plan.normalise_digits(octets));
});

fn check(plan: &DialPlan, party: Party) {
    if let Some(number) = party.number {
        let again = plan.normalise(number.to_string().as_bytes());
        assert_eq!(again.number, party.number, "a full number stays what it is");
    }
    let _ = plan.direction(&party, &party);
}
