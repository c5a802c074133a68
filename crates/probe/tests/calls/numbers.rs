use ringfence_probe::dialogs::Dialogs;
use serde_json::Value;

use crate::scene::{Out, has_flag, line, record};

/// The record of one INVITE, its octets changed first.
fn invite(change: impl Fn(String) -> String) -> Value {
    let (arrival, message) = line("0 A>B INVITE 1");
    let message = change(String::from_utf8(message).unwrap());
    let mut out = Out::default();
    let mut dialogs = Dialogs::new(Default::default(), [1, 2]);
    dialogs.message(&arrival, message.as_bytes(), &mut out);
    dialogs.finish(&mut out);
    assert_eq!(out.calls.len(), 1, "{message}");
    out.calls.remove(0)
}

#[test]
fn the_source_is_asserted_before_preferred_before_remote_party_before_from() {
    let headers = [
        "| P-Asserted-Identity: \"Sales, \\\"EU\\\"\" <sip:+1;npdi@x;user=phone>, <tel:+11>",
        "| P-Preferred-Identity: <tel:+2;phone-context=x>",
        "| Remote-Party-ID: <sip:+3@x>;party=calling;screen=yes",
    ];
    for (known, source, origin) in [
        (&headers[..], "+1", "asserted"),
        (&headers[1..], "+2", "preferred"),
        (&headers[2..], "+3", "remote_party"),
        (&[], "+34600000001", "from"),
    ] {
        let call = record(&format!("0 A>B INVITE 1 {}", known.join(" ")));
        assert_eq!(
            (
                call["parties"]["source"].as_str(),
                call["parties"]["source_origin"].as_str()
            ),
            (Some(source), Some(origin))
        );
        assert_eq!(call["parties"]["from_user"], "+34600000001");
    }
    let called = record("0 A>B INVITE 1 | Remote-Party-ID: <sip:+3@x>;party=called");
    assert_eq!(called["parties"]["source_origin"], "from");
}

#[test]
fn forwarding_charging_and_privacy_are_kept() {
    let call = record(
        "0 A>B INVITE 1 | Diversion: <sip:+5@x>;reason=no-answer;counter=1, <sip:+6@x> | P-Charge-Info: <sip:+7@x> | Privacy: id;critical \
         | History-Info: <sip:+8@x>;index=1, <sip:+9@x;cause=302>;index=1.1 | P-Called-Party-ID: <sip:+10@x> | User-Agent: Gate 1",
    );
    let parties = &call["parties"];
    for (field, value) in [
        ("diversion", "+5"),
        ("diversion_reason", "no-answer"),
        ("charge", "+7"),
        ("privacy", "id;critical"),
        ("history", "+8"),
        ("called_party", "+10"),
    ] {
        assert_eq!(parties[field], value, "{field}");
    }
    assert_eq!(parties["anonymous"], true);
    assert_eq!(call["source_agent"], "Gate 1");
}

#[test]
fn the_caller_is_never_taken_from_a_display_name() {
    let call = invite(|text| {
        text.replace(
            "From: <",
            "From: \"Evil <sip:fake@bad> \\\"q\\\" , ;tag=zz\" <",
        )
    });
    assert_eq!(
        (
            call["parties"]["source"].as_str(),
            call["from_tag"].as_str()
        ),
        (Some("+34600000001"), Some("f"))
    );
    let call = invite(|text| text.replace("From: <", "From: \"no end <sip:fake@bad> <"));
    assert_eq!(call["parties"]["source"], "+34600000001");
}

#[test]
fn header_fields_are_read_as_devices_write_them() {
    type Change = fn(String) -> String;
    let changes: [(&str, Change); 12] = [
        ("leading line ends", |text| format!("\r\n\r\n{text}")),
        ("white space before the colon", |text| {
            text.replace(": ", " : ").replace("sip : ", "sip:")
        }),
        ("no white space", |text| text.replace(": ", ":")),
        ("tab", |text| text.replace(": ", ":\t")),
        ("bare line feeds", |text| text.replace("\r\n", "\n")),
        ("folded", |text| {
            text.replace("From: ", "From:\r\n  ")
                .replace("Call-ID: ", "Call-ID:\r\n\t")
        }),
        ("compact", |text| {
            text.replace("Via:", "v:")
                .replace("From:", "f:")
                .replace("To:", "t:")
                .replace("Call-ID:", "i:")
        }),
        ("compact, upper case", |text| {
            text.replace("Via:", "V:")
                .replace("From:", "F:")
                .replace("To:", "T:")
                .replace("Call-ID:", "I:")
        }),
        ("names that begin alike", |text| {
            text.replace(
                "Via:",
                "X-Call-ID2: no\r\nCall-IDX: no\r\nFromage: <sip:no@x>\r\nVia:",
            )
        }),
        ("header fields in the body", |text| {
            format!("{text}Call-ID: no\r\nFrom: <sip:no@x>\r\n")
        }),
        ("many header fields", |text| {
            text.replace("Via:", &format!("{}Via:", "X-H: v\r\n".repeat(300)))
        }),
        ("long header field", |text| {
            text.replace("Via:", &format!("X-Big: {}\r\nVia:", "z".repeat(9000)))
        }),
    ];
    for (name, change) in changes {
        let call = invite(change);
        assert_eq!(
            (
                call["parties"]["source"].as_str(),
                call["call_id"].as_str(),
                call["from_tag"].as_str()
            ),
            (Some("+34600000001"), Some("id@a"), Some("f")),
            "{name}"
        );
    }
}

#[test]
fn text_that_is_not_utf8_is_shown_lossily() {
    let (arrival, message) = line("0 A>B INVITE 1");
    let at = message
        .windows(7)
        .position(|window| window == b"From: <")
        .unwrap();
    let message = [&message[..at], b"From: \"M\xfcller\" <", &message[at + 7..]].concat();
    let mut out = Out::default();
    let mut dialogs = Dialogs::new(Default::default(), [1, 2]);
    dialogs.message(&arrival, &message, &mut out);
    dialogs.finish(&mut out);
    assert_eq!(out.calls[0]["parties"]["source_name"], "M\u{fffd}ller");
}

#[test]
fn a_message_cut_by_the_capture_is_used_as_far_as_it_goes() {
    let (mut arrival, message) = line("0 A>B INVITE 1");
    let end = message
        .windows(4)
        .position(|window| window == b"CSeq")
        .unwrap();
    arrival.is_truncated = true;
    let mut out = Out::default();
    let mut dialogs = Dialogs::new(Default::default(), [1, 2]);
    dialogs.message(&arrival, &message[..end + 3], &mut out);
    dialogs.finish(&mut out);
    assert_eq!(out.calls[0]["parties"]["source"], "+34600000001");
    assert!(has_flag(&out.calls[0], "truncated"));
}

#[test]
fn anonymous_callers_are_known_by_any_sign() {
    for change in [
        (
            "sip:+34600000001@a.example",
            "sip:anonymous@anonymous.invalid",
        ),
        ("sip:+34600000001@", "sip:Restricted@"),
        ("CSeq:", "Privacy: user\r\nCSeq:"),
    ] {
        let call = invite(|text| text.replace(change.0, change.1));
        assert_eq!(call["parties"]["anonymous"], true, "{}", change.1);
    }
    assert_eq!(invite(|text| text)["parties"]["anonymous"], false);
}

#[test]
fn attestation_and_its_age_are_kept() {
    // {"alg":"ES256","ppt":"shaken"} . {"attest":"B","dest":{"tn":["4930000002"]},"iat":1795000030,"orig":{"tn":"34600000001"},"origid":"o-1"}
    let token = "eyJhbGciOiJFUzI1NiIsInBwdCI6InNoYWtlbiJ9.eyJhdHRlc3QiOiJCIiwiZGVzdCI6eyJ0biI6WyI0OTMwMDAwMDAyIl19LCJpYXQiOjE3OTUwMDAwMzAsIm9yaWciOnsidG4iOiIzNDYwMDAwMDAwMSJ9LCJvcmlnaWQiOiJvLTEifQ.c2ln";
    let call = record(&format!(
        "0 A>B INVITE 1 | Identity: {token};info=<https://c.example/a,b.pem>;alg=ES256;ppt=shaken"
    ));
    let attestation = &call["attestation"];
    assert_eq!(
        (
            attestation["level"].as_u64(),
            attestation["is_fresh"].as_bool()
        ),
        (Some(u64::from(b'B')), Some(true))
    );
    assert_eq!(
        (attestation["orig"].as_str(), attestation["dest"].as_str()),
        (Some("34600000001"), Some("4930000002"))
    );
    assert_eq!(
        (
            attestation["orig_id"].as_str(),
            attestation["issued_s"].as_i64()
        ),
        (Some("o-1"), Some(1_795_000_030))
    );
    let late = record(&format!("61001000 A>B INVITE 1 | Identity: {token}"));
    assert_eq!(late["attestation"]["is_fresh"], false);
    let call = record(
        "0 A>B INVITE 1 | P-Asserted-Identity: <tel:+1;verstat=TN-Validation-Passed> | Identity: nonsense",
    );
    assert_eq!(
        (call["verstat"].as_str(), call["attestation"].is_null()),
        (Some("TN-Validation-Passed"), true)
    );
}
