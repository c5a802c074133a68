//! One SIP message (RFC 3261, 7): start line, table of header fields, body.
//!
//! One pass over the lines notes where the values of known header fields stand; nothing is copied and no value is
//! read before somebody asks for it. The parser takes what can be used: [`check`](super::check) says what a strict one would refuse.
use memchr::memchr;
use thiserror::Error;

use super::names::{Header, Method, known_header};

/// Longest header section, octets: offsets are kept in 16 bits. Longer ones are not seen in practice (RFC 3261 has no limit).
pub const HEAD_MAX: usize = u16::MAX as usize;

/// Why octets are no SIP message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum Malformed {
    /// Nothing, or only line ends: a keep-alive (RFC 5626, 3.5.1).
    #[error("nothing but line ends")]
    Empty,
    /// The first line is neither request line nor status line.
    #[error("first line: neither request nor response")]
    StartLine,
    /// It is, but of another version.
    #[error("first line: SIP version is not 2.0")]
    Version,
    /// The status code is not three digits between 100 and 699.
    #[error("first line: status code is not 100 to 699")]
    Status,
    /// The header section is over [`HEAD_MAX`].
    #[error("header section: longer than 65535 octets")]
    TooLong,
}

/// First line of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartLine<'a> {
    /// `METHOD uri SIP/2.0`
    Request {
        /// Known method.
        method: Method,
        /// As written.
        token: &'a [u8],
        /// Request-URI, not looked into.
        uri: &'a [u8],
    },
    /// `SIP/2.0 code reason`
    Response {
        /// 100 to 699.
        status: u16,
        /// Reason phrase, may be empty.
        phrase: &'a [u8],
    },
}

/// Offsets of a value in the message; a start of 0 is none.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    start: u16,
    end: u16,
}

/// A message whose header fields have been found.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    octets: &'a [u8],
    start: StartLine<'a>,
    first: [Span; Header::COUNT],
    head: usize,
    body: Option<usize>,
}

impl<'a> Message<'a> {
    /// Finds first line, header fields and body. Line ends may be CRLF or LF; leading ones are skipped.
    #[inline]
    pub fn parse(octets: &'a [u8]) -> Result<Self, Malformed> {
        let octets = skip_line_ends(octets);
        if octets.is_empty() {
            return Err(Malformed::Empty);
        }
        let line_end = memchr(b'\n', octets).unwrap_or(octets.len());
        let start = start_line(trim_end(octets.get(..line_end).unwrap_or_default()))?;
        let mut message = Self {
            octets,
            start,
            first: [Span::default(); Header::COUNT],
            head: line_end + 1,
            body: None,
        };
        message.find_fields()?;
        Ok(message)
    }

    #[inline]
    fn find_fields(&mut self) -> Result<(), Malformed> {
        let octets = self.octets;
        let mut at = self.head;
        while let Some(rest) = octets.get(at..).filter(|rest| !rest.is_empty()) {
            if let Some(length) = blank_line(rest) {
                self.body = Some(at + length);
                break;
            }
            let end = at + field_length(rest);
            let (Ok(_), Ok(stop)) = (u16::try_from(at), u16::try_from(end)) else {
                return Err(Malformed::TooLong);
            };
            if let Some((header, value)) = known_header(rest)
                && let Some(place) = self.first.get_mut(header.index())
                && place.start == 0
                && at + value <= end
            {
                let start = (at + value) as u16; // not above `end`, which fits
                *place = Span { start, end: stop };
            }
            at = end;
        }
        Ok(())
    }

    /// The first line.
    pub const fn start(&self) -> &StartLine<'a> {
        &self.start
    }

    /// The whole message, leading line ends skipped.
    pub const fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// First value of a header field, white space around it taken off; a folded one still has its line ends inside.
    #[inline]
    pub fn get(&self, header: Header) -> Option<&'a [u8]> {
        let span = self.first.get(header.index())?;
        if span.start == 0 {
            return None;
        }
        self.octets
            .get(usize::from(span.start)..usize::from(span.end))
            .map(trim)
    }

    /// All header fields of a name in their order.
    pub fn all(&self, header: Header) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let start = self.first.get(header.index()).map_or(0, |span| span.start);
        // Walk from the first one on: what stands before it is known to be something else.
        let line = self.octets.get(..usize::from(start)).map_or(0, line_start);
        let fields = (start != 0).then(|| Fields::new(self.octets, line));
        fields
            .into_iter()
            .flatten()
            .filter_map(move |field| {
                known_header(field)
                    .filter(|(found, _)| *found == header)
                    .map(|(_, at)| (field, at))
            })
            .filter_map(|(field, at)| field.get(at..).map(trim))
    }

    /// Every header field as (name, value), unknown ones too; fields without a colon have an empty value.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        Fields::new(self.octets, self.head).map(|field| match memchr(b':', field) {
            Some(colon) => (
                trim(field.get(..colon).unwrap_or_default()),
                trim(field.get(colon + 1..).unwrap_or_default()),
            ),
            None => (trim(field), &[] as &[u8]),
        })
    }

    /// What stands behind the blank line, not cut to Content-Length; `None` when there was no blank line.
    pub fn after_head(&self) -> Option<&'a [u8]> {
        self.octets.get(self.body?..)
    }

    /// The body: what stands behind the blank line, at most Content-Length octets of it.
    pub fn body(&self) -> &'a [u8] {
        let body = self.after_head().unwrap_or_default();
        match self.content_length() {
            Some(length) if length < body.len() => body.get(..length).unwrap_or_default(),
            _ => body,
        }
    }

    /// Content-Length, when it is a number.
    pub fn content_length(&self) -> Option<usize> {
        super::values::number(self.get(Header::ContentLength)?)?
            .try_into()
            .ok()
    }
}

/// Walks header fields, folded lines joined to the one they continue, up to the blank line.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn new(octets: &'a [u8], at: usize) -> Self {
        let rest = octets.get(at..).unwrap_or_default();
        Self { rest }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() || blank_line(self.rest).is_some() {
            return None;
        }
        let (field, rest) = self.rest.split_at_checked(field_length(self.rest))?;
        self.rest = rest;
        Some(field)
    }
}

/// Length of a header field with its continuation lines and line ends.
#[inline]
fn field_length(rest: &[u8]) -> usize {
    let mut end = 0;
    loop {
        match memchr(b'\n', rest.get(end..).unwrap_or_default()) {
            None => return rest.len(),
            Some(line) => end += line + 1,
        }
        if !matches!(rest.get(end), Some(b' ' | b'\t')) {
            return end;
        }
    }
}

#[inline]
fn blank_line(rest: &[u8]) -> Option<usize> {
    match rest {
        [b'\n', ..] => Some(1),
        [b'\r', b'\n', ..] => Some(2),
        _ => None,
    }
}

fn line_start(before: &[u8]) -> usize {
    // `before` ends behind the colon of a header field; its name may not hold a line end, the colon may be preceded by white space only.
    memchr::memrchr(b'\n', before).map_or(0, |end| end + 1)
}

fn skip_line_ends(octets: &[u8]) -> &[u8] {
    let start = octets
        .iter()
        .position(|octet| !matches!(octet, b'\r' | b'\n'))
        .unwrap_or(octets.len());
    octets.get(start..).unwrap_or_default()
}

/// Takes white space off both ends, line ends of folded fields too.
#[inline]
pub(super) fn trim(value: &[u8]) -> &[u8] {
    let mut value = value;
    while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] = value {
        value = rest;
    }
    trim_end(value)
}

#[inline]
fn trim_end(value: &[u8]) -> &[u8] {
    let mut value = value;
    while let [rest @ .., b' ' | b'\t' | b'\r' | b'\n'] = value {
        value = rest;
    }
    value
}

const VERSION: &[u8; 7] = b"SIP/2.0";

#[inline]
fn start_line(line: &[u8]) -> Result<StartLine<'_>, Malformed> {
    if let Some((version, rest)) = line.split_at_checked(VERSION.len())
        && version.eq_ignore_ascii_case(VERSION)
    {
        return status_line(rest);
    }
    let (Some(first), Some(last)) = (memchr(b' ', line), memchr::memrchr(b' ', line)) else {
        return Err(Malformed::StartLine);
    };
    let token = line.get(..first).unwrap_or_default();
    let version = line.get(last + 1..).unwrap_or_default();
    if token.is_empty() || !token.iter().all(|&octet| is_token(octet)) {
        return Err(Malformed::StartLine);
    }
    if !version.eq_ignore_ascii_case(VERSION) {
        let is_sip = version
            .get(..4)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/"));
        return Err(if is_sip && first < last {
            Malformed::Version
        } else {
            Malformed::StartLine
        });
    }
    let uri = line.get(first + 1..last).map(trim).unwrap_or_default();
    if uri.is_empty() {
        return Err(Malformed::StartLine);
    }
    let method = Method::of_token(token);
    Ok(StartLine::Request { method, token, uri })
}

#[inline]
fn status_line(rest: &[u8]) -> Result<StartLine<'_>, Malformed> {
    let [
        b' ',
        a @ b'1'..=b'6',
        b @ b'0'..=b'9',
        c @ b'0'..=b'9',
        phrase @ ..,
    ] = rest
    else {
        let is_other = !matches!(rest.first(), Some(b' '));
        return Err(if is_other {
            Malformed::StartLine
        } else {
            Malformed::Status
        });
    };
    let ([] | [b' ', ..]) = phrase else {
        return Err(Malformed::Status);
    };
    let digit = |octet: &u8| u16::from(octet - b'0');
    let status = digit(a) * 100 + digit(b) * 10 + digit(c);
    Ok(StartLine::Response {
        status,
        phrase: trim(phrase),
    })
}

/// Characters of a token (RFC 3261, 25.1).
pub(super) const fn is_token(octet: u8) -> bool {
    octet.is_ascii_alphanumeric()
        || matches!(
            octet,
            b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~'
        )
}
