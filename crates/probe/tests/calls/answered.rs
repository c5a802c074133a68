use crate::scene::{has_flag, ms, play, record, records};

const ANSWERED: &str = "
    0     A>B INVITE 1 sdp=A:4000
    20    B>A 100 1
    500   B>A 180 1 to=t | Server: Desk phone
    3000  B>A 200 1 to=t sdp=B:5000
    3010  A>B ACK 1 to=t
    13000 A>B BYE 2 to=t | Reason: Q.850;cause=16
    13020 B>A 200 2 BYE to=t
";

#[test]
fn an_answered_call_has_all_its_times_and_both_sides() {
    let call = record(ANSWERED);
    assert_eq!(call["status"], 200);
    assert_eq!(call["result"], "answered");
    assert_eq!(call["released_by"], "source");
    assert_eq!(call["cause_q850"], 16);
    assert_eq!(call["codec"], "PCMA");
    assert_eq!(call["destination_agent"], "Desk phone");
    assert_eq!(
        (call["from_tag"].as_str(), call["to_tag"].as_str()),
        (Some("f"), Some("t"))
    );
    for (time, expected) in [
        ("start_us", 0.0),
        ("first_response_us", 20.0),
        ("ringing_us", 500.0),
        ("answer_us", 3000.0),
        ("end_us", 13000.0),
        ("bye_answered_us", 13020.0),
    ] {
        assert_eq!(ms(&call, time), Some(expected), "{time}");
    }
    assert_eq!(call["flags"].as_array().unwrap().len(), 0);
}

#[test]
fn the_record_comes_after_the_linger_time_and_once() {
    let (mut out, mut dialogs) = play(ANSWERED);
    assert_eq!((out.calls.len(), out.ended.len(), out.messages), (0, 1, 7));
    dialogs.tick(crate::scene::START_US + 30_000_000, &mut out);
    assert_eq!((out.calls.len(), dialogs.held()), (1, 0));
    dialogs.finish(&mut out);
    assert_eq!(out.calls.len(), 1);
}

#[test]
fn reinvite_update_and_prack_move_no_time_and_no_status() {
    let call = record(
        "0    A>B INVITE 1 sdp=A:4000
         500  B>A 183 1 to=t sdp=B:5000
         510  A>B PRACK 2 to=t
         520  B>A 200 2 PRACK to=t
         600  A>B UPDATE 3 to=t sdp=A:4002
         610  B>A 200 3 UPDATE to=t sdp=B:5000
         3000 B>A 200 1 to=t sdp=B:5000
         3010 A>B ACK 1 to=t
         5000 B>A ~INVITE 77 to=t sdp=B/sendonly:5000
         5020 A>B ~200 77 INVITE to=t
         5030 B>A ~ACK 77 to=t
         6000 A>B INVITE 5 to=t sdp=A:4004
         6020 B>A 488 5 to=t
         6030 A>B ACK 5 to=t
         9000 B>A ~BYE 78 to=t
         9010 A>B ~200 78 BYE to=t",
    );
    assert_eq!(
        (call["status"].as_u64(), call["result"].as_str()),
        (Some(200), Some("answered"))
    );
    assert_eq!(
        (ms(&call, "answer_us"), ms(&call, "end_us")),
        (Some(3000.0), Some(9000.0))
    );
    assert_eq!(call["released_by"], "destination");
    assert_eq!(call["counts"]["reinvites"], 2);
    assert_eq!(call["counts"]["others"], 2);
    assert_eq!(call["counts"]["holds"], 1);
    assert!(has_flag(&call, "early_media"));
}

#[test]
fn the_call_ends_at_the_first_bye() {
    for tail in [
        "13500 A>B BYE 2 to=t\n14500 A>B BYE 2 to=t",
        "13020 B>A 481 2 BYE to=t",
        "13001 B>A ~BYE 9 to=t",
    ] {
        let call = record(&format!(
            "{}\n{tail}",
            ANSWERED.replace("13020 B>A 200 2 BYE to=t", "")
        ));
        assert_eq!(ms(&call, "end_us"), Some(13000.0), "{tail}");
        assert_eq!(call["released_by"], "source");
    }
}

#[test]
fn repeated_messages_are_counted_and_change_nothing() {
    let twice = |after: f64| {
        ANSWERED
            .lines()
            .filter(|line| !line.trim().is_empty())
            .flat_map(|line| {
                let (time, rest) = line.trim().split_once(' ').unwrap();
                let again = time.parse::<f64>().unwrap() + after;
                [line.to_owned(), format!("{again} {rest}")]
            })
            .collect::<Vec<_>>()
            .join("\n")
    };
    let (again, shown_twice) = (record(&twice(4.0 + 10.0)), record(&twice(0.002)));
    for call in [&again, &shown_twice] {
        assert_eq!(
            (ms(call, "answer_us"), ms(call, "end_us")),
            (Some(3000.0), Some(13000.0))
        );
        assert_eq!(call["counts"]["messages"], 14);
    }
    assert_eq!(
        (
            again["counts"]["retransmissions"].as_u64(),
            again["counts"]["invite_retransmissions"].as_u64()
        ),
        (Some(7), Some(1))
    );
    assert_eq!(
        (
            shown_twice["counts"]["duplicates"].as_u64(),
            shown_twice["counts"]["retransmissions"].as_u64()
        ),
        (Some(7), Some(0))
    );
}

#[test]
fn a_cancel_that_loses_the_race_leaves_an_answered_call() {
    let call = record(
        "0    A>B INVITE 1
         500  B>A 180 1 to=t
         2999 A>B CANCEL 1
         3000 B>A 200 1 to=t
         3005 B>A 481 1 CANCEL to=t
         3010 A>B ACK 1 to=t
         13000 A>B BYE 2 to=t",
    );
    assert_eq!(
        (call["status"].as_u64(), call["result"].as_str()),
        (Some(200), Some("answered"))
    );
    assert_eq!(ms(&call, "end_us"), Some(13000.0));
    assert!(has_flag(&call, "cancel_lost"));
}

#[test]
fn a_call_without_bye_is_marked() {
    let call = record("0 A>B INVITE 1\n3000 B>A 200 1 to=t\n3010 A>B ACK 1 to=t");
    assert_eq!(
        (call["result"].as_str(), ms(&call, "end_us")),
        (Some("answered"), None)
    );
    assert!(has_flag(&call, "end_missed"));
    let call = record("0 A>B INVITE 1\n3000 B>A 200 1 to=t");
    assert!(has_flag(&call, "ack_missed"));
}

#[test]
fn a_call_whose_start_was_missed_makes_a_marked_record() {
    let rest = ANSWERED.replace("0     A>B INVITE 1 sdp=A:4000", "");
    let call = record(&rest);
    assert!(has_flag(&call, "start_missed"));
    assert_eq!(
        (
            call["parties"]["source"].as_str(),
            call["parties"]["destination"].as_str()
        ),
        (Some("+34600000001"), Some("+4930000002"))
    );
    assert_eq!(call["source_address"], "10.0.0.65:5060");
    assert_eq!(
        (
            ms(&call, "start_us"),
            ms(&call, "answer_us"),
            ms(&call, "end_us")
        ),
        (Some(20.0), Some(3000.0), Some(13000.0))
    );
    let call = record("13000 A>B BYE 2 to=t\n13020 B>A 200 2 BYE to=t");
    assert!(has_flag(&call, "start_missed") && has_flag(&call, "answer_missed"));
    assert_eq!(
        (call["result"].as_str(), ms(&call, "answer_us")),
        (Some("answered"), None)
    );
    assert!(records("13020 B>A 200 2 BYE to=t\n13030 A>B ACK 1 to=t").is_empty());
}

#[test]
fn an_answer_captured_before_its_invite_is_the_same_call() {
    let call = record(
        "1 B>A 100 1\n2 A>B INVITE 1 | P-Asserted-Identity: <tel:+1212>\n3000 B>A 200 1 to=t\n4000 A>B BYE 2 to=t",
    );
    assert!(!has_flag(&call, "start_missed"));
    assert_eq!(call["parties"]["source"], "+1212");
    assert_eq!(ms(&call, "start_us"), Some(1.0));
}

#[test]
fn the_same_call_id_with_two_from_tags_is_two_calls() {
    let second: String = ANSWERED
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let (time, rest) = line.trim().split_once(' ').unwrap();
            let (message, headers) = rest.split_once('|').unwrap_or((rest, "X: y"));
            format!(
                "{} {message} from=SECOND | {headers}\n",
                time.parse::<f64>().unwrap() + 20.0
            )
        })
        .collect();
    let mut lines: Vec<String> = ANSWERED
        .lines()
        .chain(second.lines())
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    lines.sort_by_key(|line| line.split(' ').next().unwrap().parse::<f64>().unwrap() as i64);
    let calls = records(&lines.join("\n"));
    assert_eq!(calls.len(), 2);
    assert_eq!(
        (ms(&calls[0], "answer_us"), ms(&calls[1], "answer_us")),
        (Some(3000.0), Some(3020.0))
    );
}

#[test]
fn the_same_call_id_and_tag_after_an_answered_call_is_another_call() {
    let again = ANSWERED
        .replace("INVITE 1", "INVITE 11")
        .replace("100 1", "100 11")
        .replace("180 1", "180 11")
        .replace("200 1", "200 11");
    let later: String = again
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let (time, rest) = line.trim().split_once(' ').unwrap();
            format!("{} {rest}\n", time.parse::<f64>().unwrap() + 14_000.0)
        })
        .collect();
    let calls = records(&format!("{ANSWERED}\n{later}"));
    assert_eq!(calls.len(), 2);
    assert_eq!(ms(&calls[1], "start_us"), Some(14_000.0));
}

#[test]
fn a_transfer_is_marked() {
    let call = record(
        "0 A>B INVITE 1\n3000 B>A 200 1 to=t\n3010 A>B ACK 1 to=t\n5000 B>A ~REFER 9 to=t | Refer-To: <sip:c@d>\n5010 A>B ~202 9 REFER to=t\n5020 A>B NOTIFY 2 to=t\n6000 B>A ~BYE 10 to=t",
    );
    assert_eq!(call["counts"]["transfers"], 1);
    assert!(has_flag(&call, "transferred"));
}

#[test]
fn calls_in_progress_are_shown_live() {
    let (_, dialogs) = play("0 A>B INVITE 1\n3000 B>A 200 1 to=t\n3010 A>B INVITE 1 id=other");
    let live: Vec<_> = dialogs
        .in_progress()
        .map(|call| (call.call_id.to_string(), call.status))
        .collect();
    assert_eq!(
        (live.len(), dialogs.concurrent(), dialogs.held()),
        (2, 1, 2)
    );
    assert!(live.contains(&("id@a".to_owned(), 200)) && live.contains(&("other".to_owned(), 0)));
}
