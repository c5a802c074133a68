//! The bytes and the Arrow form of an event: the version test, round trips, hostile input.
use std::net::{IpAddr, SocketAddr};

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_ipc::reader::StreamReader;
use proptest::collection::vec;
use proptest::prelude::*;
use ringfence_events::{
    DecodeError, ENCODED_MAX, EnumBatch, EnumEvent, MONITORED_MAX, RAW_MAX, SCHEMA_KEY,
    SCHEMA_NAME, StoredEvent,
};

#[derive(Debug, Clone)]
struct Owned {
    bytes: [u8; 8],
    time_us: i64,
    peer: SocketAddr,
    numbers: [u64; 3],
    ids: [u32; 3],
    source_raw: Vec<u8>,
    destination_raw: Vec<u8>,
    monitored: Vec<u32>,
}

impl Owned {
    fn event(&self) -> EnumEvent<'_> {
        let [
            transport,
            source_class,
            destination_class,
            source_origin,
            direction,
            action,
            reason,
            rcode,
        ] = self.bytes;
        EnumEvent {
            time_us: self.time_us,
            peer: self.peer,
            transport,
            source: self.numbers[0],
            destination: self.numbers[1],
            target: self.numbers[2],
            source_class,
            destination_class,
            source_origin,
            direction,
            action,
            reason,
            rcode,
            rule_id: self.ids[0],
            policy_version: self.ids[1],
            latency_ns: self.ids[2],
            source_raw: &self.source_raw,
            destination_raw: &self.destination_raw,
            monitored: &self.monitored,
        }
    }
}

fn events() -> impl Strategy<Value = Owned> {
    let peer = (any::<IpAddr>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port));
    let raw = || vec(any::<u8>(), 0..=RAW_MAX);
    let fixed = (
        any::<[u8; 8]>(),
        any::<i64>(),
        peer,
        any::<[u64; 3]>(),
        any::<[u32; 3]>(),
    );
    (fixed, raw(), raw(), vec(any::<u32>(), 0..=MONITORED_MAX)).prop_map(
        |((bytes, time_us, peer, numbers, ids), source_raw, destination_raw, monitored)| Owned {
            bytes,
            time_us,
            peer,
            numbers,
            ids,
            source_raw,
            destination_raw,
            monitored,
        },
    )
}

fn known() -> Owned {
    Owned {
        bytes: [0, 1, 1, 1, 2, 3, 1, 0],
        time_us: 1_700_000_000_123_456,
        peer: "192.0.2.7:5060".parse().unwrap(),
        numbers: [12_105_550_123, 19_005_550_100, 12_105_550_199],
        ids: [12, 7, 8_500],
        source_raw: b"sip:a@b".to_vec(),
        destination_raw: b"19005550100".to_vec(),
        monitored: vec![3, 70_000],
    }
}

fn encoded(event: &EnumEvent<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    event.encode(&mut bytes);
    bytes
}

#[test]
fn format_1_never_changes() {
    let expected = concat!(
        "01040001010102030100070b02c41340222018240a06002b098cd1020000",
        "0014aed16c0400000077098cd1020000000c0000000700000034210000c0",
        "0002077369703a61406231393030353535303130300300000070110100",
    );
    let hex: String = encoded(&known().event())
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();
    assert_eq!(hex, expected);
}

#[test]
fn newer_formats_are_named() {
    let mut bytes = encoded(&known().event());
    bytes[0] = 9;
    assert_eq!(StoredEvent::decode(&bytes), Err(DecodeError::Format(9)));
}

#[test]
fn oversize_input_is_cut_by_the_encoder() {
    let long = Owned {
        source_raw: vec![b'x'; 500],
        monitored: vec![1; 40],
        ..known()
    };
    let bytes = encoded(&long.event());
    assert!(bytes.len() <= ENCODED_MAX);
    let stored = StoredEvent::decode(&bytes).unwrap();
    assert_eq!(stored.event().source_raw.len(), RAW_MAX);
    assert_eq!(stored.event().monitored.len(), MONITORED_MAX);
}

#[test]
fn arrow_stream_has_the_contracts_columns_and_values() {
    let owned = known();
    let mut batch = EnumBatch::with_capacity(1);
    batch.push(41, &owned.event());
    let stream = batch.finish().unwrap();
    let mut reader = StreamReader::try_new(stream.as_slice(), None).unwrap();
    assert_eq!(
        reader
            .schema()
            .metadata()
            .get(SCHEMA_KEY)
            .map(String::as_str),
        Some(SCHEMA_NAME)
    );
    let rows = reader.next().unwrap().unwrap();
    assert!(reader.next().is_none());
    assert!(
        rows.schema()
            .fields()
            .iter()
            .all(|field| !field.is_nullable())
    );
    let int = |name: &str| {
        rows.column_by_name(name)
            .unwrap()
            .as_primitive::<Int64Type>()
            .value(0)
    };
    let word = |name: &str| {
        rows.column_by_name(name)
            .unwrap()
            .as_primitive::<Int16Type>()
            .value(0)
    };
    let id = |name: &str| {
        rows.column_by_name(name)
            .unwrap()
            .as_primitive::<Int32Type>()
            .value(0)
    };
    let text = |name: &str| {
        rows.column_by_name(name)
            .unwrap()
            .as_string::<i32>()
            .value(0)
            .to_owned()
    };
    assert_eq!(
        (int("sequence"), int("source"), int("destination")),
        (41, 12_105_550_123, 19_005_550_100)
    );
    assert_eq!(int("target"), 12_105_550_199);
    let time = rows
        .column_by_name("time")
        .unwrap()
        .as_primitive::<TimestampMicrosecondType>();
    assert_eq!(time.value(0), 1_700_000_000_123_456);
    assert_eq!(
        (
            word("transport"),
            word("source_class"),
            word("destination_class")
        ),
        (0, 1, 1)
    );
    assert_eq!(
        (word("source_origin"), word("direction"), word("action")),
        (1, 2, 3)
    );
    assert_eq!((word("reason"), word("rcode")), (1, 0));
    assert_eq!(
        (
            id("rule_id"),
            id("policy_version"),
            id("latency_ns"),
            id("peer_port")
        ),
        (12, 7, 8_500, 5060)
    );
    assert_eq!(
        (text("peer"), text("source_raw")),
        ("192.0.2.7".into(), "sip:a@b".into())
    );
    assert_eq!(text("destination_raw"), "19005550100");
    let monitored = rows
        .column_by_name("monitored")
        .unwrap()
        .as_list::<i32>()
        .value(0);
    assert_eq!(
        monitored.as_primitive::<Int32Type>().values().to_vec(),
        [3, 70_000]
    );
}

proptest! {
    #[test]
    fn event_to_bytes_to_event(owned in events()) {
        let bytes = encoded(&owned.event());
        prop_assert!(bytes.len() <= ENCODED_MAX);
        let stored = StoredEvent::decode(&bytes).unwrap();
        prop_assert_eq!(stored.event(), owned.event());
        prop_assert_eq!(encoded(&stored.event()), bytes);
    }

    #[test]
    fn any_bytes_decode_to_an_event_with_the_same_bytes_or_to_an_error(mut bytes in vec(any::<u8>(), 0..400), shape in 0..3u8) {
        if shape > 0 && bytes.len() > 12 {
            bytes[0] = 1;
            bytes[1] = if shape == 1 { 4 } else { 6 };
            bytes[12] = 0;
        }
        if let Ok(stored) = StoredEvent::decode(&bytes) {
            prop_assert_eq!(encoded(&stored.event()), bytes);
        }
    }

    #[test]
    fn every_truncation_is_an_error(owned in events(), cut in any::<prop::sample::Index>()) {
        let bytes = encoded(&owned.event());
        prop_assert!(StoredEvent::decode(&bytes[..cut.index(bytes.len())]).is_err());
    }

    #[test]
    fn arrow_is_readable_for_any_event(owned in vec(events(), 1..20)) {
        let mut batch = EnumBatch::with_capacity(owned.len());
        for (sequence, event) in (1..).zip(&owned) {
            batch.push(sequence, &event.event());
        }
        let stream = batch.finish().unwrap();
        let rows = StreamReader::try_new(stream.as_slice(), None).unwrap().next().unwrap().unwrap();
        prop_assert_eq!(rows.num_rows(), owned.len());
        let raw = rows.column_by_name("source_raw").unwrap().as_string::<i32>();
        for (row, event) in owned.iter().enumerate() {
            let expected = String::from_utf8_lossy(&event.source_raw).replace('\0', "\u{FFFD}");
            prop_assert_eq!(raw.value(row), expected);
        }
    }
}
