//! Finds the session description in a body: alone, or as a part of a multipart (RFC 2046, 5.1; RFC 5621).
use memchr::{memchr, memmem};

use crate::sip::parameter;

/// The SDP of a body with this Content-Type; `None` when it has none.
#[inline]
pub fn find<'a>(content_type: &[u8], body: &'a [u8]) -> Option<&'a [u8]> {
    if starts_with(content_type, b"application/sdp") {
        return Some(body);
    }
    if !starts_with(content_type, b"multipart/") {
        return None;
    }
    let parameters = content_type.get(memchr(b';', content_type)?..)?;
    let boundary = parameter(parameters, b"boundary").filter(|boundary| !boundary.is_empty())?;
    Parts {
        rest: body,
        boundary,
    }
    .find_map(sdp_part)
}

fn starts_with(text: &[u8], start: &[u8]) -> bool {
    text.get(..start.len())
        .is_some_and(|found| found.eq_ignore_ascii_case(start))
}

/// The content of a part whose own header fields say that it is SDP.
fn sdp_part(part: &[u8]) -> Option<&[u8]> {
    let mut rest = part;
    let mut is_sdp = false;
    while !rest.is_empty() {
        let (line, tail) = super::split_line(rest);
        rest = tail;
        if line.is_empty() {
            return is_sdp.then_some(rest);
        }
        if let Some(colon) = memchr(b':', line) {
            let (name, value) = line.split_at_checked(colon)?;
            is_sdp |= name.trim_ascii().eq_ignore_ascii_case(b"content-type")
                && starts_with(value.get(1..)?.trim_ascii(), b"application/sdp");
        }
    }
    None
}

/// What stands between the boundaries.
struct Parts<'a, 'b> {
    rest: &'a [u8],
    boundary: &'b [u8],
}

impl<'a> Iterator for Parts<'a, '_> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.delimiter(self.rest)? + 2 + self.boundary.len();
        let part = self.rest.get(start..)?;
        let (_padding, part) = super::split_line(part);
        let end = self.delimiter(part)?;
        self.rest = part.get(end..)?;
        part.get(..end)
    }
}

impl Parts<'_, '_> {
    /// Offset of the next `--boundary`.
    fn delimiter(&self, octets: &[u8]) -> Option<usize> {
        memmem::find_iter(octets, b"--").find(|&at| {
            octets
                .get(at + 2..)
                .is_some_and(|rest| rest.starts_with(self.boundary))
        })
    }
}
