//! Any octets as an Identity header, and as the JSON of a PASSporT inside a well-formed one.
#![no_main]
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use ringfence_voice_wire::stir::{Form, Identity};

fuzz_target!(|octets: &[u8]| {
    let _ = Identity::parse(octets);
    let wrapped = format!(
        "eyJwcHQiOiJzaGFrZW4ifQ.{}.c2ln;info=<https://c>",
        URL_SAFE_NO_PAD.encode(octets)
    );
    if let Ok(identity) = Identity::parse(wrapped.as_bytes()) {
        assert!(identity.is_shaken());
        let Form::Full(passport) = identity.form else {
            panic!("claims were given")
        };
        let _ = passport.is_fresh(0);
    }
});
