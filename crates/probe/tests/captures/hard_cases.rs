//! Hard cases: every call of every case found, with every field right; malformed traffic makes none and breaks nothing.

use ringfence_captures::cases::{self, Case};
use ringfence_captures::pcap::{ETHERNET, Shot, to_vec};
use ringfence_captures::script::Truth;
use ringfence_probe::engine::{EngineConfig, Output, Progress, ReadOutcome, read_capture};
use ringfence_probe::record::{CallFlags, CallRecord, Side};
use std::sync::Arc;

/// What a test looks at in a record.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    call_id: String,
    source: String,
    destination: String,
    status: u16,
    start_us: i64,
    answer_us: Option<i64>,
    end_us: Option<i64>,
    is_start_missed: bool,
    released_by: Option<Side>,
}

#[derive(Default)]
struct Calls(Vec<Seen>);

impl Output for Calls {
    fn call(&mut self, record: &CallRecord<'_>) {
        self.0.push(Seen {
            call_id: record.call_id.to_string(),
            source: record.parties.source.to_string(),
            destination: record.parties.destination.to_string(),
            status: record.status,
            start_us: record.times.start_us,
            answer_us: record.times.answer_us,
            end_us: record.times.end_us,
            is_start_missed: record.flags.has(CallFlags::START_MISSED),
            released_by: record.released_by,
        });
    }
}

fn read(shots: &mut [Shot]) -> (Vec<Seen>, ReadOutcome) {
    let input = std::io::Cursor::new(to_vec(ETHERNET, shots));
    let progress = Arc::new(Progress::default());
    let (outcome, calls) =
        read_capture(input, &EngineConfig::default(), Calls::default(), &progress).unwrap();
    (calls.0, outcome)
}

/// What is wrong with the records of a call, in words.
fn faults(truth: &Truth, seen: &[Seen]) -> Vec<String> {
    let records: Vec<_> = seen
        .iter()
        .filter(|one| one.call_id == truth.call_id)
        .collect();
    let mut faults = Vec::new();
    if records.len() != truth.records {
        faults.push(format!(
            "{}: {} records instead of {}",
            truth.call_id,
            records.len(),
            truth.records
        ));
    }
    let Some(first) = records.iter().min_by_key(|one| one.start_us) else {
        return faults;
    };
    let us = |ns: Option<i64>| ns.map(|ns| ns / 1000);
    let mut check = |what: &str, is_right: bool| {
        if !is_right {
            faults.push(format!("{}: {what}: {first:?}", truth.call_id));
        }
    };
    check("source", first.source == truth.source);
    check("destination", first.destination == truth.destination);
    check("status", first.status == truth.status);
    check("answer", first.answer_us == us(truth.answer_ns));
    check("end", first.end_us == us(truth.end_ns));
    check(
        "start missed",
        first.is_start_missed == truth.start_ns.is_none(),
    );
    if let Some(start_us) = us(truth.start_ns) {
        check("start", first.start_us == start_us);
    }
    faults
}

#[test]
fn every_call_of_every_hard_case_is_found_with_every_field_right() {
    let all = cases::well_formed();
    assert_eq!(all.len(), 78);
    let mut wrong = Vec::new();
    for Case {
        name,
        mut shots,
        truths,
    } in all
    {
        assert_eq!(truths.len(), 5, "{name}");
        let (seen, _) = read(&mut shots);
        let faults: Vec<_> = truths
            .iter()
            .flat_map(|truth| faults(truth, &seen))
            .collect();
        let wanted: usize = truths.iter().map(|truth| truth.records).sum();
        if !faults.is_empty() || seen.len() != wanted {
            wrong.push(format!(
                "{name}: {} records instead of {wanted}; {}",
                seen.len(),
                faults.join("; ")
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of 78 cases wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn all_hard_cases_in_one_capture_come_out_the_same() {
    let all = cases::well_formed();
    let mut shots: Vec<Shot> = all.iter().flat_map(|case| case.shots.clone()).collect();
    let (seen, _) = read(&mut shots);
    let faults: Vec<_> = all
        .iter()
        .flat_map(|case| &case.truths)
        .flat_map(|truth| faults(truth, &seen))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn malformed_traffic_makes_no_call_and_breaks_nothing() {
    let (ends, mut shots) = (ringfence_captures::script::sides(5060, false), Vec::new());
    let messages = cases::malformed_messages();
    let frames = messages
        .iter()
        .map(|text| ringfence_captures::wire::udp_frame(ends.0, ends.1, text, 1));
    for (index, frame) in frames.chain(cases::broken_frames()).enumerate() {
        shots.push(Shot::new(cases::START_NS + index as i64 * 1_000_000, frame));
    }
    let wanted = shots.len() as u64;
    let (seen, outcome) = read(&mut shots);
    assert_eq!(seen, [], "malformed messages made calls");
    assert_eq!(outcome.statistics.decode.frames, wanted);
    assert!(outcome.statistics.decode.malformed >= 10);
}
