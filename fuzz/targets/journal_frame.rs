//! Any octets as a journal frame, as they stand and with a checksum that fits; then each record as an event.
#![no_main]
use libfuzzer_sys::fuzz_target;
use ringfence_events::StoredEvent;
use ringfence_journal::frame::{Content, Frame, HEADER};

fuzz_target!(|octets: &[u8]| {
    check(octets);
    let _ = StoredEvent::decode(octets).map(|stored| stored.event().encode(&mut Vec::new()));
    if octets.len() > HEADER {
        let mut fitting = octets.to_vec();
        let body = (octets.len() - HEADER) as u32;
        fitting[4..8].copy_from_slice(&body.to_le_bytes());
        let checksum = crc32c::crc32c(&fitting[4..]);
        fitting[..4].copy_from_slice(&checksum.to_le_bytes());
        check(&fitting);
    }
});

fn check(octets: &[u8]) {
    let Ok(frame) = Frame::parse(octets) else {
        return;
    };
    assert!(frame.bytes <= octets.len());
    assert!(frame.last() + 1 >= frame.first);
    if let Content::Events(records) = frame.content {
        for record in records {
            let _ = StoredEvent::decode(record).map(|stored| stored.event().encode(&mut Vec::new()));
        }
    }
}
