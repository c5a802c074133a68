//! SIP as RFC 3261 allows it and as devices write it: names, spaces, folds, charsets, sizes.

use crate::cases::{CALLS, Maker};
use crate::pcap::Shot;
use crate::script::{SDP, Style};

/// Replaces every `from` in a message.
fn replaced(text: &[u8], from: &str, to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + to.len());
    let mut rest = text;
    while let Some(at) = rest
        .windows(from.len())
        .position(|window| window == from.as_bytes())
    {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// The compact form of a header's name (RFC 3261, section 7.3.3).
fn compact(name: &str) -> String {
    match name {
        "Via" => "v",
        "From" => "f",
        "To" => "t",
        "Call-ID" => "i",
        "Contact" => "m",
        "Content-Type" => "c",
        "Content-Length" => "l",
        other => other,
    }
    .to_owned()
}

/// Changes of the usual messages.
const CHANGES: [(&str, &str, &[u8]); 8] = [
    ("folded_from", "From: ", b"From:\r\n  "),
    ("folded_via", ";branch", b"\r\n ;branch"),
    ("display_trap", "From: <", b"From: \"Mallory <sip:nobody@nowhere> \\\"x\\\" , ;tag=no\" <"),
    (
        "similar_names",
        "Max-Forwards",
        b"X-Call-ID: not@this\r\nCall-IDs: nor@this\r\nFromage: <sip:brie@this>\r\nMax-Forwards",
    ),
    ("via_comma", "\r\nMax-F", b", SIP/2.0/UDP 10.1.1.1:5060;branch=z9hG4bKx, SIP/2.0/UDP 10.1.1.2;branch=z9hG4bKy\r\nMax-F"),
    ("utf8_from", "From: <", "From: \"Žofie 电话\" <".as_bytes()),
    ("latin1_from", "From: <", b"From: \"J\xfcrgen\" <"),
    ("leading_crlf", "\0", b""),
];

pub fn add(maker: &mut Maker) {
    let usual = Style::default();
    let styles: [(&str, Style); 11] = [
        (
            "compact",
            Style {
                name: compact,
                ..usual.clone()
            },
        ),
        (
            "compact_upper",
            Style {
                name: |name| compact(name).to_uppercase(),
                ..usual.clone()
            },
        ),
        (
            "names_lower",
            Style {
                name: str::to_lowercase,
                ..usual.clone()
            },
        ),
        (
            "names_upper",
            Style {
                name: str::to_uppercase,
                ..usual.clone()
            },
        ),
        (
            "space_before_colon",
            Style {
                colon: " : ",
                ..usual.clone()
            },
        ),
        (
            "no_space",
            Style {
                colon: ":",
                ..usual.clone()
            },
        ),
        (
            "tab_after_colon",
            Style {
                colon: ":\t",
                ..usual.clone()
            },
        ),
        (
            "line_feed_only",
            Style {
                eol: "\n",
                ..usual.clone()
            },
        ),
        (
            "no_content_length",
            Style {
                has_length: false,
                ..usual.clone()
            },
        ),
        (
            "headers_in_body",
            Style {
                body: (
                    format!("{SDP}a=x\r\nCall-ID: body@trap\r\nFrom: <sip:body@trap>\r\n"),
                    "application/sdp",
                ),
                ..usual.clone()
            },
        ),
        (
            "multipart",
            Style {
                body: (
                    format!(
                        "--cut\r\nContent-Type: application/sdp\r\n\r\n{SDP}--cut\r\nContent-Type: application/isup\r\n\r\n\
                         \u{1}\0\r\n--cut--\r\n"
                    ),
                    "multipart/mixed;boundary=cut",
                ),
                ..usual.clone()
            },
        ),
    ];
    for (name, style) in &styles {
        maker.usual(name, style, |maker, forward, text| {
            vec![maker.udp_frame(forward, text)]
        });
    }
    for (name, from, to) in CHANGES {
        maker.usual(name, &usual, |maker, forward, text| {
            let text = match name {
                "leading_crlf" => [b"\r\n\r\n".as_slice(), text].concat(),
                "folded_from" => {
                    replaced(&replaced(text, from, to), "Call-ID: ", b"Call-ID:\r\n\t")
                }
                _ => replaced(text, from, to),
            };
            vec![maker.udp_frame(forward, &text)]
        });
    }
    maker.usual("jumbo_header", &usual, |maker, forward, text| {
        let header = [b"X-Big: ".as_slice(), &[b'z'; 8900], b"\r\nMax-F"].concat();
        vec![maker.udp_frame(forward, &replaced(text, "Max-F", &header))]
    });
    maker.usual("many_headers", &usual, |maker, forward, text| {
        let headers: String = (0..300)
            .map(|number| format!("X-H{number}: v\r\n"))
            .collect();
        vec![maker.udp_frame(
            forward,
            &replaced(text, "Max-F", format!("{headers}Max-F").as_bytes()),
        )]
    });
    add_tel(maker);
    add_snapped(maker);
}

fn add_tel(maker: &mut Maker) {
    let name = "tel_uri";
    let (mut shots, mut truths) = (Vec::new(), Vec::new());
    for index in 0..CALLS {
        let call = maker.call(name, index, &Style::default());
        for line in call.usual() {
            let from = format!("<sip:{}@10.20.0.5>;tag", call.source);
            let text = replaced(
                &line.text,
                &from,
                format!("<tel:{};phone-context=+34>;tag", call.source).as_bytes(),
            );
            let uri = format!("INVITE sip:{}@203.0.113.20", call.destination);
            let text = replaced(
                &text,
                &uri,
                format!("INVITE tel:{}", call.destination).as_bytes(),
            );
            shots.push(Shot::new(
                call.start_ns + line.at_ns,
                maker.udp_frame(line.is_forward, &text),
            ));
        }
        truths.push(call.truth());
    }
    maker.put(name, shots, truths);
}

/// The capture has the first 340 octets of each frame: the header fields in front, no body.
fn add_snapped(maker: &mut Maker) {
    maker.usual("snap_length", &Style::default(), |maker, forward, text| {
        vec![maker.udp_frame(forward, text)]
    });
    maker.cut_last(340);
}
