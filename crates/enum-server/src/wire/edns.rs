//! EDNS(0): the OPT record of a query (RFC 6891, 6.1).
use super::cookie::{OPTION_COOKIE, is_cookie_length};
use super::header::{HEADER, Header};
use super::question::qtype;
use super::{Malformed, name, u16_at};

/// Code and data.
type DnsOption<'a> = (u16, &'a [u8]);

/// What an OPT record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edns<'a> {
    /// Largest answer that the client takes over UDP.
    pub payload: u16,
    /// EDNS version.
    pub version: u8,
    /// DO bit, copied into the answer (RFC 3225, 3).
    pub dnssec_ok: bool,
    /// Data of the first COOKIE option (RFC 7873, 5.2).
    pub cookie: Option<&'a [u8]>,
    options: &'a [u8],
}

/// Goes through the records behind the question and finds the OPT record. More than one, or one that is not in
/// the additional section at the root, breaks the format (RFC 6891, 6.1.1).
pub fn find_edns<'a>(
    packet: &'a [u8],
    header: &Header,
    question_length: usize,
) -> Result<Option<Edns<'a>>, Malformed> {
    let mut at = HEADER + question_length;
    let before = u32::from(header.answers) + u32::from(header.authorities);
    let mut found = None;
    for index in 0..before + u32::from(header.additionals) {
        let start = at;
        at = name::skip_name(packet, at)?;
        let rtype = u16_at(packet, at)?;
        let length = usize::from(u16_at(packet, at + 8)?);
        let data = packet.get(at + 10..at + 10 + length).ok_or(Malformed)?;
        if rtype == qtype::OPT {
            if found.is_some() || index < before || packet[start] != 0 {
                return Err(Malformed);
            }
            let mut edns = Edns {
                payload: u16_at(packet, at + 2)?,
                version: packet[at + 5],
                dnssec_ok: packet[at + 6] & 0x80 != 0,
                cookie: None,
                options: data,
            };
            edns.cookie = edns.check_options()?;
            found = Some(edns);
        }
        at += 10 + length;
    }
    Ok(found)
}

impl<'a> Edns<'a> {
    /// Code and data of each option.
    pub fn options(&self) -> impl Iterator<Item = DnsOption<'a>> + use<'a> {
        let mut rest = self.options;
        std::iter::from_fn(move || {
            let (option, behind) = split_option(rest)?;
            rest = behind;
            Some(option)
        })
    }

    /// Gives the first cookie; one of a length that none has breaks the format (RFC 7873, 5.2.2).
    fn check_options(&self) -> Result<Option<&'a [u8]>, Malformed> {
        let mut rest = self.options;
        let mut cookie = None;
        while !rest.is_empty() {
            let ((code, data), behind) = split_option(rest).ok_or(Malformed)?;
            if code == OPTION_COOKIE && cookie.is_none() {
                cookie = Some(data);
            }
            rest = behind;
        }
        match cookie {
            Some(data) if !is_cookie_length(data.len()) => Err(Malformed),
            cookie => Ok(cookie),
        }
    }
}

/// Code and data of the first option, and what stands behind it.
fn split_option(bytes: &[u8]) -> Option<(DnsOption<'_>, &[u8])> {
    let (&[code_high, code_low, length_high, length_low], rest) = bytes.split_first_chunk()?;
    let (data, rest) =
        rest.split_at_checked(usize::from(u16::from_be_bytes([length_high, length_low])))?;
    Some(((u16::from_be_bytes([code_high, code_low]), data), rest))
}
