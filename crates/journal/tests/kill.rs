//! Kill -9 of a real process: every event whose commit returned is there afterwards, once and in order.
//!
//! The test executes itself as the victim, which writes the number of each committed event to its standard output.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ringfence_events::{EnumEvent, StoredEvent};
use ringfence_journal::{Config, Journal};
use tempfile::TempDir;

const VICTIM: &str = "JOURNAL_KILL_TEST_FOLDER";
const KILLS: usize = 8;

fn config(folder: &Path, sync_ms: u64) -> Config {
    Config {
        // On the test's own tmpfs folder, so that nothing is left in /dev/shm; any folder survives a kill.
        stage: Some(folder.join("stage")),
        sync: Duration::from_millis(sync_ms),
        stage_bytes: 8 << 20,
        segment_bytes: 64 << 10,
        ..Config::new(folder.join("journal"))
    }
}

fn event(time_us: i64) -> EnumEvent<'static> {
    EnumEvent {
        time_us,
        peer: "127.0.0.1:5060".parse().unwrap(),
        transport: 0,
        source: 1,
        destination: 2,
        target: 0,
        source_class: 1,
        destination_class: 1,
        source_origin: 1,
        direction: 0,
        action: 1,
        reason: 2,
        rcode: 0,
        rule_id: 0,
        policy_version: 1,
        latency_ns: 1,
        source_raw: b"sip:+12105550123@sbc.example",
        destination_raw: b"19005550100",
        monitored: &[],
    }
}

/// Not a test of its own: the process that is killed.
#[test]
fn victim() {
    let Some(folder) = std::env::var_os(VICTIM) else {
        return;
    };
    let journal = Journal::open(config(Path::new(&folder), 20)).unwrap();
    let mut writer = journal.writer(0).unwrap();
    let mut next = i64::try_from(journal.reader().streams()[0].durable).unwrap() + 1;
    // What the stage held is being made durable: numbers go on behind it.
    while journal.reader().wait(Duration::from_millis(200)) {
        next = i64::try_from(journal.durable(0)).unwrap() + 1;
    }
    let mut out = std::io::stdout();
    writeln!(out, "start {next}").unwrap();
    for batch in 1.. {
        let count = batch % 40 + 1;
        for _ in 0..count {
            writer.record(&event(next));
            next += 1;
        }
        writer.commit();
        assert_eq!(writer.lost(), 0);
        writeln!(out, "committed {}", next - 1).unwrap();
    }
}

fn start_victim(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "victim", "--nocapture"])
        .env(VICTIM, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

#[test]
fn every_committed_event_survives_kill_9() {
    let folder = TempDir::new().unwrap();
    let mut committed = 0;
    for round in 1..=KILLS {
        let mut child = start_victim(folder.path());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let wanted = committed + (round * 700) as u64;
        // What it said before it died counts, also what is still in the pipe.
        let mut is_killed = false;
        while let Some(Ok(line)) = lines.next() {
            if let Some(number) = line.strip_prefix("committed ") {
                committed = number.parse().unwrap();
            }
            if committed >= wanted && !is_killed {
                child.kill().unwrap();
                is_killed = true;
            }
        }
        assert!(is_killed, "the victim ended by itself");
        child.wait().unwrap();
    }
    let journal = Journal::open(config(folder.path(), 1)).unwrap();
    let reader = journal.reader();
    while journal.durable(0) < committed {
        assert!(
            reader.wait(Duration::from_secs(20)),
            "{} of {committed} recovered",
            journal.durable(0)
        );
    }
    let mut next = 1;
    while let Some(batch) = reader.read(0, next, 5000).unwrap() {
        assert_eq!(batch.first(), next);
        for record in batch.records() {
            assert_eq!(
                StoredEvent::decode(record).unwrap().event().time_us,
                i64::try_from(next).unwrap()
            );
            next += 1;
        }
    }
    assert!(next > committed);
    let notices = journal.take_notices();
    assert!(
        notices.iter().all(|notice| !notice.contains("lost")),
        "{notices:?}"
    );
}
