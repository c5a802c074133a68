//! The journal on a real disk, with its threads.
use std::collections::BTreeMap;
use std::time::Duration;

use ringfence_events::{EnumEvent, StoredEvent};
use tempfile::TempDir;

use super::*;

pub(super) fn event(time_us: i64) -> EnumEvent<'static> {
    EnumEvent {
        time_us,
        peer: "127.0.0.1:5060".parse().unwrap(),
        transport: 0,
        source: 12_105_550_123,
        destination: 19_005_550_100,
        target: 0,
        source_class: 1,
        destination_class: 1,
        source_origin: 1,
        direction: 2,
        action: 1,
        reason: 2,
        rcode: 0,
        rule_id: 0,
        policy_version: 3,
        latency_ns: 900,
        source_raw: b"sip:+12105550123@sbc.example",
        destination_raw: b"19005550100",
        monitored: &[],
    }
}

pub(super) fn times(batch: &Batch) -> Vec<i64> {
    batch
        .records()
        .map(|record| StoredEvent::decode(record).unwrap().event().time_us)
        .collect()
}

fn config(folder: &TempDir) -> Config {
    Config {
        stage: Some(folder.path().join("stage")),
        sync: Duration::from_millis(5),
        ..Config::new(folder.path().join("journal"))
    }
}

fn record(writer: &mut StreamWriter, range: std::ops::RangeInclusive<i64>) {
    for time in range {
        writer.record(&event(time));
    }
    writer.commit();
}

fn wait_durable(journal: &Journal, stream: u32, sequence: u64) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while journal.durable(stream) < sequence {
        assert!(
            Instant::now() < deadline,
            "{sequence} did not become durable"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn committed_events_become_durable_and_are_read_in_order() {
    let folder = TempDir::new().unwrap();
    let journal = Journal::open(config(&folder)).unwrap();
    let reader = journal.reader();
    let mut writer = journal.writer(0).unwrap();
    record(&mut writer, 1..=10);
    record(&mut writer, 11..=15);
    wait_durable(&journal, 0, 15);
    assert!(reader.wait(Duration::from_secs(5)));
    let batch = reader.read(0, 1, 100).unwrap().unwrap();
    assert_eq!((batch.first(), batch.last()), (1, 15));
    assert_eq!(times(&batch), (1..=15).collect::<Vec<_>>());
    assert_eq!(times(&reader.read(0, 4, 3).unwrap().unwrap()), [4, 5, 6]);
    assert_eq!(
        times(&reader.read(0, 7, 100).unwrap().unwrap()),
        (7..=15).collect::<Vec<_>>()
    );
    assert_eq!(reader.read(0, 16, 100).unwrap(), None);
    assert!(!batch.to_arrow().unwrap().is_empty());
}

#[test]
fn streams_number_their_events_on_their_own_and_go_on_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let journal = Journal::open(config(&folder)).unwrap();
    record(&mut journal.writer(0).unwrap(), 1..=3);
    record(&mut journal.writer(7).unwrap(), 101..=102);
    assert!(journal.close());
    let id = journal.journal_id();
    drop(journal);
    let journal = Journal::open(config(&folder)).unwrap();
    assert_eq!(journal.journal_id(), id);
    record(&mut journal.writer(7).unwrap(), 103..=103);
    wait_durable(&journal, 7, 3);
    let reader = journal.reader();
    assert_eq!(
        reader
            .streams()
            .iter()
            .map(|one| (one.stream, one.durable))
            .collect::<Vec<_>>(),
        [(0, 3), (7, 3)]
    );
    assert_eq!(
        times(&reader.read(7, 1, 10).unwrap().unwrap()),
        [101, 102, 103]
    );
}

#[test]
fn one_process_and_one_writer_a_stream() {
    let folder = TempDir::new().unwrap();
    let journal = Journal::open(config(&folder)).unwrap();
    assert!(matches!(
        Journal::open(config(&folder)),
        Err(JournalError::Locked(_))
    ));
    let writer = journal.writer(0).unwrap();
    assert!(matches!(
        journal.writer(0),
        Err(JournalError::WriterTaken(0))
    ));
    drop(writer);
    journal.writer(0).unwrap();
    journal.close();
    assert!(matches!(journal.writer(1), Err(JournalError::Closed)));
}

#[test]
fn acknowledging_what_is_not_durable_is_refused() {
    let folder = TempDir::new().unwrap();
    let journal = Journal::open(config(&folder)).unwrap();
    record(&mut journal.writer(0).unwrap(), 1..=3);
    wait_durable(&journal, 0, 3);
    let reader = journal.reader();
    assert!(matches!(
        reader.acknowledge(0, 4),
        Err(JournalError::AcknowledgedTooFar { .. })
    ));
    reader.acknowledge(0, 3).unwrap();
    reader.acknowledge(0, 1).unwrap();
    assert_eq!(reader.streams()[0].acknowledged, 3);
    assert!(matches!(
        reader.acknowledge(9, 1),
        Err(JournalError::NoStream(9))
    ));
}

#[test]
fn acknowledgement_survives_a_clean_restart() {
    let folder = TempDir::new().unwrap();
    let journal = Journal::open(config(&folder)).unwrap();
    record(&mut journal.writer(0).unwrap(), 1..=3);
    wait_durable(&journal, 0, 3);
    journal.reader().acknowledge(0, 2).unwrap();
    drop(journal);
    assert_eq!(
        Journal::open(config(&folder)).unwrap().reader().streams()[0].acknowledged,
        2
    );
}

fn held(pairs: &[(u32, u64)]) -> BTreeMap<u32, u64> {
    pairs.iter().copied().collect()
}

/// A journal closed with events 1 to 100 whose mediation agreed, then opened again as if its folder were put back.
fn put_back(folder: &TempDir) -> Journal {
    let journal = Journal::open(config(folder)).unwrap();
    assert_eq!(journal.reader().reconcile(&held(&[])).unwrap(), None);
    record(&mut journal.writer(0).unwrap(), 1..=100);
    drop(journal);
    Journal::open(config(folder)).unwrap()
}

#[test]
fn a_folder_that_was_set_back_goes_on_as_a_new_journal_with_what_it_recorded_since() {
    let folder = TempDir::new().unwrap();
    let mut journal = put_back(&folder);
    let old = journal.journal_id();
    record(&mut journal.writer(0).unwrap(), 101..=180);
    drop(journal);
    // Over another start without a mediation, and with more events than the other story has.
    journal = Journal::open(config(&folder)).unwrap();
    record(&mut journal.writer(0).unwrap(), 181..=250);
    wait_durable(&journal, 0, 250);
    let reader = journal.reader();
    let told = reader.reconcile(&held(&[(0, 200)])).unwrap().unwrap();
    assert!(told.contains("set back"), "{told}");
    let fresh = journal.journal_id();
    assert_ne!(fresh, old);
    let status = reader.streams()[0];
    assert_eq!(
        (status.first, status.durable, status.acknowledged),
        (1, 150, 0)
    );
    let batch = reader.read(0, 1, 1000).unwrap().unwrap();
    assert_eq!((batch.first(), batch.last()), (1, 150));
    assert_eq!(times(&batch), (101..=250).collect::<Vec<_>>());
    reader.acknowledge(0, 150).unwrap();
    assert!(reader.acknowledge(0, 151).is_err());
    assert_eq!(reader.reconcile(&held(&[(0, 150)])).unwrap(), None);
    drop((reader, journal));
    let journal = Journal::open(config(&folder)).unwrap();
    record(&mut journal.writer(0).unwrap(), 251..=255);
    wait_durable(&journal, 0, 155);
    let reader = journal.reader();
    assert_eq!(journal.journal_id(), fresh);
    assert_eq!(reader.reconcile(&held(&[(0, 150)])).unwrap(), None);
    assert_eq!(
        times(&reader.read(0, 151, 10).unwrap().unwrap()),
        [251, 252, 253, 254, 255]
    );
}

#[test]
fn a_mediation_that_holds_what_came_from_here_is_agreed_with() {
    let folder = TempDir::new().unwrap();
    let journal = put_back(&folder);
    let (id, reader) = (journal.journal_id(), journal.reader());
    // Everything before this start may have been uploaded, also what was never acknowledged.
    assert_eq!(reader.reconcile(&held(&[(0, 100)])).unwrap(), None);
    record(&mut journal.writer(0).unwrap(), 101..=120);
    wait_durable(&journal, 0, 120);
    let batch = reader.read(0, 101, 10).unwrap().unwrap();
    // The answer to its upload was lost.
    assert_eq!(reader.reconcile(&held(&[(0, batch.last())])).unwrap(), None);
    assert_eq!(journal.journal_id(), id);
    // Nobody read 111 here: another copy of this folder uploads.
    assert!(reader.reconcile(&held(&[(0, 111)])).unwrap().is_some());
    assert_ne!(journal.journal_id(), id);
    assert_eq!(
        times(&reader.read(0, 1, 100).unwrap().unwrap()),
        (111..=120).collect::<Vec<_>>()
    );
}

#[test]
fn a_stream_that_the_folder_does_not_have_yet_tells_too() {
    let folder = TempDir::new().unwrap();
    let journal = put_back(&folder);
    assert!(
        journal
            .reader()
            .reconcile(&held(&[(0, 100), (1, 5)]))
            .unwrap()
            .is_some()
    );
    record(&mut journal.writer(1).unwrap(), 1..=3);
    wait_durable(&journal, 1, 3);
    assert_eq!(
        times(&journal.reader().read(1, 1, 10).unwrap().unwrap()),
        [1, 2, 3]
    );
}

#[test]
fn wrong_settings_are_named() {
    let folder = TempDir::new().unwrap();
    let wrong = Config {
        segment_bytes: 1,
        ..config(&folder)
    };
    assert_eq!(
        Journal::open(wrong).unwrap_err().to_string(),
        "journal segment_bytes must be 64 KiB to 1 GiB"
    );
}
