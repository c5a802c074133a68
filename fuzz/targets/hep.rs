//! HEP of all versions: what can be read can be written and read again.
#![no_main]
use libfuzzer_sys::fuzz_target;
use ringfence_voice_wire::hep;

fuzz_target!(|data: &[u8]| {
    const NOW_S: u32 = 1_795_000_000;
    for head in [&b""[..], b"HEP3", &[2, 28, 2, 17], &[1, 16, 2, 17]] {
        let octets = [head, data].concat();
        let _ = (hep::is_hep(&octets), hep::framed_length(&octets));
        if let Ok(packet) = hep::parse(&octets, NOW_S)
            && octets.len() < 60_000
        {
            let mut written = Vec::new();
            hep::write(&packet, &mut written);
            let again = hep::parse(&written, NOW_S).unwrap();
            assert_eq!((again.kind, again.payload, again.key), (packet.kind, packet.payload, packet.key));
        }
    }
});
