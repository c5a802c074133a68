//! The journal beside a simple model, over a disk that fails, tears and loses its power.
//!
//! The model is a list of event times for each fate: committed events, of which a prefix is durable. What must hold:
//! - after a kill everything that was committed is there, in order, once; only what the stage had no room for and
//!   the disk not yet may be missing: then its sequences are a hole, or were given to nobody, and a power cut may bring
//!   it back, in a file whose removal was not synced, as long as nothing else was durable under its sequence;
//! - after a power cut a prefix of it is there, with at least everything that was durable;
//! - what is readable is durable, and no sequence that was readable is ever given to another event;
//! - a worker never gets an error: what cannot be kept is counted as lost.
use std::collections::BTreeSet;
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
    /// Sequences that were handed over without the stage.
    unstaged: BTreeSet<u64>,
    /// Those of them that a kill may have taken, with later ones behind them.
    holes: BTreeSet<u64>,
    /// Events that a kill took, by the sequences they had.
    taken: Vec<(u64, i64)>,
    /// Sequence that was readable.
    seen: u64,
    clock: i64,
}

impl Bench {
    fn new() -> Self {
        Self::on(SimulatedDisk::default())
    }

    /// With so many octets of room in the stage from the beginning.
    fn with_stage(capacity: u64) -> Self {
        let disk = SimulatedDisk::default();
        disk.set_stage_capacity(Some(capacity));
        Self::on(disk)
    }

    fn on(disk: SimulatedDisk) -> Self {
        let config = Config {
            segment_bytes: SEGMENT_BYTES,
            stage_bytes: 1 << 20,
            max_bytes: 4 << 20,
            keep: Duration::ZERO,
            ..Config::new("/journal")
        };
        let mut bench = Self {
            disk,
            config,
            open: None,
            committed: Vec::new(),
            unstaged: BTreeSet::new(),
            holes: BTreeSet::new(),
            taken: Vec::new(),
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
        let (before, unstaged) = (writer.lost(), writer.unstaged());
        for &time in &times {
            writer.record(&event(time));
        }
        writer.commit();
        let is_unstaged = writer.unstaged() > unstaged;
        match writer.lost() - before {
            0 => {
                let first = self.committed.len() as u64 + 1;
                self.committed.extend(times);
                if is_unstaged {
                    self.unstaged.extend(first..first + count as u64);
                }
            }
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
            assert!((next..batch.first()).all(|one| self.holes.contains(&one)));
            next = batch.first();
            let expected = &committed[next as usize - 1..batch.last() as usize];
            assert_eq!(times(&batch), expected);
            next = batch.last() + 1;
        }
        assert_eq!(next, durable + 1);
    }

    fn kill(&mut self) {
        let durable = self.parts().0.durable(0);
        self.abandon();
        self.open();
        let last = guard(&self.parts().0.shared.stream(0).unwrap().handover).last;
        let at_risk = std::mem::take(&mut self.unstaged).split_off(&(durable + 1));
        let missing = last + 1..=self.committed.len() as u64;
        for sequence in missing {
            assert!(at_risk.contains(&sequence), "{sequence} was in the stage");
            let time = self.committed[sequence as usize - 1];
            self.taken.push((sequence, time));
        }
        self.committed.truncate(last as usize);
        self.holes.extend(at_risk.range(..=last));
    }

    fn cut_power(&mut self, keep: u64, garble: bool) {
        let before = self.parts().0.durable(0);
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
        self.bring_back(before + 1);
        self.unstaged.clear();
        self.holes = self
            .holes
            .iter()
            .copied()
            .filter(|&one| one <= durable)
            .collect();
    }

    /// From `first` on, which was not durable, the disk may have what a kill took.
    fn bring_back(&mut self, first: u64) {
        let reader = self.parts().0.reader();
        let Some(batch) = reader.read(0, first, MANY).unwrap() else {
            return;
        };
        for (sequence, time) in (batch.first()..).zip(times(&batch)) {
            match self.committed.get_mut(sequence as usize - 1) {
                Some(known) if *known == time => {}
                known => {
                    assert!(self.taken.contains(&(sequence, time)));
                    match known {
                        Some(known) => *known = time,
                        None => self.committed.push(time),
                    }
                }
            }
        }
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
    StageCapacity(Option<u64>),
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
        1 => prop::option::of(0..100_000u64).prop_map(Act::StageCapacity),
        1 => (0..5000u64).prop_map(Act::Acknowledge),
        2 => (1..5000u64).prop_map(Act::Check),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(300), ..ProptestConfig::default() })]
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
                Act::StageCapacity(capacity) => bench.disk.set_stage_capacity(capacity),
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
fn a_stage_without_room_loses_nothing_and_is_used_again_when_it_has_some() {
    // Room for the files' headers and no more, or not even for these.
    for (capacity, until_made_anew) in [(100, 0), (0, 1)] {
        no_room_then_room(Bench::with_stage(capacity), until_made_anew);
    }
}

fn no_room_then_room(mut bench: Bench, until_made_anew: u64) {
    for _ in 0..20 {
        bench.commit(300);
        assert!(bench.drain());
    }
    assert_eq!(
        (bench.parts().1.lost(), bench.parts().1.unstaged()),
        (0, 6000)
    );
    bench.kill();
    bench.check(1);
    assert_eq!(
        bench.committed.len(),
        6000,
        "what is durable needs no stage"
    );
    bench.commit(300);
    assert!(bench.drain());
    let told = |bench: &mut Bench, what: &str| {
        let notices = bench.parts().0.take_notices();
        notices.iter().filter(|one| one.contains(what)).count()
    };
    assert_eq!(told(&mut bench, "the stage cannot be written"), 1);
    bench.disk.set_stage_capacity(None);
    // Made anew by the drainer, then found by the writer.
    bench.commit(1);
    assert!(bench.drain());
    bench.commit(1);
    assert!(bench.drain());
    let unstaged = bench.parts().1.unstaged();
    bench.commit(300);
    assert!(bench.drain());
    assert_eq!(told(&mut bench, "the stage can be written again"), 1);
    bench.commit(300);
    bench.kill();
    assert_eq!(unstaged, 300 + until_made_anew);
    assert_eq!(bench.committed.len(), 6902);
    bench.settle();
}

#[test]
fn a_stage_that_fills_up_while_it_is_used_is_cut_and_left_until_it_has_room() {
    let mut bench = Bench::new();
    bench.disk.set_stage_capacity(Some(50_000));
    for _ in 0..10 {
        bench.commit(100);
    }
    let unstaged = bench.parts().1.unstaged();
    assert!((1..1000).contains(&unstaged), "{unstaged}");
    bench.kill();
    assert_eq!(
        bench.committed.len() as u64,
        1000 - unstaged,
        "what the stage took is there"
    );
    bench.settle();
}

#[test]
fn memory_that_waits_for_a_full_disk_without_a_stage_has_a_bound() {
    let mut bench = Bench::with_stage(0);
    bench.disk.set_capacity(Some(0));
    let mut commits = 0;
    while bench.parts().1.lost() == 0 {
        bench.commit(300);
        bench.drain();
        commits += 1;
        assert!(commits < 100, "half of stage_bytes is the bound");
    }
    assert!(bench.committed.len() > 1000);
    bench.settle();
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
