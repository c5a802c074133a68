//! The bytes and the Arrow form of a SIP call: the version test, round trips, hostile input.
use std::net::SocketAddr;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_ipc::reader::StreamReader;
use proptest::collection::vec;
use proptest::prelude::*;
use ringfence_events::{
    CODEC_MAX, DETAILS_MAX, DecodeError, JournalEvent as _, MediaSide, NEVER, RecordsError,
    SCHEMA_KEY, SIP_SCHEMA_NAME, SIP_TEXT_MAX, SipEvent, records_to_arrow,
};

fn call<'a>() -> SipEvent<'a> {
    SipEvent {
        time_us: 1_763_840_000_123_456,
        correlation: u64::MAX,
        source_address: "192.0.2.7:5060".parse().unwrap(),
        destination_address: "[2001:db8::1]:5062".parse().unwrap(),
        transport: 1,
        side: 2,
        result: 1,
        released_by: 2,
        attestation: 3,
        status: 200,
        cause_q850: 16,
        flags: 0x0001_0020,
        probe_lost: 3,
        pdd_ms: 120,
        answer_ms: 4_000,
        duration_ms: 61_500,
        total_ms: 65_500,
        forward: MediaSide {
            packets: 3_075,
            lost: 4,
            jitter_us: 1_250,
            mos_100: 437,
        },
        backward: MediaSide::default(),
        call_id: b"a84b4c76e66710@pc33.example",
        source_raw: b"+12105550123",
        destination_raw: b"19005550100",
        codec: b"PCMU",
        user_agent: b"SBC/1.0",
        details: br#"{"hops":2}"#,
    }
}

fn encoded(event: &SipEvent<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    event.encode(&mut bytes);
    bytes
}

#[test]
fn version_1_has_these_bytes() {
    let expected = concat!(
        "02010201020304c80010002000010003000000",
        "40e2a50034440600",
        "ffffffffffffffff78000000a00f00003cf00000dcff0000",
        "030c000004000000e2040000b501",
        "0000000000000000000000000000",
        "04c0000207c413",
        "0620010db8000000000000000000000001c613",
        "1b000c000b0007000a00",
    );
    let bytes = encoded(&call());
    let hex: String = bytes.iter().map(|octet| format!("{octet:02x}")).collect();
    assert!(hex.starts_with(expected), "{hex}");
    assert!(
        bytes.ends_with(
            br#"a84b4c76e66710@pc33.example+1210555012319005550100SBC/1.0{"hops":2}PCMU"#
        )
    );
}

#[test]
fn a_call_comes_back_as_it_was() {
    let event = call();
    assert_eq!(SipEvent::decode(&encoded(&event)), Ok(event));
}

#[test]
fn what_is_cut_or_has_more_is_refused() {
    let bytes = encoded(&call());
    for length in 0..bytes.len() {
        assert!(SipEvent::decode(&bytes[..length]).is_err(), "{length}");
    }
    let longer = [&bytes[..], b"x"].concat();
    assert!(matches!(
        SipEvent::decode(&longer),
        Err(DecodeError::Length { .. })
    ));
    let mut other = bytes;
    other[0] = 9;
    assert_eq!(SipEvent::decode(&other), Err(DecodeError::Format(9)));
}

#[test]
fn long_texts_are_cut_and_long_details_left_out() {
    let (long, details) = ([b'x'; 300], vec![b'y'; DETAILS_MAX + 1]);
    let event = SipEvent {
        call_id: &long,
        codec: &long,
        details: &details,
        ..call()
    };
    let bytes = encoded(&event);
    let read = SipEvent::decode(&bytes).unwrap();
    assert_eq!(read.call_id.len(), SIP_TEXT_MAX);
    assert_eq!(read.codec.len(), CODEC_MAX);
    assert_eq!(read.details, b"");
    assert_eq!(read.source_raw, event.source_raw);
}

#[test]
fn calls_become_an_arrow_stream_of_their_own_schema() {
    let hostile = SipEvent {
        user_agent: b"\xff\0",
        pdd_ms: NEVER,
        probe_lost: u32::MAX,
        ..call()
    };
    let records = [encoded(&call()), encoded(&hostile)];
    let stream = records_to_arrow(41, 2, records.iter().map(Vec::as_slice)).unwrap();
    let mut batches = StreamReader::try_new(&stream[..], None).unwrap();
    assert_eq!(batches.schema().metadata()[SCHEMA_KEY], SIP_SCHEMA_NAME);
    let batch = batches.next().unwrap().unwrap();
    let column = |name: &str| batch.column_by_name(name).unwrap();
    assert_eq!(
        column("sequence").as_primitive::<Int64Type>().values(),
        &[41, 42]
    );
    let time = column("time").as_primitive::<TimestampMicrosecondType>();
    assert_eq!(time.value(0), call().time_us);
    assert_eq!(
        column("correlation").as_primitive::<Int64Type>().value(0),
        -1
    );
    assert_eq!(
        column("pdd_ms").as_primitive::<Int32Type>().values(),
        &[120, -1]
    );
    assert_eq!(
        column("probe_lost").as_primitive::<Int32Type>().value(1),
        i32::MAX
    );
    assert_eq!(
        column("forward_mos_100")
            .as_primitive::<Int16Type>()
            .value(0),
        437
    );
    assert_eq!(
        column("destination_address").as_string::<i32>().value(0),
        "2001:db8::1"
    );
    assert_eq!(
        column("user_agent").as_string::<i32>().value(1),
        "\u{fffd}\u{fffd}"
    );
}

#[test]
fn a_stream_carries_one_kind_of_event() {
    let records = [encoded(&call()), vec![1; 70]];
    let mixed = records_to_arrow(7, 2, records.iter().map(Vec::as_slice));
    assert!(matches!(
        mixed,
        Err(RecordsError::Event {
            sequence: 8,
            source: DecodeError::Format(1)
        })
    ));
}

proptest! {
    #[test]
    fn any_call_comes_back(
        words in any::<([u8; 5], [u16; 2], [u32; 8], [i32; 4], i64)>(),
        addresses in any::<(u32, u128, u16, u16)>(),
        texts in vec(vec(any::<u8>(), 0..40), 6),
    ) {
        let (bytes, shorts, counts, times, time_us) = words;
        let side = |at: usize, mos_100| MediaSide {
            packets: counts[at], lost: counts[at + 1], jitter_us: counts[at + 2], mos_100,
        };
        let event = SipEvent {
            time_us,
            correlation: u64::from(counts[0]),
            source_address: SocketAddr::new(addresses.0.to_be_bytes().into(), addresses.2),
            destination_address: SocketAddr::new(addresses.1.to_be_bytes().into(), addresses.3),
            transport: bytes[0],
            side: bytes[1],
            result: bytes[2],
            released_by: bytes[3],
            attestation: bytes[4],
            status: shorts[0],
            cause_q850: shorts[1],
            flags: counts[6],
            probe_lost: counts[7],
            pdd_ms: times[0],
            answer_ms: times[1],
            duration_ms: times[2],
            total_ms: times[3],
            forward: side(0, shorts[0]),
            backward: side(3, shorts[1]),
            call_id: &texts[0],
            source_raw: &texts[1],
            destination_raw: &texts[2],
            codec: &texts[3][..texts[3].len().min(CODEC_MAX)],
            user_agent: &texts[4],
            details: &texts[5],
        };
        let bytes = encoded(&event);
        prop_assert_eq!(SipEvent::decode(&bytes), Ok(event));
    }

    #[test]
    fn hostile_bytes_are_an_error_or_the_same_bytes(mut bytes in vec(any::<u8>(), 0..200)) {
        if let Some(first) = bytes.first_mut() {
            *first = 2;
        }
        if let Ok(event) = SipEvent::decode(&bytes) {
            prop_assert_eq!(encoded(&event), bytes);
        }
    }
}
