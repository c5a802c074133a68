//! Frames of any link type: whatever stands in them, a packet or a count comes out.
#![no_main]
use libfuzzer_sys::fuzz_target;
use ringfence_probe::decode::{Decoder, Frame, LinkType};
use ringfence_probe::reassembly::fragments::{FragmentLimits, Fragments};

fuzz_target!(|data: &[u8]| {
    let limits = FragmentLimits { datagrams: 8, octets: 1 << 16, age_ns: 1000 };
    let mut decoder = Decoder::new(Fragments::new(limits));
    let links = [1, 12, 113, 276, 0, 9];
    // Several frames a run, so that fragments meet: the first octet is the link, the second the length.
    let (mut rest, mut frames) = (data, 0);
    while let [link, length, body @ ..] = rest {
        let (frame, next) = body.split_at((usize::from(*length) * 2).min(body.len()));
        let link = LinkType::from_number(links[usize::from(*link) % links.len()]).unwrap();
        let frame = Frame { time_ns: frames, link, data: frame, wire_length: frame.len() as u32, vlan: 0 };
        decoder.decode(&frame, &mut |packet| assert!(packet.payload.len() < 1 << 17));
        frames += 1;
        rest = next;
    }
    assert_eq!(decoder.counters().frames, frames as u64);
    assert!(decoder.fragments().waiting() <= 8);
});
