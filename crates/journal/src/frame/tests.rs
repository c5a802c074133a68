//! Version test, round trip, and hostile bytes.
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn frames(records: &[Vec<u8>], first: u64) -> Vec<u8> {
    let mut writer = FrameWriter::default();
    for record in records {
        assert!(writer.record(first, first - 1, |out| out.extend_from_slice(record)));
    }
    writer.sealed().to_vec()
}

#[test]
fn frame_bytes_never_change() {
    let mut writer = FrameWriter::default();
    writer.lost(7, 5, 3, 10, 20);
    writer.record(7, 5, |out| out.extend_from_slice(b"ab"));
    writer.record(7, 5, |out| out.push(b'c'));
    let hex: String = writer
        .sealed()
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();
    let expected = concat!(
        "e483b28f",
        "18000000",
        "0700000000000000",
        "0500000000000000",
        "00000000",
        "02000000",
        "0300000000000000",
        "0a00000000000000",
        "1400000000000000",
        "5bf07390",
        "07000000",
        "0700000000000000",
        "0500000000000000",
        "02000000",
        "01000000",
        "0200",
        "6162",
        "0100",
        "63",
    );
    assert_eq!(hex, expected);
}

#[test]
fn large_batches_become_several_frames_with_running_sequences() {
    let records = vec![vec![7u8; 300]; 5000];
    let bytes = frames(&records, 100);
    let (mut offset, mut next) = (0, 100);
    while offset < bytes.len() {
        let frame = Frame::parse(&bytes[offset..]).unwrap();
        assert_eq!(frame.first, next);
        assert!(frame.bytes <= FRAME_MAX);
        next = frame.last() + 1;
        offset += frame.bytes;
    }
    assert_eq!(next, 5100);
}

#[test]
fn a_record_beyond_65535_octets_is_refused_and_leaves_no_trace() {
    let mut writer = FrameWriter::default();
    assert!(!writer.record(1, 0, |out| out.resize(out.len() + 65_536, 0)));
    assert!(writer.is_empty());
    assert!(writer.record(1, 0, |out| out.push(1)));
    assert!(!writer.record(1, 0, |out| out.resize(out.len() + 65_536, 0)));
    assert_eq!(Frame::parse(writer.sealed()).unwrap().last(), 1);
}

proptest! {
    #[test]
    fn records_come_back(records in vec(vec(any::<u8>(), 0..50), 1..40), first in 1..u64::MAX / 4) {
        let bytes = frames(&records, first);
        let frame = Frame::parse(&bytes).unwrap();
        prop_assert_eq!((frame.first, frame.bytes), (first, bytes.len()));
        prop_assert_eq!(frame.last(), first + records.len() as u64 - 1);
        let Content::Events(found) = frame.content else { panic!("events") };
        prop_assert_eq!(found.map(<[u8]>::to_vec).collect::<Vec<_>>(), records);
    }

    #[test]
    fn any_bytes_are_parsed_without_panic(bytes in vec(any::<u8>(), 0..300)) {
        let _ = Frame::parse(&bytes);
    }

    #[test]
    fn a_sound_checksum_over_hostile_content_does_not_panic(
        mut bytes in vec(any::<u8>(), HEADER..200), kind in 1..3u8, count in 0..6u8,
    ) {
        let body = bytes.len() - HEADER;
        bytes[4..8].copy_from_slice(&(body as u32).to_le_bytes());
        bytes[15] = 0;
        bytes[24..32].copy_from_slice(&[count, 0, 0, 0, kind, 0, 0, 0]);
        let crc = checksum(&bytes[4..]);
        bytes[..4].copy_from_slice(&crc.to_le_bytes());
        if let Ok(frame) = Frame::parse(&bytes)
            && let Content::Events(records) = frame.content
        {
            prop_assert_eq!(frame.last() - frame.first + 1, records.count() as u64);
        }
    }

    #[test]
    fn every_truncation_and_every_flipped_bit_is_noticed(
        records in vec(vec(any::<u8>(), 0..20), 1..5), at in any::<prop::sample::Index>(), bit in 0..8u8,
    ) {
        let bytes = frames(&records, 9);
        prop_assert!(Frame::parse(&bytes[..at.index(bytes.len())]).is_err());
        let mut flipped = bytes.clone();
        flipped[at.index(bytes.len())] ^= 1 << bit;
        prop_assert!(Frame::parse(&flipped).is_err());
    }
}
