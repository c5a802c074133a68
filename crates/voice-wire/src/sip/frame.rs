//! Cuts SIP messages out of a byte stream (RFC 3261, 18.3): TCP, TLS, WebSocket payloads joined together.
use memchr::memchr;

use super::message::{HEAD_MAX, Message};

/// Longest body that is waited for; a larger Content-Length is taken for damage.
pub const BODY_MAX: usize = 1 << 20;

/// What stands at the start of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Octets before the message: line ends of keep-alives, or what is left of a message whose start was not captured. Drop them in any case.
    pub skip: usize,
    /// Length of the whole message behind them; `None` when more octets are needed.
    pub length: Option<usize>,
}

/// Finds the first message of a stream. Octets that cannot begin a message are skipped up to the next line that can.
///
/// A message without Content-Length ends at its blank line (it is mandatory on streams; RFC 3261, 18.3).
pub fn frame(stream: &[u8]) -> Frame {
    let mut skip = 0;
    loop {
        let rest = stream.get(skip..).unwrap_or_default();
        let Some(start) = rest
            .iter()
            .position(|octet| !matches!(octet, b'\r' | b'\n'))
        else {
            return Frame {
                skip: stream.len(),
                length: None,
            };
        };
        skip += start;
        let rest = stream.get(skip..).unwrap_or_default();
        let Some(line) = memchr(b'\n', rest) else {
            // An unfinished line is waited for, unless it is too long for a first line or binary.
            let is_hopeless = rest.len() > HEAD_MAX
                || rest.first().is_some_and(|octet| !octet.is_ascii_graphic());
            return Frame {
                skip: if is_hopeless { stream.len() } else { skip },
                length: None,
            };
        };
        match message_length(rest) {
            Found::Whole(length) => {
                return Frame {
                    skip,
                    length: Some(length),
                };
            }
            Found::Part => return Frame { skip, length: None },
            Found::Damage => skip += line + 1,
        }
    }
}

enum Found {
    Whole(usize),
    Part,
    Damage,
}

fn message_length(rest: &[u8]) -> Found {
    let Ok(message) = Message::parse(rest) else {
        return Found::Damage;
    };
    let Some(after) = message.after_head() else {
        return if rest.len() > HEAD_MAX {
            Found::Damage
        } else {
            Found::Part
        };
    };
    let body = message.content_length().unwrap_or(0);
    if body > BODY_MAX {
        Found::Damage
    } else if body > after.len() {
        Found::Part
    } else {
        Found::Whole(rest.len() - after.len() + body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYE: &[u8] = b"BYE sip:a@b SIP/2.0\r\nCall-ID: 1\r\nContent-Length: 4\r\n\r\nbody";

    #[test]
    fn messages_are_cut_wherever_the_segments_end() {
        let stream = [b"\r\n\r\n".as_slice(), BYE, BYE, b"\r\n"].concat();
        let whole = Frame {
            skip: 4,
            length: Some(BYE.len()),
        };
        assert_eq!(frame(&stream), whole);
        for end in 0..4 + BYE.len() {
            assert_eq!(frame(&stream[..end]).length, None, "{end}");
        }
        assert_eq!(frame(&stream[4 + BYE.len()..]).length, Some(BYE.len()));
        assert_eq!(
            frame(b"\r\n"),
            Frame {
                skip: 2,
                length: None
            }
        );
    }

    #[test]
    fn the_rest_of_a_lost_message_is_skipped() {
        let stream = [
            b"ag=1\r\nCall-ID: 7\r\n\r\nv=0\r\n\x80\x01\n".as_slice(),
            BYE,
        ]
        .concat();
        let found = frame(&stream);
        assert_eq!(
            found,
            Frame {
                skip: stream.len() - BYE.len(),
                length: Some(BYE.len())
            }
        );
    }

    #[test]
    fn hostile_lengths_end_the_message_that_has_them() {
        let stream = [
            b"BYE sip:a@b SIP/2.0\r\nl: 99999999\r\n\r\n".as_slice(),
            BYE,
        ]
        .concat();
        assert_eq!(frame(&stream).length, Some(BYE.len()));
    }
}
