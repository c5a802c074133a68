//! SIP messages out of a byte stream (RFC 3261, section 18.3): header until the empty line, body by Content-Length.
//!
//! Also finds the way back after a gap, or into a stream whose start was not captured: a message begins where a line
//! reads like a start line.

use memchr::memmem;

/// The largest message taken from a stream; what claims to be larger is skipped.
pub const MAX_MESSAGE: usize = 128 * 1024;
/// The longest method name looked for, the longest that RFCs define has nine letters.
const MAX_METHOD: usize = 24;

/// What stands at the front of a stream's octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Front {
    /// A message: skip so many octets before it, then it is so long.
    Message {
        /// Line ends and leftovers before it.
        skip: usize,
        /// Its length.
        length: usize,
    },
    /// Nothing yet; so many octets can go.
    Wait {
        /// Octets that belong to no message.
        skip: usize,
    },
}

/// Looks at the front of `data`.
#[must_use]
pub fn front(data: &[u8]) -> Front {
    let Some(start) = find_start(data) else {
        return Front::Wait {
            skip: end_of_noise(data),
        };
    };
    let message = &data[start..];
    let Some(header) = header_length(message) else {
        // A header that does not end is no header.
        let skip = if message.len() > MAX_MESSAGE {
            data.len()
        } else {
            start
        };
        return Front::Wait { skip };
    };
    let length = header.saturating_add(content_length(&message[..header]).unwrap_or(0));
    if length > MAX_MESSAGE {
        return Front::Message {
            skip: start,
            length: header,
        }; // its length is a lie or its body no business of ours
    }
    if message.len() < length {
        Front::Wait { skip: start }
    } else {
        Front::Message {
            skip: start,
            length,
        }
    }
}

/// Whether a datagram's payload reads like SIP: perhaps line ends, then a request or status line.
#[inline]
#[must_use]
pub fn is_sip(payload: &[u8]) -> bool {
    match payload.first() {
        Some(b'A'..=b'Z' | b'a'..=b'z') => is_start_line(payload),
        Some(b'\r' | b'\n') => {
            let start = payload
                .iter()
                .position(|octet| !matches!(octet, b'\r' | b'\n'));
            start.is_some_and(|start| is_start_line(&payload[start..]))
        }
        _ => false,
    }
}

/// `SIP/2.0 …`, or `METHOD uri SIP/2.0` on the first line; a line that the capture cut counts when it reads well so far.
fn is_start_line(data: &[u8]) -> bool {
    if data.len() >= 8 && data[..8].eq_ignore_ascii_case(b"SIP/2.0 ") {
        return true;
    }
    let method = &data[..data.len().min(MAX_METHOD)];
    let Some(space) = memchr::memchr(b' ', method) else {
        return false;
    };
    if space == 0
        || !method[..space]
            .iter()
            .all(|octet| octet.is_ascii_alphabetic() || *octet == b'-')
    {
        return false;
    }
    let Some(end) = memchr::memchr(b'\n', data) else {
        return false;
    };
    let line = data[..end].trim_ascii_end();
    line.len() >= 8 && line[line.len() - 8..].eq_ignore_ascii_case(b" SIP/2.0")
}

/// Where the first message begins: at the front behind line ends, else behind any line end.
fn find_start(data: &[u8]) -> Option<usize> {
    let mut at = data
        .iter()
        .position(|octet| !matches!(octet, b'\r' | b'\n'))?;
    loop {
        if is_start_line(&data[at..]) {
            return Some(at);
        }
        at += memchr::memchr(b'\n', &data[at..])? + 1;
    }
}

/// How much of data without a start line can go: all but the last line, which may be the front of one.
fn end_of_noise(data: &[u8]) -> usize {
    let last_line = memchr::memrchr(b'\n', data).map_or(0, |at| at + 1);
    let rest = &data[last_line..];
    let may_become = rest.len() < 4096
        && rest
            .iter()
            .take(MAX_METHOD)
            .take_while(|octet| **octet != b' ')
            .all(|octet| {
                octet.is_ascii_alphabetic() || matches!(octet, b'-' | b'/' | b'.' | b'0' | b'2')
            });
    if may_become { last_line } else { data.len() }
}

/// Length of the header with its empty line. Line ends may lack the carriage return.
fn header_length(message: &[u8]) -> Option<usize> {
    let mut from = 0;
    for at in memchr::memchr_iter(b'\n', message) {
        if at == from || (at == from + 1 && message[from] == b'\r') {
            return Some(at + 1);
        }
        from = at + 1;
    }
    None
}

/// The value of Content-Length or `l`; without one a message in a stream has no body.
fn content_length(header: &[u8]) -> Option<usize> {
    for line in header.split(|octet| *octet == b'\n').skip(1) {
        if !matches!(line.first(), Some(b'C' | b'c' | b'L' | b'l')) {
            continue;
        }
        let Some(colon) = memchr::memchr(b':', line) else {
            continue;
        };
        let name = line[..colon].trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") || name.eq_ignore_ascii_case(b"l") {
            let digits = line[colon + 1..].trim_ascii();
            let value = digits.iter().try_fold(0_usize, |value, octet| {
                octet.is_ascii_digit().then(|| {
                    value
                        .saturating_mul(10)
                        .saturating_add(usize::from(octet - b'0'))
                })
            });
            return value.filter(|_| !digits.is_empty());
        }
    }
    None
}

/// Whether a stream begins as an HTTP upgrade to WebSocket (RFC 7118, section 4), request or response.
#[must_use]
pub fn upgrade_length(data: &[u8]) -> Option<usize> {
    let is_http = data.starts_with(b"GET ") || data.starts_with(b"HTTP/1.1 101");
    let header = if is_http {
        header_length(data)?
    } else {
        return None;
    };
    let mut lines = data[..header].split(|octet| *octet == b'\n');
    let is_upgrade = lines.any(|line| {
        line.len() > 8 && line[..8].eq_ignore_ascii_case(b"upgrade:") && {
            memmem::find(&line[8..].to_ascii_lowercase(), b"websocket").is_some()
        }
    });
    is_upgrade.then_some(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BYE: &[u8] = b"BYE sip:a@b SIP/2.0\r\nCall-ID: 1\r\nl : 4\r\n\r\nbody";

    #[test]
    fn takes_a_message_with_its_body_behind_keep_alives() {
        let data = [b"\r\n\r\n".as_slice(), BYE, b"SIP/2.0 200 OK\r\n"].concat();
        assert_eq!(
            front(&data),
            Front::Message {
                skip: 4,
                length: BYE.len()
            }
        );
        assert_eq!(front(&data[..data.len() - 20]), Front::Wait { skip: 4 });
    }

    #[test]
    fn finds_the_next_message_behind_the_rest_of_one() {
        let data = [b"ag=1\r\nCall-ID: x\r\n\r\nv=0\r\n".as_slice(), BYE].concat();
        assert_eq!(
            front(&data),
            Front::Message {
                skip: data.len() - BYE.len(),
                length: BYE.len()
            }
        );
    }

    #[test]
    fn drops_what_never_becomes_a_message() {
        assert_eq!(front(&[0x16, 3, 1, 2, 0]), Front::Wait { skip: 5 });
        assert_eq!(front(b"INV"), Front::Wait { skip: 0 });
    }

    #[test]
    fn a_datagram_reads_like_sip_by_its_first_line() {
        assert!(
            is_sip(BYE) && is_sip(b"\r\n\r\nSIP/2.0 200 OK\r\n") && is_sip(b"sip/2.0 100 T\r\n")
        );
        assert!(
            !is_sip(b"GET / HTTP/1.1\r\n")
                && !is_sip(b"\x80\x08")
                && !is_sip(b"INVITE sip:x SIP/3.0\r\n")
        );
    }

    proptest! {
        #[test]
        fn never_points_outside(data in prop::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b' '), any::<u8>()], 0..300), at in 0_usize..300) {
            let mut data = data;
            let at = at.min(data.len());
            data.splice(at..at, BYE.iter().copied());
            match front(&data) {
                Front::Message { skip, length } => prop_assert!(length > 0 && skip + length <= data.len()),
                Front::Wait { skip } => prop_assert!(skip <= data.len()),
            }
            let _ = (is_sip(&data), upgrade_length(&data));
        }
    }
}
