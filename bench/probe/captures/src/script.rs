//! One call as a script of messages, and what must be known of it afterwards.

use std::net::SocketAddr;

/// Milliseconds, in nanoseconds.
pub const MS: i64 = 1_000_000;
/// A second, in nanoseconds.
pub const S: i64 = 1_000_000_000;

/// A message at its time after the start, from the caller (`is_forward`) or to it.
#[derive(Clone, Debug)]
pub struct Line {
    /// Nanoseconds after the start.
    pub at_ns: i64,
    /// From the caller's side.
    pub is_forward: bool,
    /// The message.
    pub text: Vec<u8>,
}

/// What a record must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    /// Call-ID.
    pub call_id: String,
    /// Records with this Call-ID.
    pub records: usize,
    /// The caller's number.
    pub source: String,
    /// The number called.
    pub destination: String,
    /// Status that decided the call, 0 for none.
    pub status: u16,
    /// First INVITE; nanoseconds since 1970. `None`: it was missed and the record must say so.
    pub start_ns: Option<i64>,
    /// First 2xx.
    pub answer_ns: Option<i64>,
    /// First BYE or the refusal.
    pub end_ns: Option<i64>,
}

/// How messages are written.
#[derive(Clone, Debug)]
pub struct Style {
    /// Transport in Via.
    pub transport: &'static str,
    /// Line end.
    pub eol: &'static str,
    /// Between a header's name and value.
    pub colon: &'static str,
    /// Header names as they are, or otherwise.
    pub name: fn(&str) -> String,
    /// Write Content-Length.
    pub has_length: bool,
    /// Lines of two hundred octets added to INVITE and 200.
    pub padding: usize,
    /// The body of INVITE and its 200, and its type.
    pub body: (String, &'static str),
    /// Hosts of caller and callee in URIs.
    pub hosts: (&'static str, &'static str),
}

/// The caller's SDP.
pub const SDP: &str = "v=0\r\no=- 4711 1 IN IP4 10.20.0.5\r\ns=-\r\nc=IN IP4 10.20.0.5\r\nt=0 0\r\n\
m=audio 30000 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n";

impl Default for Style {
    fn default() -> Self {
        Self {
            transport: "UDP",
            eol: "\r\n",
            colon: ": ",
            name: str::to_owned,
            has_length: true,
            padding: 0,
            body: (SDP.to_owned(), "application/sdp"),
            hosts: ("10.20.0.5", "203.0.113.20"),
        }
    }
}

/// A call to be written down.
#[derive(Clone, Debug)]
pub struct Call {
    /// Call-ID.
    pub call_id: String,
    /// The caller's number.
    pub source: String,
    /// The number called.
    pub destination: String,
    /// Start, nanoseconds since 1970.
    pub start_ns: i64,
    number: u32,
    style: Style,
}

/// What a message has beside the usual.
#[derive(Clone, Copy, Default, Debug)]
pub struct Extra<'a> {
    /// The callee's tag is there.
    pub has_to_tag: bool,
    /// Whole header lines without their ends.
    pub headers: &'a [&'a str],
    /// With the body of the style.
    pub has_body: bool,
    /// With the style's padding.
    pub is_padded: bool,
}

impl Call {
    /// The `number`th call of a capture.
    #[must_use]
    pub fn new(call_id: String, number: u32, start_ns: i64, style: Style) -> Self {
        Self {
            call_id,
            source: format!("+34600{number:06}"),
            destination: format!("+49300{number:06}"),
            start_ns,
            number,
            style,
        }
    }

    /// A message with the given first line and CSeq.
    #[must_use]
    pub fn message(&self, first: &str, cseq: &str, extra: Extra<'_>) -> Vec<u8> {
        let Self {
            number,
            style,
            source,
            destination,
            call_id,
            ..
        } = self;
        let (here, there) = style.hosts;
        let to_tag = if extra.has_to_tag {
            format!(";tag=callee{number}")
        } else {
            String::new()
        };
        let mut lines = vec![first.to_owned()];
        let mut header = |name: &str, value: String| {
            lines.push(format!("{}{}{value}", (style.name)(name), style.colon))
        };
        header(
            "Via",
            format!(
                "SIP/2.0/{} {here}:5060;branch=z9hG4bKc{number}",
                style.transport
            ),
        );
        header("Max-Forwards", "70".to_owned());
        header("From", format!("<sip:{source}@{here}>;tag=caller{number}"));
        header("To", format!("<sip:{destination}@{there}>{to_tag}"));
        header("Call-ID", call_id.clone());
        header("CSeq", cseq.to_owned());
        header("Contact", format!("<sip:{source}@{here}>"));
        let body = if extra.has_body {
            style.body.0.as_bytes()
        } else {
            &[]
        };
        if extra.has_body {
            header("Content-Type", style.body.1.to_owned());
        }
        if style.has_length {
            header("Content-Length", body.len().to_string());
        }
        lines.extend(extra.headers.iter().map(|line| (*line).to_owned()));
        if extra.is_padded {
            lines.extend(
                (0..style.padding).map(|line| format!("X-Padding-{line}: {}", "p".repeat(200))),
            );
        }
        let mut text = (lines.join(style.eol) + style.eol + style.eol).into_bytes();
        text.extend(body);
        text
    }

    /// A request of the caller.
    #[must_use]
    pub fn request(&self, method: &str, cseq: u32, extra: Extra<'_>) -> Vec<u8> {
        let first = format!(
            "{method} sip:{}@{} SIP/2.0",
            self.destination, self.style.hosts.1
        );
        self.message(&first, &format!("{cseq} {method}"), extra)
    }

    /// A response.
    #[must_use]
    pub fn response(&self, status: &str, cseq: &str, extra: Extra<'_>) -> Vec<u8> {
        self.message(&format!("SIP/2.0 {status}"), cseq, extra)
    }

    /// INVITE, 100, 180 after half a second, 200 after three, ACK, BYE ten seconds later, 200.
    #[must_use]
    pub fn usual(&self) -> Vec<Line> {
        let tag = Extra {
            has_to_tag: true,
            ..Extra::default()
        };
        let big = Extra {
            has_body: true,
            is_padded: true,
            ..Extra::default()
        };
        let line = |at_ns: i64, is_forward: bool, text: Vec<u8>| Line {
            at_ns,
            is_forward,
            text,
        };
        vec![
            line(0, true, self.request("INVITE", 1, big)),
            line(
                20 * MS,
                false,
                self.response("100 Trying", "1 INVITE", Extra::default()),
            ),
            line(
                500 * MS,
                false,
                self.response("180 Ringing", "1 INVITE", tag),
            ),
            line(
                3 * S,
                false,
                self.response(
                    "200 OK",
                    "1 INVITE",
                    Extra {
                        has_to_tag: true,
                        ..big
                    },
                ),
            ),
            line(3 * S + 10 * MS, true, self.request("ACK", 1, tag)),
            line(13 * S, true, self.request("BYE", 2, tag)),
            line(
                13 * S + 20 * MS,
                false,
                self.response("200 OK", "2 BYE", tag),
            ),
        ]
    }

    /// What must be known of the usual call.
    #[must_use]
    pub fn truth(&self) -> Truth {
        Truth {
            call_id: self.call_id.clone(),
            records: 1,
            source: self.source.clone(),
            destination: self.destination.clone(),
            status: 200,
            start_ns: Some(self.start_ns),
            answer_ns: Some(self.start_ns + 3 * S),
            end_ns: Some(self.start_ns + 13 * S),
        }
    }
}

/// Addresses of the two sides at a port.
#[must_use]
pub fn sides(port: u16, is_v6: bool) -> (SocketAddr, SocketAddr) {
    if is_v6 {
        (
            SocketAddr::from((V6.0, port)),
            SocketAddr::from((V6.1, port)),
        )
    } else {
        (
            SocketAddr::from((V4.0, port)),
            SocketAddr::from((V4.1, port)),
        )
    }
}

const V4: ([u8; 4], [u8; 4]) = ([10, 20, 0, 5], [203, 0, 113, 20]);
const V6: ([u16; 8], [u16; 8]) = (
    [0x2001, 0xdb8, 0, 0, 0, 0, 0, 5],
    [0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x20],
);
