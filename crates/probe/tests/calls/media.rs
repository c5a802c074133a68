use crate::scene::{has_flag, play, record};

#[test]
fn both_sides_say_where_they_listen_and_only_once() {
    let (out, _) = play(
        "0    A>B INVITE 1 sdp=A:4000
         500  B>A 183 1 to=t sdp=B:5000
         3000 B>A 200 1 to=t sdp=B:5000
         3010 A>B ACK 1 to=t
         5000 A>B INVITE 2 to=t sdp=A/sendonly:4000
         5010 B>A 200 2 to=t sdp=B/recvonly:5002",
    );
    assert_eq!(
        out.media,
        [
            "Source 10.0.0.65:4000 PCMA,telephone-event",
            "Destination 10.0.0.66:5000 PCMA,telephone-event",
            "Source 10.0.0.65:4000 PCMA,telephone-event",
            "Destination 10.0.0.66:5002 PCMA,telephone-event",
        ]
    );
}

#[test]
fn an_offer_in_the_answer_is_answered_by_the_ack() {
    let call = record(
        "0 A>B INVITE 1\n3000 B>A 200 1 to=t sdp=B:5000\n3010 A>B ACK 1 to=t sdp=A:4000\n4000 A>B BYE 2 to=t",
    );
    assert_eq!(call["codec"], "PCMA");
    assert!(!has_flag(&call, "early_media"));
}

#[test]
fn without_an_answer_there_is_no_codec() {
    let call = record("0 A>B INVITE 1 sdp=A:4000\n100 B>A 486 1 to=t");
    assert_eq!(call["codec"], "");
}
