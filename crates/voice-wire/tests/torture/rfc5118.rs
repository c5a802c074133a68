//! RFC 5118: torture messages for IPv6.
use ringfence_voice_wire::sdp::{Sdp, find};
use ringfence_voice_wire::sip::{Fault, Header, Message, StartLine, Uri, Via, list};

use crate::{assert_invalid, assert_valid, octets};

fn register(uri: &str) -> String {
    format!(
        "REGISTER {uri} SIP/2.0
To: sip:user@example.com
From: sip:user@example.com;tag=81x2
Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111
Call-ID: SSG9559905523997077@hlau_4100
Max-Forwards: 70
Contact: \"Caller\" <sip:caller@[2001:db8::1]>
CSeq: 98176 REGISTER
Content-Length: 0

"
    )
}

fn request(method: &str, uri: &str, vias: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0
To: {uri};tag=bd76ya
From: sip:user@example.com;tag=81x2
{vias}
Call-ID: SSG9559905523997077@hlau_4100
Max-Forwards: 70
CSeq: 321 {method}
Content-Length: 0

"
    )
}

fn invite(contact: &str, body: &str) -> String {
    format!(
        "INVITE sip:user@[2001:db8::10] SIP/2.0
To: sip:user@[2001:db8::10]
From: sip:user@example.com;tag=81x2
Via: SIP/2.0/UDP [2001:db8::20];branch=z9hG4bKas3-111
Call-ID: SSG9559905523997077@hlau_4100
Contact: \"Caller\" <{contact}>
CSeq: 8612 INVITE
Max-Forwards: 70
Content-Type: application/sdp
Content-Length: {{length}}

{body}"
    )
}

const SDP6: &str = "v=0
o=assistant 971731711378798081 0 IN IP6 2001:db8::20
s=Live video feed for today's meeting
c=IN IP6 2001:db8::20
t=3338481189 3370017201
m=audio 6000 RTP/AVP 2
a=rtpmap:2 G726-32/8000
m=video 6024 RTP/AVP 107
a=rtpmap:107 H263-1998/90000
";

const SDP_BOTH: &str = "v=0
o=bob 280744730 28977631 IN IP4 host.example.com
s=
t=0 0
m=audio 22334 RTP/AVP 0
c=IN IP4 192.0.2.1
m=video 6024 RTP/AVP 107
c=IN IP6 2001:db8::1
a=rtpmap:107 H263-1998/90000
";

const VIA: &str = "Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111";

#[test]
fn rfc5118_valid_messages_are_valid() {
    let mapped = "Via: SIP/2.0/UDP [::ffff:192.0.2.10]:19823;branch=z9hG4bKbh19\nVia: SIP/2.0/UDP [::ffff:192.0.2.2];branch=z9hG4bKas3-111";
    let mixed = "Via: SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKas3-111\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKjhja8781hjuaij65144\nVia: SIP/2.0/TCP [2001:db8::9:255];branch=z9hG4bK451jj;received=192.0.2.200";
    let received = |value: &str| {
        format!("Via: SIP/2.0/UDP [2001:db8::9:1];received={value};branch=z9hG4bKas3-111")
    };
    let cases = [
        ("4.1", register("sip:[2001:db8::10]")),
        ("4.3", register("sip:[2001:db8::10:5070]")),
        ("4.4", register("sip:[2001:db8::10]:5070")),
        (
            "4.5, without delimiters",
            request(
                "OPTIONS",
                "sip:[2001:db8::10]",
                &received("2001:db8::9:255"),
            ),
        ),
        (
            "4.5, with delimiters",
            request("BYE", "sip:[2001:db8::10]", &received("[2001:db8::9:255]")),
        ),
        ("4.6", invite("sip:caller@[2001:db8::20]", SDP6)),
        ("4.7", request("BYE", "sip:user@host.example.net", mixed)),
        ("4.8", invite("sip:caller@[2001:db8::9:1]", SDP_BOTH)),
        ("4.9", request("INVITE", "sip:user@example.com", mapped)),
        (
            "4.10, three colons",
            request("OPTIONS", "sip:user@[2001:db8:::192.0.2.1]", VIA),
        ),
        (
            "4.10, two colons",
            request("OPTIONS", "sip:user@[2001:db8::192.0.2.1]", VIA),
        ),
    ];
    let cases: Vec<_> = cases
        .iter()
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    assert_valid(&cases);
}

#[test]
fn rfc5118_4_2_an_ipv6_address_needs_its_brackets() {
    assert_invalid(&[("4.2", Fault::RequestUri, &register("sip:2001:db8::10"))]);
}

#[test]
fn a_port_is_a_port_only_behind_the_brackets() {
    for (uri, host, port) in [
        ("sip:[2001:db8::10:5070]", "2001:db8::10:5070", None),
        ("sip:[2001:db8::10]:5070", "2001:db8::10", Some(5070)),
    ] {
        let octets = octets(&register(uri));
        let message = Message::parse(&octets).unwrap();
        let StartLine::Request { uri, .. } = message.start() else {
            panic!("request")
        };
        let uri = Uri::parse(uri).unwrap();
        assert_eq!((uri.host, uri.port), (host.as_bytes(), port));
    }
}

#[test]
fn vias_and_descriptions_may_mix_both_families() {
    let octets_mixed = octets(&request(
        "BYE",
        "sip:a@b",
        "Via: SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z1, SIP/2.0/UDP 192.0.2.1;branch=z2",
    ));
    let message = Message::parse(&octets_mixed).unwrap();
    let hosts: Vec<_> = message
        .all(Header::Via)
        .flat_map(list)
        .map(|via| Via::parse(via).unwrap().sent_by)
        .collect();
    assert_eq!(hosts, [b"[2001:db8::9:1]:6050".as_slice(), b"192.0.2.1"]);
    let octets = octets(&invite("sip:a@b", SDP_BOTH));
    let message = Message::parse(&octets).unwrap();
    let sdp = find(message.get(Header::ContentType).unwrap(), message.body()).unwrap();
    let addresses: Vec<_> = Sdp::parse(sdp)
        .unwrap()
        .media()
        .map(|media| media.address.unwrap())
        .collect();
    assert_eq!(
        addresses,
        [
            "192.0.2.1".parse::<core::net::IpAddr>().unwrap(),
            "2001:db8::1".parse().unwrap()
        ]
    );
}
