//! RFC 4475 (torture messages) and RFC 5118 (the same for IPv6): each message is sorted as its RFC says.
//!
//! Messages are written from the RFCs; where they use `<repeat>`, the text is repeated here too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod rfc4475_application;
mod rfc4475_invalid;
mod rfc4475_valid;
mod rfc5118;

use ringfence_voice_wire::sip::{Fault, check};

/// A message of the RFC's text: line ends become CRLF, `{length}` the length of the body.
fn octets(text: &str) -> Vec<u8> {
    let text = text.trim_start_matches('\n').replace('\n', "\r\n");
    let body = text
        .split_once("\r\n\r\n")
        .map_or(0, |(_, body)| body.len());
    text.replace("{length}", &body.to_string()).into_bytes()
}

fn verdict(text: &str) -> Result<(), Fault> {
    check(&octets(text)).map(|_| ())
}

fn assert_valid(cases: &[(&str, &str)]) {
    for (name, text) in cases {
        assert_eq!(verdict(text), Ok(()), "{name}");
    }
}

fn assert_invalid(cases: &[(&str, Fault, &str)]) {
    for (name, fault, text) in cases {
        assert_eq!(verdict(text), Err(*fault), "{name}");
    }
}

/// The description that most of the messages carry.
const SDP: &str = "v=0
o=mhandley 29739 7272939 IN IP4 192.0.2.3
s=-
c=IN IP4 192.0.2.4
t=0 0
m=audio 49217 RTP/AVP 0 12
m=video 3227 RTP/AVP 31
a=rtpmap:31 LPC
";
