//! Any text as a number pattern or a network: refused, or written and read again as the same.
#![no_main]
use libfuzzer_sys::fuzz_target;
use ringfence_numbers::{E164, NumberMapBuilder, Pattern};
use ringfence_policy::{Network, NetworkMap};

fuzz_target!(|octets: &[u8]| {
    let Ok(text) = std::str::from_utf8(octets) else {
        return;
    };
    if let Ok(pattern) = text.parse::<Pattern>() {
        let written = pattern.to_string();
        assert_eq!(written.parse::<Pattern>().as_ref(), Ok(&pattern), "{written}");
        let mut builder = NumberMapBuilder::default();
        builder.add(pattern, 7);
        let map = builder.build();
        for number in [12_105_550_100, 999_999_999_999_999, 1_000_000, 441_234_567_890] {
            if let Some(number) = E164::new(number) {
                let is_in = map.tags_of(number) == [7];
                assert_eq!(is_in, pattern.matches(number), "{written} {number}");
            }
        }
    }
    if let Ok(network) = text.parse::<Network>() {
        let map = NetworkMap::new(&[(network, 1)]);
        let _ = map.get([192, 0, 2, 1].into());
    }
});
