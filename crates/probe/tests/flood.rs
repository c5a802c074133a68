//! A flood of calls that nobody answers: 100,000 different Call-IDs a second for thirty seconds of capture time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ringfence_captures::script::{Call, Style, sides};
use ringfence_captures::wire;
use ringfence_probe::decode::{Frame, LinkType};
use ringfence_probe::engine::{Engine, EngineConfig, Output};
use ringfence_probe::record::CallRecord;

#[derive(Default)]
struct Count(u64);

impl Output for Count {
    fn call(&mut self, _: &CallRecord<'_>) {
        self.0 += 1;
    }
}

const A_SECOND: u64 = 100_000;
const SECONDS: u64 = 30;

fn resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    line.split_ascii_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        / 1024
}

#[test]
fn memory_stays_bounded_and_what_was_dropped_is_counted() {
    let ends = sides(5060, false);
    let call = Call::new("flood-0000000000@x".to_owned(), 1, 0, Style::default());
    let mut frame = wire::udp_frame(ends.0, ends.1, &call.usual()[0].text, 1);
    let place = frame
        .windows(6)
        .position(|window| window == b"flood-")
        .unwrap()
        + 6;
    let mut engine = Engine::new(&EngineConfig::default(), Count::default());
    let mut resident = Vec::new();
    for number in 0..A_SECOND * SECONDS {
        frame[place..place + 10].copy_from_slice(format!("{number:010}").as_bytes());
        let time_ns = 1_795_000_000_000_000_000 + (number * (1_000_000_000 / A_SECOND)) as i64;
        let length = frame.len() as u32;
        engine.frame(&Frame {
            time_ns,
            link: LinkType::Ethernet,
            data: &frame,
            wire_length: length,
            vlan: 0,
        });
        if number % A_SECOND == A_SECOND - 1 {
            resident.push(resident_mb());
        }
    }
    engine.finish();
    let counted = engine.statistics().dialogs;
    assert_eq!(counted.messages, A_SECOND * SECONDS);
    assert!(counted.dropped_unanswered > 0, "{counted:?}");
    assert_eq!(counted.records, engine.output().0);
    assert_eq!(
        counted.records + counted.dropped_unanswered,
        counted.calls,
        "{counted:?}"
    );
    // Full after a few seconds; from then on it does not grow.
    assert!(resident[29] < resident[9] + 20, "{resident:?}");
    assert!(resident[29] < 300, "{resident:?}");
}
