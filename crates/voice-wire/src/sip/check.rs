//! What a strict parser would refuse (RFC 3261, 25.1; RFC 4475): for conformance tests, and to tell a device's fault from ours.
//!
//! The probe itself uses whatever [`Message::parse`] can read: a call with a bad Date is still a call.
use thiserror::Error;

use super::address::{Address, list, parameters, quoted_end};
use super::message::{Malformed, Message, StartLine, is_token, trim};
use super::names::Header;
use super::uri::{Scheme, Uri};
use super::values::{CSeq, Via, number};

/// Why a message is not what RFC 3261 allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Fault {
    /// It cannot be read at all.
    #[error("{0}")]
    Malformed(Malformed),
    /// Elements of the first line are not separated by exactly one space.
    #[error("first line: more than one space between or behind its elements")]
    StartLineSpace,
    /// The Request-URI stands in brackets, has header fields, or an IPv6 address without brackets.
    #[error("Request-URI: not a URI that a request may have")]
    RequestUri,
    /// A mandatory header field is missing.
    #[error("{0:?}: missing")]
    Missing(Header),
    /// A header field that may stand once stands twice.
    #[error("{0:?}: more than once")]
    Repeated(Header),
    /// A value does not follow its grammar, or is out of range.
    #[error("{0:?}: not a value it may have")]
    Value(Header),
    /// CSeq names another method than the request line.
    #[error("CSeq: not the method of the request line")]
    Method,
    /// Content-Length is over what the datagram has.
    #[error("Content-Length: more than there is")]
    Length,
    /// The branch has the magic cookie and nothing behind it: no transaction can be told from another.
    #[error("Via: branch without an identifier")]
    Branch,
}

const MANDATORY: [Header; 5] = [
    Header::Via,
    Header::From,
    Header::To,
    Header::CallId,
    Header::CSeq,
];
const SINGLE: [Header; 6] = [
    Header::From,
    Header::To,
    Header::CallId,
    Header::CSeq,
    Header::MaxForwards,
    Header::ContentLength,
];
const ADDRESSES: [Header; 3] = [Header::From, Header::To, Header::Contact];

/// Reads a datagram as strictly as the RFC is written.
pub fn check(octets: &[u8]) -> Result<Message<'_>, Fault> {
    let message = Message::parse(octets).map_err(Fault::Malformed)?;
    check_start(&message)?;
    if let Some(missing) = MANDATORY
        .into_iter()
        .find(|header| message.get(*header).is_none())
    {
        return Err(Fault::Missing(missing));
    }
    if let Some(repeated) = SINGLE
        .into_iter()
        .find(|header| message.all(*header).count() > 1)
    {
        return Err(Fault::Repeated(repeated));
    }
    check_numbers(&message)?;
    for header in ADDRESSES {
        let mut values = message.all(header);
        if !values.all(|value| items(value).is_some_and(|mut items| items.all(is_address))) {
            return Err(Fault::Value(header));
        }
    }
    check_via(&message)?;
    match message.get(Header::Date) {
        Some(date) if !date.ends_with(b"GMT") => Err(Fault::Value(Header::Date)),
        _ => Ok(message),
    }
}

fn check_start(message: &Message<'_>) -> Result<(), Fault> {
    let StartLine::Request { token, uri, .. } = message.start() else {
        return Ok(());
    };
    let rest = message.octets().get(token.len() + 1..).unwrap_or_default();
    let behind = rest
        .strip_prefix(*uri)
        .and_then(|rest| rest.get(b" SIP/2.0".len()..));
    if uri.iter().any(u8::is_ascii_whitespace) || !matches!(behind, Some([b'\r' | b'\n', ..])) {
        return Err(Fault::StartLineSpace);
    }
    let Some(parsed) = Uri::parse(uri) else {
        return Err(Fault::RequestUri);
    };
    let host = uri
        .rsplit(|octet| *octet == b'@')
        .next()
        .unwrap_or_default();
    let is_sip = matches!(parsed.scheme, Scheme::Sip | Scheme::Sips);
    let has_bare_ipv6 = !host.contains(&b'[')
        && parsed.port.is_none()
        && host.iter().filter(|octet| **octet == b':').count() > 2;
    if is_sip && (host.contains(&b'?') || has_bare_ipv6) {
        return Err(Fault::RequestUri);
    }
    Ok(())
}

fn check_numbers(message: &Message<'_>) -> Result<(), Fault> {
    let cseq = message.get(Header::CSeq).and_then(CSeq::parse);
    let cseq = cseq.ok_or(Fault::Value(Header::CSeq))?;
    if matches!(message.start(), StartLine::Request { token, .. } if *token != cseq.token) {
        return Err(Fault::Method);
    }
    let hops = message.get(Header::MaxForwards).map_or(Some(0), number);
    if hops.is_none_or(|hops| hops > 255) {
        return Err(Fault::Value(Header::MaxForwards));
    }
    if message.get(Header::ContentLength).is_some() {
        let length = message
            .content_length()
            .ok_or(Fault::Value(Header::ContentLength))?;
        if length > message.after_head().unwrap_or_default().len() {
            return Err(Fault::Length);
        }
    }
    Ok(())
}

fn check_via(message: &Message<'_>) -> Result<(), Fault> {
    let wrong = Fault::Value(Header::Via);
    for value in message.all(Header::Via) {
        for item in items(value).ok_or(wrong)? {
            let via = Via::parse(item).ok_or(wrong)?;
            if via.sent_by.is_empty()
                || !has_good_parameters(item.get(end_of_first(item)..).unwrap_or_default())
            {
                return Err(wrong);
            }
            if via.branch == b"z9hG4bK" {
                return Err(Fault::Branch);
            }
        }
    }
    Ok(())
}

/// The items of a list, none of which may be empty; `None` when one is.
fn items(value: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let is_open = matches!(value.first(), None | Some(b',')) || value.last() == Some(&b',');
    let count = list(value).count();
    let has_gap = list(value).any(|item| item.first() == Some(&b';'));
    (!is_open && !has_gap && count > 0).then(|| list(value))
}

fn end_of_first(item: &[u8]) -> usize {
    memchr::memchr(b';', item).unwrap_or(item.len())
}

/// Every parameter has a name that is a token.
fn has_good_parameters(text: &[u8]) -> bool {
    parameters(text).all(|(name, _)| !name.is_empty() && name.iter().all(|&octet| is_token(octet)))
}

fn is_address(value: &[u8]) -> bool {
    if value == b"*" {
        return true;
    }
    let Some(address) = Address::parse(value) else {
        return false;
    };
    let (is_bracketed, has_good_name) = match value.first() {
        Some(b'"') => {
            let rest = quoted_end(value).and_then(|end| value.get(end..)).map(trim);
            (true, rest.is_some_and(|rest| rest.starts_with(b"<")))
        }
        _ => match memchr::memchr(b'<', value).and_then(|open| value.get(..open)) {
            Some(name) => (
                true,
                name.iter()
                    .all(|&octet| is_token(octet) || octet.is_ascii_whitespace()),
            ),
            None => (false, true),
        },
    };
    // Without brackets a question mark or a comma cannot be told from what follows (RFC 3261, 20).
    let is_plain = is_bracketed || !address.uri.contains(&b'?');
    let has_space = address.uri.iter().any(u8::is_ascii_whitespace)
        || is_bracketed && has_space_in_brackets(value, &address);
    has_good_name
        && is_plain
        && !has_space
        && address.uri().is_some()
        && has_good_parameters(address.parameters)
}

/// `< sip:a@b >`: spaces that [`Address::parse`] takes off.
fn has_space_in_brackets(value: &[u8], address: &Address<'_>) -> bool {
    let written = [b"<".as_slice(), address.uri, b">"].concat();
    memchr::memmem::find(value, &written).is_none()
}
