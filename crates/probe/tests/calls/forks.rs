use crate::scene::{ms, record, records};

#[test]
fn a_refusal_of_one_branch_does_not_end_the_call() {
    let call = record(
        "0    A>B INVITE 1
         500  B>A 180 1 to=t
         600  B>A 180 1 to=FORK
         2000 B>A 486 1 to=FORK
         30000 B>A 200 1 to=t
         30010 A>B ACK 1 to=t
         40000 A>B BYE 2 to=t",
    );
    assert_eq!(
        (call["status"].as_u64(), call["counts"]["forks"].as_u64()),
        (Some(200), Some(2))
    );
    assert_eq!(
        (ms(&call, "answer_us"), ms(&call, "end_us")),
        (Some(30_000.0), Some(40_000.0))
    );
    assert_eq!(call["to_tag"], "t");
}

#[test]
fn branches_of_a_forking_proxy_are_one_call() {
    let call = record(
        "0    P>B INVITE 1
         1    P>C INVITE 1
         400  B>P 180 1 to=b
         500  C>P 180 1 to=c
         900  B>P 603 1 to=b
         20000 C>P 200 1 to=c
         25000 P>C BYE 2 to=c",
    );
    assert_eq!(
        (call["status"].as_u64(), ms(&call, "answer_us")),
        (Some(200), Some(20_000.0))
    );
}

#[test]
fn a_call_seen_on_two_hops_of_a_proxy_is_one_call() {
    let call = record(
        "0    A>P INVITE 1
         0.8  P>B INVITE 1
         500  B>P 180 1 to=t
         500.8 P>A 180 1 to=t
         3000 B>P 200 1 to=t
         3000.8 P>A 200 1 to=t
         3010 A>P ACK 1 to=t
         3010.8 P>B ACK 1 to=t
         5000 A>P INVITE 2 to=t
         5000.8 P>B INVITE 2 to=t
         13000 A>P BYE 3 to=t
         13000.8 P>B BYE 3 to=t",
    );
    assert_eq!(call["hops"], 2);
    assert_eq!(
        (
            call["source_address"].as_str(),
            call["destination_address"].as_str()
        ),
        (Some("10.0.0.65:5060"), Some("10.0.0.66:5060"))
    );
    assert_eq!(
        (ms(&call, "answer_us"), ms(&call, "end_us")),
        (Some(3000.0), Some(13_000.0))
    );
    assert_eq!(
        (
            call["counts"]["reinvites"].as_u64(),
            call["counts"]["retransmissions"].as_u64()
        ),
        (Some(1), Some(0))
    );
}

fn legs(first: &str, second: &str) -> Vec<serde_json::Value> {
    records(&format!(
        "0    A>S INVITE 1 id=one {first}
         20   S>B INVITE 1 id=two from=g {second}
         900  B>S 486 1 id=two from=g to=u
         920  S>A 486 1 id=one to=t"
    ))
}

#[test]
fn both_legs_of_a_b2bua_are_one_call() {
    let session =
        "| Session-ID: ab30317f1a784dc48ff824d0d3715d86;remote=00000000000000000000000000000000";
    for (first, second, by) in [
        ("", "", "numbers"),
        (
            session,
            &session.to_uppercase().replace("SESSION-ID", "Session-ID") as &str,
            "session_id",
        ),
        (
            "| P-Charging-Vector: icid-value=77;x=y",
            "| P-Charging-Vector: icid-value=77",
            "header",
        ),
        ("", "| X-CID: one", "header"),
    ] {
        let calls = legs(first, second);
        assert_eq!(calls.len(), 2);
        assert_eq!(
            calls[0]["correlation_id"], calls[1]["correlation_id"],
            "{by}"
        );
        assert_eq!(
            (
                calls[0]["correlated_by"].as_str(),
                calls[1]["correlated_by"].as_str()
            ),
            (Some(by), Some(by))
        );
    }
}

#[test]
fn a_redial_is_not_a_leg_of_the_call_before() {
    let calls = records(
        "0 A>S INVITE 1 id=one\n100 S>A 486 1 id=one to=t\n900 A>S INVITE 1 id=two\n1000 S>A 486 1 id=two to=t\n\
         9000 S>B INVITE 1 id=three\n9100 B>S 486 1 id=three to=t",
    );
    assert_eq!(calls.len(), 3);
    assert_ne!(calls[0]["correlation_id"], calls[1]["correlation_id"]);
    assert_ne!(calls[1]["correlation_id"], calls[2]["correlation_id"]);
    assert!(calls.iter().all(|call| call["correlated_by"] == "none"));
}
