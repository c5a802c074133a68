//! Any octets as a body: the description is found in it, and its media are read.
#![no_main]
use libfuzzer_sys::fuzz_target;
use ringfence_voice_wire::sdp::{CODECS_MAX, Sdp, find};

fuzz_target!(|octets: &[u8]| {
    let end = octets.iter().position(|octet| *octet == b'\n').unwrap_or(0);
    let (kind, body) = octets.split_at(end);
    if let Some(part) = find(kind, body) {
        assert!(part.len() <= body.len());
    }
    for body in [octets, body] {
        let Some(sdp) = Sdp::parse(body) else {
            continue;
        };
        for media in sdp.media() {
            let codecs = media.codecs();
            assert!(codecs.iter().count() <= CODECS_MAX);
            assert!(codecs.iter().all(|codec| codec.payload_type < 128));
            let _ = (
                codecs.voice(),
                media.is_held(),
                media.is_fax(),
                media.is_encrypted(),
            );
        }
    }
});
