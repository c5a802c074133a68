//! RFC 4475, 3.1.2: messages that are not valid, and why.
use ringfence_voice_wire::sip::{Fault, Header, Malformed, Message};

use crate::{SDP, assert_invalid, octets};

/// A message that is valid but for what its case changes.
fn with(first: &str, fields: &[(&str, &str)], body: &str) -> String {
    let mut all = vec![
        ("To", "sip:j.user@example.com"),
        ("From", "sip:caller@example.net;tag=93942939o2"),
        ("Call-ID", "case.0ha0isndaksdj@192.0.2.1"),
        ("CSeq", "8 INVITE"),
        ("Via", "SIP/2.0/UDP 192.0.2.15;branch=z9hG4bKkdjuw"),
        ("Max-Forwards", "70"),
        ("Contact", "<sip:caller@host5.example.net>"),
        ("Content-Type", "application/sdp"),
        ("Content-Length", "{length}"),
    ];
    for &(name, value) in fields {
        match all.iter_mut().find(|(known, _)| *known == name) {
            Some(place) => place.1 = value,
            None => all.push((name, value)),
        }
    }
    let fields: String = all
        .iter()
        .map(|(name, value)| format!("{name}: {value}\n"))
        .collect();
    format!("{first}\n{fields}\n{body}")
}

const INVITE: &str = "INVITE sip:user@example.com SIP/2.0";
const OPTIONS: &str = "OPTIONS sip:user@example.com SIP/2.0";
const REGISTER: &str = "REGISTER sip:example.com SIP/2.0";
const RESPONSE: &str = "SIP/2.0 503 Service Unavailable";

#[test]
fn rfc4475_3_1_2_invalid_messages_are_refused_for_the_reason_given() {
    let register = ("CSeq", "8 REGISTER");
    let options = ("CSeq", "8 OPTIONS");
    let value = Fault::Value;
    let cases = [
        (
            "3.1.2.1 badinv01, Via",
            value(Header::Via),
            with(INVITE, &[("Via", "SIP/2.0/UDP 192.0.2.15;;,;,,")], SDP),
        ),
        (
            "3.1.2.1 badinv01, Contact",
            value(Header::Contact),
            with(
                INVITE,
                &[("Contact", "\"Joe\" <sip:joe@example.org>;;;;")],
                SDP,
            ),
        ),
        (
            "3.1.2.2 clerr",
            Fault::Length,
            with(INVITE, &[("Content-Length", "9999")], SDP),
        ),
        (
            "3.1.2.3 ncl",
            value(Header::ContentLength),
            with(INVITE, &[("Content-Length", "-999")], SDP),
        ),
        (
            "3.1.2.4 scalar02, CSeq",
            value(Header::CSeq),
            with(REGISTER, &[("CSeq", "36893488147419103232 REGISTER")], ""),
        ),
        (
            "3.1.2.4 scalar02, Max-Forwards",
            value(Header::MaxForwards),
            with(REGISTER, &[register, ("Max-Forwards", "300")], ""),
        ),
        (
            "3.1.2.5 scalarlg",
            value(Header::CSeq),
            with(RESPONSE, &[("CSeq", "9292394834772304023312 OPTIONS")], ""),
        ),
        (
            "3.1.2.6 quotbal",
            value(Header::To),
            with(
                INVITE,
                &[("To", "\"Mr. J. User <sip:j.user@example.com>")],
                SDP,
            ),
        ),
        (
            "3.1.2.7 ltgtruri",
            Fault::RequestUri,
            with("INVITE <sip:user@example.com> SIP/2.0", &[], SDP),
        ),
        (
            "3.1.2.8 lwsruri",
            Fault::StartLineSpace,
            with("INVITE sip:user@example.com; lr SIP/2.0", &[], SDP),
        ),
        (
            "3.1.2.9 lwsstart",
            Fault::StartLineSpace,
            with("INVITE  sip:user@example.com  SIP/2.0", &[], SDP),
        ),
        (
            "3.1.2.10 trws",
            Fault::StartLineSpace,
            with(
                "OPTIONS sip:remote-target@example.com SIP/2.0  ",
                &[options],
                "",
            ),
        ),
        (
            "3.1.2.11 escruri",
            Fault::RequestUri,
            with(
                "INVITE sip:user@example.com?Route=%3Csip:example.com%3E SIP/2.0",
                &[],
                SDP,
            ),
        ),
        (
            "3.1.2.12 baddate",
            value(Header::Date),
            with(INVITE, &[("Date", "Fri, 01 Jan 2010 16:00:00 EST")], SDP),
        ),
        (
            "3.1.2.13 regbadct",
            value(Header::Contact),
            with(
                REGISTER,
                &[
                    register,
                    (
                        "Contact",
                        "sip:user@example.com?Route=%3Csip:sip.example.com%3E",
                    ),
                ],
                "",
            ),
        ),
        (
            "3.1.2.14 badaspec",
            value(Header::To),
            with(
                OPTIONS,
                &[
                    options,
                    ("To", "\"Watson, Thomas\" < sip:t.watson@example.org >"),
                ],
                "",
            ),
        ),
        (
            "3.1.2.15 baddn",
            value(Header::From),
            with(
                OPTIONS,
                &[
                    options,
                    ("From", "Bell, Alexander <sip:a.g.bell@example.com>;tag=43"),
                ],
                "",
            ),
        ),
        (
            "3.1.2.16 badvers",
            Fault::Malformed(Malformed::Version),
            with("OPTIONS sip:t.watson@example.org SIP/7.0", &[options], ""),
        ),
        (
            "3.1.2.17 mismatch01",
            Fault::Method,
            with(OPTIONS, &[("CSeq", "8 INVITE")], ""),
        ),
        (
            "3.1.2.18 mismatch02",
            Fault::Method,
            with(
                "NEWMETHOD sip:user@example.com SIP/2.0",
                &[("CSeq", "8 INVITE")],
                SDP,
            ),
        ),
        (
            "3.1.2.19 bigcode",
            Fault::Malformed(Malformed::Status),
            with(
                "SIP/2.0 4294967301 better not break the receiver",
                &[options],
                "",
            ),
        ),
    ];
    let cases: Vec<_> = cases
        .iter()
        .map(|(name, fault, text)| (*name, *fault, text.as_str()))
        .collect();
    assert_invalid(&cases);
    assert_eq!(
        crate::verdict(&with(INVITE, &[], SDP)),
        Ok(()),
        "unchanged it is valid"
    );
}

#[test]
fn what_can_be_used_of_invalid_messages_is_used() {
    for first in [
        "INVITE  sip:user@example.com  SIP/2.0",
        "INVITE sip:user@example.com SIP/2.0  ",
        "INVITE sip:user@example.com; lr SIP/2.0",
        "INVITE <sip:user@example.com> SIP/2.0",
    ] {
        let octets = octets(&with(
            first,
            &[("Date", "yesterday"), ("Content-Length", "-999")],
            SDP,
        ));
        let message = Message::parse(&octets).unwrap();
        assert_eq!(
            message.get(Header::CallId),
            Some(b"case.0ha0isndaksdj@192.0.2.1".as_slice()),
            "{first}"
        );
    }
}
