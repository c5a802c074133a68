//! The journal beside a simple model, over a disk that fails, tears and loses its power.
//!
//! The model is a list of event times for each fate: committed events, of which a prefix is durable. What must hold:
//! - after a kill everything that was committed is there, in order, once;
//! - after a power cut a prefix of it is there, with at least everything that was durable;
//! - what is readable is durable, and no sequence that was readable is ever given to another event;
//! - a worker never gets an error: what cannot be kept is counted as lost.
use std::path::PathBuf;

use proptest::collection::vec;
use proptest::prelude::*;

use super::tests::{event, times};
use super::*;
use crate::disk::simulated::{STAGE, SimulatedDisk};

const SEGMENT_BYTES: u64 = 64 << 10;
const MANY: usize = 1_000_000;

struct Bench {
    disk: SimulatedDisk,
    config: Config,
    open: Option<(Journal, StreamWriter)>,
    /// Times of the events that must be there: index 0 is sequence 1.
    committed: Vec<i64>,
    /// Sequence that was readable.
    seen: u64,
    clock: i64,
}

impl Bench {
    fn new() -> Self {
        let config = Config {
            segment_bytes: SEGMENT_BYTES,
            stage_bytes: 1 << 20,
            max_bytes: 4 << 20,
            keep: Duration::ZERO,
            ..Config::new("/journal")
        };
        let mut bench = Self {
            disk: SimulatedDisk::default(),
            config,
            open: None,
            committed: Vec::new(),
            seen: 0,
            clock: 0,
        };
        bench.open();
        bench
    }

    fn open(&mut self) {
        let journal = loop {
            let stage = StageFolder {
                path: PathBuf::from(STAGE),
            };
            let drainers = Drainers {
                manual: Some(Vec::new()),
                ..Drainers::default()
            };
            let disk = Arc::new(self.disk.clone());
            // A start on a failing disk is refused and tried again; it must not spoil anything.
            if let Ok(journal) = Journal::open_on(disk, self.config.clone(), stage, 42, drainers)
                && let Ok(writer) = journal.writer(0)
            {
                break (journal, writer);
            }
        };
        self.open = Some(journal);
    }

    fn parts(&mut self) -> (&mut Journal, &mut StreamWriter) {
        let (journal, writer) = self.open.as_mut().unwrap();
        (journal, writer)
    }

    fn commit(&mut self, count: usize) {
        let times: Vec<i64> = (0..count).map(|at| self.clock + at as i64).collect();
        self.clock += count as i64;
        let (_, writer) = self.parts();
        let before = writer.lost();
        for &time in &times {
            writer.record(&event(time));
        }
        writer.commit();
        match writer.lost() - before {
            0 => self.committed.extend(times),
            lost => assert_eq!(lost, count as u64, "a batch is lost as a whole"),
        }
    }

    fn drain(&mut self) -> bool {
        let now = self.clock * 1_000_000;
        let (journal, _) = self.parts();
        guard(&journal.drainers).manual.as_mut().unwrap()[0].step(now)
    }

    fn acknowledge(&mut self, sequence: u64) {
        let (journal, _) = self.parts();
        let sequence = sequence.min(journal.durable(0));
        journal.reader().acknowledge(0, sequence).unwrap();
    }

    /// Everything readable is what the model says, wherever reading starts.
    fn check(&mut self, from: u64) {
        let (journal, _) = self.parts();
        let (reader, durable) = (journal.reader(), journal.durable(0));
        let status = reader.streams()[0];
        assert!(
            durable >= self.seen,
            "durable went back from {} to {durable}",
            self.seen
        );
        assert!(durable <= self.committed.len() as u64);
        self.seen = durable;
        let from = from.clamp(status.first, durable + 1);
        let mut next = from;
        let (reader, committed) = (reader, &self.committed);
        while let Some(batch) = reader.read(0, next, 777).unwrap() {
            assert_eq!(batch.first(), next);
            let expected = &committed[next as usize - 1..batch.last() as usize];
            assert_eq!(times(&batch), expected);
            next = batch.last() + 1;
        }
        assert_eq!(next, durable + 1);
    }

    fn kill(&mut self) {
        self.abandon();
        self.open();
    }

    fn cut_power(&mut self, keep: u64, garble: bool) {
        self.abandon();
        self.disk.cut_power(keep, garble);
        self.open();
        let (journal, _) = self.parts();
        let durable = journal.durable(0);
        assert!(
            durable >= self.seen,
            "power cut took durable events: {} of {}",
            durable,
            self.seen
        );
        self.committed.truncate(durable as usize);
    }

    /// The next drain gets as far as the last append; the power goes before the sync.
    fn write_without_sync(&mut self) {
        self.disk.forget_syncs(true);
        let (journal, _) = self.parts();
        guard(&journal.drainers).manual.as_mut().unwrap()[0].step(0);
        self.disk.forget_syncs(false);
    }

    /// The process is gone without a word.
    fn abandon(&mut self) {
        let (journal, mut writer) = self.open.take().unwrap();
        writer.forget_batch();
        // Nothing that runs at drop touches the disk: no thread, and progress is not due.
        journal.shared.progress_stale.store(false, Relaxed);
        drop(writer);
        drop(journal);
    }

    fn settle(&mut self) {
        self.disk.fail_every(None);
        self.disk.set_capacity(None);
        let mut tries = 0;
        while !self.drain() {
            tries += 1;
            assert!(
                tries < 10,
                "a healed disk does not drain: {:?}",
                self.parts().0.take_notices()
            );
        }
        assert_eq!(self.parts().0.durable(0), self.committed.len() as u64);
        self.check(1);
    }
}

#[derive(Debug, Clone)]
enum Act {
    Commit(usize),
    Drain,
    Kill,
    CutPower { keep: u64, garble: bool },
    FailEvery(Option<u64>),
    Capacity(Option<u64>),
    Acknowledge(u64),
    Check(u64),
}

fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (1..400usize).prop_map(Act::Commit),
        4 => Just(Act::Drain),
        1 => Just(Act::Kill),
        1 => (0..60_000u64, any::<bool>()).prop_map(|(keep, garble)| Act::CutPower { keep, garble }),
        1 => prop::option::of(2..9u64).prop_map(Act::FailEvery),
        1 => prop::option::of(50_000..900_000u64).prop_map(Act::Capacity),
        1 => (0..5000u64).prop_map(Act::Acknowledge),
        2 => (1..5000u64).prop_map(Act::Check),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn journal_does_what_the_model_does(script in vec(acts(), 1..60)) {
        let mut bench = Bench::new();
        for act in script {
            match act {
                Act::Commit(count) => bench.commit(count),
                Act::Drain => { bench.drain(); }
                Act::Kill => bench.kill(),
                Act::CutPower { keep, garble } => bench.cut_power(keep, garble),
                Act::FailEvery(every) => bench.disk.fail_every(every),
                Act::Capacity(capacity) => bench.disk.set_capacity(capacity),
                Act::Acknowledge(sequence) => bench.acknowledge(sequence),
                Act::Check(from) => bench.check(from),
            }
        }
        bench.settle();
    }
}

#[test]
fn power_may_be_cut_at_every_byte() {
    let mut at = 0;
    loop {
        let mut bench = Bench::new();
        bench.commit(3);
        assert!(bench.drain());
        bench.check(1);
        bench.commit(4);
        bench.commit(2);
        bench.write_without_sync();
        let unsynced = bench.disk.unsynced();
        assert!(unsynced > 0);
        bench.cut_power(at, false);
        assert!(
            [3, 7, 9].contains(&bench.committed.len()),
            "{} octets leave {}",
            at,
            bench.committed.len()
        );
        bench.commit(5);
        bench.settle();
        at += 1;
        if at > unsynced {
            break;
        }
    }
    assert!(at > 300);
}

#[test]
fn full_disk_drops_acknowledged_segments_then_counts_lost_then_goes_on() {
    let mut bench = Bench::new();
    bench.disk.set_capacity(Some(400_000));
    while bench.disk.used() < 300_000 {
        bench.commit(300);
        assert!(bench.drain());
    }
    bench.acknowledge(u64::MAX);
    let acknowledged = bench.seen.max(bench.parts().0.durable(0));
    for _ in 0..8 {
        bench.commit(300);
        assert!(bench.drain(), "acknowledged segments make room");
    }
    assert!(bench.disk.used() <= 400_000);
    assert!(bench.parts().0.reader().streams()[0].first > 1);
    let mut commits = 0;
    while bench.parts().1.lost() == 0 {
        bench.commit(300);
        bench.drain();
        commits += 1;
        assert!(commits < 1000, "the stage must fill");
    }
    assert!(bench.committed.len() as u64 > acknowledged);
    let lost = bench.parts().1.lost();
    bench.settle();
    bench.commit(10);
    bench.settle();
    assert_eq!(bench.parts().1.lost(), lost);
}

#[test]
fn the_bound_holds_and_nothing_unacknowledged_goes() {
    let mut bench = Bench::new();
    while bench.parts().1.lost() == 0 {
        bench.commit(2000);
        bench.drain();
    }
    assert!(bench.disk.used() <= 4 << 20, "{}", bench.disk.used());
    assert_eq!(bench.parts().0.reader().streams()[0].first, 1);
    bench.check(1);
    bench.acknowledge(u64::MAX);
    assert!(bench.drain());
    bench.check(1);
    assert_eq!(bench.parts().0.durable(0), bench.committed.len() as u64);
}

#[test]
fn damage_in_the_middle_is_reported_and_only_its_frame_is_missing() {
    let mut bench = Bench::new();
    for _ in 0..5 {
        bench.commit(10);
        assert!(bench.drain());
    }
    let (path, bytes) = bench
        .disk
        .files()
        .into_iter()
        .find(|(path, _)| path.ends_with("00000000000000000001.segment"))
        .unwrap();
    bench.disk.damage(&path, bytes / 2);
    let read_around = |bench: &mut Bench| {
        let (journal, _) = bench.parts();
        let reader = journal.reader();
        let head = reader.read(0, 1, MANY).unwrap().unwrap();
        let tail = reader.read(0, head.last() + 1, MANY).unwrap().unwrap();
        assert_eq!(
            (head.first(), head.last(), tail.first(), tail.last()),
            (1, 20, 31, 50)
        );
        assert!(
            journal
                .take_notices()
                .iter()
                .any(|notice| notice.contains("damaged"))
        );
    };
    read_around(&mut bench);
    bench.kill();
    assert_eq!(bench.parts().0.durable(0), 50);
    read_around(&mut bench);
}

#[test]
fn a_lost_identity_is_taken_from_the_segments() {
    let mut bench = Bench::new();
    bench.commit(3);
    assert!(bench.drain());
    bench.abandon();
    bench
        .disk
        .remove(&PathBuf::from("/journal/identity"))
        .unwrap();
    let stage = StageFolder {
        path: PathBuf::from(STAGE),
    };
    let drainers = Drainers {
        manual: Some(Vec::new()),
        ..Drainers::default()
    };
    let journal = Journal::open_on(
        Arc::new(bench.disk.clone()),
        bench.config.clone(),
        stage,
        99,
        drainers,
    )
    .unwrap();
    assert_eq!((journal.journal_id(), journal.durable(0)), (42, 3));
}
