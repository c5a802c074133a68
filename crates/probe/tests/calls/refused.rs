use crate::scene::{has_flag, ms, play, record, records};

#[test]
fn a_refusal_has_its_word_and_its_cause() {
    for (status, word) in [
        (486, "busy"),
        (600, "busy"),
        (404, "not_found"),
        (604, "not_found"),
        (480, "no_answer"),
        (408, "no_answer"),
        (403, "rejected"),
        (603, "rejected"),
        (607, "rejected"),
        (503, "failed"),
        (302, "redirected"),
        (401, "unauthorized"),
    ] {
        let call = record(&format!(
            "0 A>B INVITE 1\n20 B>A 100 1\n100 B>A {status} 1 to=t | Reason: Q.850 ;cause=17 ;text=\"User busy\"\n110 A>B ACK 1 to=t"
        ));
        assert_eq!(
            (call["status"].as_u64(), call["result"].as_str()),
            (Some(status), Some(word))
        );
        assert_eq!(call["released_by"], "destination");
        assert_eq!(call["cause_q850"], 17);
        assert_eq!(
            (ms(&call, "end_us"), ms(&call, "answer_us")),
            (Some(100.0), None)
        );
    }
}

#[test]
fn a_challenge_is_part_of_the_call_and_not_its_end() {
    for code in [401, 407] {
        let call = record(&format!(
            "0    A>B INVITE 1 sdp=A:4000
             5    B>A {code} 1 to=x
             6    A>B ACK 1 to=x
             8    A>B INVITE 2 sdp=A:4000 | Proxy-Authorization: Digest username=\"a\"
             500  B>A 180 2 to=t
             3000 B>A 200 2 to=t
             3010 A>B ACK 2 to=t
             9000 A>B BYE 3 to=t"
        ));
        assert_eq!(
            (
                call["status"].as_u64(),
                call["counts"]["challenges"].as_u64()
            ),
            (Some(200), Some(1))
        );
        assert_eq!(
            (
                ms(&call, "start_us"),
                ms(&call, "answer_us"),
                ms(&call, "end_us")
            ),
            (Some(0.0), Some(3000.0), Some(9000.0))
        );
    }
}

#[test]
fn a_new_from_tag_after_a_challenge_is_the_same_call() {
    let call = record(
        "0 A>B INVITE 1\n5 B>A 407 1 to=x\n6 A>B ACK 1 to=x\n8 A>B INVITE 2 from=g\n500 B>A 486 2 from=g to=t",
    );
    assert_eq!(
        (call["status"].as_u64(), ms(&call, "start_us")),
        (Some(486), Some(0.0))
    );
}

#[test]
fn a_cancelled_call_ends_with_its_487() {
    let call = record(
        "0    A>B INVITE 1
         500  B>A 180 1 to=t
         4000 A>B CANCEL 1 | Reason: SIP;cause=200;text=\"Call completed elsewhere\"
         4005 B>A 200 1 CANCEL to=t
         4010 B>A 487 1 to=t
         4020 A>B ACK 1 to=t",
    );
    assert_eq!(
        (call["status"].as_u64(), call["result"].as_str()),
        (Some(487), Some("cancelled"))
    );
    assert_eq!(
        (ms(&call, "answer_us"), ms(&call, "end_us")),
        (None, Some(4010.0))
    );
    assert_eq!(
        (call["released_by"].as_str(), call["cause_sip"].as_u64()),
        (Some("source"), Some(200))
    );
}

#[test]
fn a_redirected_call_that_goes_on_is_one_call() {
    let call = record(
        "0    A>B INVITE 1
         100  B>A 302 1 to=x | Contact: <sip:other@c>
         110  A>B ACK 1 to=x
         120  A>C INVITE 2
         900  C>A 180 2 to=t
         2000 C>A 200 2 to=t
         9000 A>C BYE 3 to=t",
    );
    assert_eq!(
        (
            call["status"].as_u64(),
            call["counts"]["redirects"].as_u64()
        ),
        (Some(200), Some(1))
    );
    assert_eq!(ms(&call, "answer_us"), Some(2000.0));
}

#[test]
fn an_invite_that_nobody_answers_is_given_up() {
    let (mut out, mut dialogs) = play("0 A>B INVITE 1\n500 A>B INVITE 1\n1500 A>B INVITE 1");
    dialogs.tick(crate::scene::START_US + 60_000_000, &mut out);
    assert_eq!(out.calls.len(), 1);
    let call = &out.calls[0];
    assert_eq!(
        (call["status"].as_u64(), call["result"].as_str()),
        (Some(0), Some("unfinished"))
    );
    assert_eq!(call["counts"]["invite_retransmissions"], 2);
    assert!(has_flag(call, "end_missed"));
}

#[test]
fn what_is_no_call_is_counted_and_not_kept() {
    let (mut out, mut dialogs) = play(
        "0 A>B OPTIONS 1 id=1
         1 B>A 200 1 OPTIONS id=1 to=x
         2 A>B REGISTER 1 id=2
         3 B>A 401 1 REGISTER id=2 to=x
         4 A>B SUBSCRIBE 1 id=3
         5 A>B MESSAGE 1 id=4
         6 S>B OPTIONS 1 id=5 | User-Agent: friendly-scanner
         7 S>B INVITE 1 id=6 | User-Agent: sipvicious
         8 B>S 404 1 id=6 to=y",
    );
    dialogs.finish(&mut out);
    assert!(out.calls.is_empty());
    let counters = dialogs.counters();
    assert_eq!(
        (
            counters.options,
            counters.registrations,
            counters.others,
            counters.scanners
        ),
        (2, 2, 2, 3)
    );
}

#[test]
fn a_scanner_that_got_through_is_a_call() {
    let call = record(
        "0 S>B INVITE 1 | User-Agent: sipcli/v1.8\n900 B>S 200 1 to=t\n950 S>B ACK 1 to=t\n9000 S>B BYE 2 to=t",
    );
    assert_eq!(call["source_agent"], "sipcli/v1.8");
}

#[test]
fn messages_that_are_no_use_are_counted() {
    let (mut out, mut dialogs) = play("");
    let (arrival, good) = crate::scene::line("0 A>B INVITE 1");
    let good = String::from_utf8(good).unwrap();
    for damage in ["Via", "From", "To", "Call-ID", "CSeq"] {
        let damaged = good.replace(&format!("{damage}:"), "X:");
        dialogs.message(&arrival, damaged.as_bytes(), &mut out);
    }
    for other in [
        "",
        "\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        &good.replace("1 INVITE", "1 BYE"),
        &good.replace("SIP/2.0\r\nVia", "SIP/3.0\r\nVia"),
    ] {
        dialogs.message(&arrival, other.as_bytes(), &mut out);
    }
    assert_eq!((dialogs.counters().malformed, dialogs.held()), (10, 0));
    assert!(records("0 B>A 401 1 to=t").is_empty());
}
