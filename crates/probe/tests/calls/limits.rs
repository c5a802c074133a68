use ringfence_probe::dialogs::{Dialogs, DialogsConfig};

use crate::scene::{Out, has_flag, line};

fn small(calls_max: usize) -> Dialogs {
    Dialogs::new(
        DialogsConfig {
            calls_max,
            ..DialogsConfig::default()
        },
        [3, 4],
    )
}

#[test]
fn a_flood_drops_its_own_calls_first_and_counts_them() {
    let mut dialogs = small(100);
    let mut out = Out::default();
    let mut say = |text: &str| {
        let (arrival, message) = line(text);
        dialogs.message(&arrival, &message, &mut out);
    };
    for real in 0..20 {
        say(&format!("{real} A>B INVITE 1 id=real{real}"));
        say(&format!("{real} B>A 180 1 to=t id=real{real}"));
    }
    for flood in 0..5_000 {
        say(&format!(
            "{} A>B INVITE 1 id=flood{flood}",
            100 + flood / 100
        ));
    }
    for real in 0..20 {
        say(&format!("900 B>A 200 1 to=t id=real{real}"));
        say(&format!("1900 A>B BYE 2 to=t id=real{real}"));
    }
    assert_eq!(dialogs.held(), 100);
    assert_eq!(dialogs.counters().dropped_unanswered, 20 + 5_000 - 100);
    dialogs.finish(&mut out);
    let answered = out
        .calls
        .iter()
        .filter(|call| call["result"] == "answered")
        .count();
    assert_eq!((answered, out.calls.len()), (20, 100));
    assert_eq!(
        out.ended.len(),
        5_020,
        "streams are told of every call that goes"
    );
}

#[test]
fn with_only_real_calls_the_oldest_goes_with_a_marked_record() {
    let mut dialogs = small(3);
    let mut out = Out::default();
    for real in 0..5 {
        for text in [
            format!("{real} A>B INVITE 1 id={real}"),
            format!("{real} B>A 200 1 to=t id={real}"),
        ] {
            let (arrival, message) = line(&text);
            dialogs.message(&arrival, &message, &mut out);
        }
    }
    assert_eq!(
        (
            out.calls.len(),
            dialogs.counters().evicted,
            dialogs.concurrent()
        ),
        (2, 2, 3)
    );
    assert_eq!(out.calls[0]["call_id"], "0");
    assert!(has_flag(&out.calls[0], "evicted"));
}

#[test]
fn long_texts_do_not_grow_a_call_without_bound() {
    let mut dialogs = small(4);
    let mut out = Out::default();
    let say = |dialogs: &mut Dialogs, out: &mut Out, text: &str| {
        let (arrival, message) = line(text);
        dialogs.message(&arrival, &message, out);
    };
    say(
        &mut dialogs,
        &mut out,
        &format!("0 A>B INVITE 1 | User-Agent: {}", "u".repeat(3000)),
    );
    for length in 1..2000 {
        say(
            &mut dialogs,
            &mut out,
            &format!("{length} B>A 180 1 to={}", "t".repeat(length)),
        );
    }
    dialogs.finish(&mut out);
    assert_eq!(out.calls[0]["source_agent"].as_str().unwrap().len(), 255);
    assert!(out.calls[0]["to_tag"].as_str().unwrap().len() <= 255);
}

#[test]
fn a_wrong_time_far_ahead_does_not_stop_the_clock() {
    let mut dialogs = small(1000);
    let mut out = Out::default();
    let mut say = |text: &str, dialogs: &mut Dialogs| {
        let (arrival, message) = line(text);
        dialogs.message(&arrival, &message, &mut out);
    };
    say("0 A>B INVITE 1 id=1", &mut dialogs);
    say("900000000000 A>B INVITE 1 id=2", &mut dialogs);
    say("10 A>B INVITE 1 id=3", &mut dialogs);
    for second in 0..6000 {
        say(&format!("{} A>B OPTIONS 1", second * 1000), &mut dialogs);
    }
    assert_eq!(dialogs.held(), 1, "only the call from the future is left");
}
