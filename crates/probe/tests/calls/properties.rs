use proptest::prelude::*;
use ringfence_probe::dialogs::{Dialogs, DialogsConfig};

use crate::scene::{Out, line};

/// Lines of a script in any order, of few calls and tags, so that they meet.
fn message() -> impl Strategy<Value = String> {
    let start = proptest::sample::select(vec![
        "INVITE", "ACK", "BYE", "~BYE", "CANCEL", "PRACK", "UPDATE", "~INVITE", "REFER", "OPTIONS",
        "100", "180", "183", "200", "~200", "302", "401", "407", "486", "487", "503",
    ]);
    let hop = proptest::sample::select(vec!["A>B", "B>A", "A>P", "P>B", "P>A", "B>P"]);
    let to = proptest::sample::select(vec!["", "to=t", "to=u"]);
    let method = proptest::sample::select(vec!["INVITE", "BYE", "CANCEL", "UPDATE"]);
    let sdp = proptest::sample::select(vec!["", "sdp=A:4000", "sdp=B/sendonly:5000"]);
    (
        0u32..400_000,
        hop,
        start,
        1u32..4,
        method,
        to,
        sdp,
        0u8..3,
        proptest::sample::select(vec!["f", "g"]),
    )
        .prop_map(|(time, hop, start, cseq, method, to, sdp, id, from)| {
            let method = if start.trim_start_matches('~').as_bytes()[0].is_ascii_digit() {
                method
            } else {
                ""
            };
            format!("{time} {hop} {start} {cseq} {method} {to} {sdp} id={id} from={from}")
        })
}

proptest! {
    #[test]
    fn whatever_is_said_every_call_makes_one_record_in_order_of_time(mut lines in proptest::collection::vec(message(), 0..60), in_order in any::<bool>()) {
        if in_order {
            lines.sort_by_key(|line| line.split(' ').next().unwrap().parse::<u32>().unwrap());
        }
        let mut dialogs = Dialogs::new(DialogsConfig { calls_max: 4, ..DialogsConfig::default() }, [5, 6]);
        let mut out = Out::default();
        for text in &lines {
            let (arrival, message) = line(text);
            dialogs.message(&arrival, &message, &mut out);
            prop_assert!(dialogs.held() <= 4);
            prop_assert!(dialogs.concurrent() <= dialogs.held() as u64);
        }
        dialogs.finish(&mut out);
        let counters = *dialogs.counters();
        prop_assert_eq!(counters.calls, counters.records + counters.dropped_unanswered);
        prop_assert_eq!(counters.records, out.calls.len() as u64);
        prop_assert_eq!((dialogs.held(), dialogs.concurrent(), counters.malformed), (0, 0, 0));
        let mut keys: Vec<_> = out.calls.iter().map(|call| call["key"].as_u64().unwrap()).collect();
        keys.sort_unstable();
        keys.dedup();
        prop_assert_eq!(keys.len(), out.calls.len());
        for call in &out.calls {
            let times = &call["times"];
            prop_assert_eq!(call["result"] == "answered", !times["answer_us"].is_null() || call["flags"].as_array().unwrap().iter().any(|flag| flag == "answer_missed"));
            if in_order {
                let start = times["start_us"].as_i64().unwrap();
                for time in ["first_response_us", "ringing_us", "answer_us", "end_us", "last_us"] {
                    prop_assert!(times[time].as_i64().is_none_or(|time| time >= start), "{}: {}", time, call);
                }
            }
        }
    }
}
