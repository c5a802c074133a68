//! Values of single header fields.
use memchr::memchr;

use super::address::{list, parameter, parameters};
use super::message::trim;
use super::names::Method;

/// A whole number in decimal digits, nothing else.
#[inline]
pub fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    digits.iter().try_fold(0u64, |value, octet| {
        octet
            .is_ascii_digit()
            .then(|| value * 10 + u64::from(octet - b'0'))
    })
}

/// CSeq (RFC 3261, 20.16).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// Below 2^31.
    pub number: u32,
    /// Known method.
    pub method: Method,
    /// As written.
    pub token: &'a [u8],
}

impl<'a> CSeq<'a> {
    /// Reads `number method`.
    #[inline]
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let end = value.iter().position(|octet| !octet.is_ascii_digit())?;
        let number = u32::try_from(number(value.get(..end)?)?).ok()?;
        let rest = value.get(end..)?;
        let token = trim(rest);
        (token.len() < rest.len() && !token.is_empty() && number < 1 << 31).then(|| Self {
            number,
            method: Method::of_token(token),
            token,
        })
    }
}

/// Via (RFC 3261, 20.42), topmost value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Via<'a> {
    /// `UDP`, `TCP`, …
    pub transport: &'a [u8],
    /// Host and port as written.
    pub sent_by: &'a [u8],
    /// Empty when there is none (RFC 2543).
    pub branch: &'a [u8],
}

impl<'a> Via<'a> {
    /// Reads `SIP / 2.0 / transport host:port ;parameters`.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let value = list(value).next()?;
        let rest = slash(value)?;
        let rest = slash(rest)?;
        let start = trim(rest);
        let end = start.iter().position(|octet| octet.is_ascii_whitespace())?;
        let (transport, rest) = start.split_at_checked(end)?;
        let rest = trim(rest);
        let semicolon = memchr(b';', rest).unwrap_or(rest.len());
        let (sent_by, parameters) = rest.split_at_checked(semicolon)?;
        Some(Self {
            transport,
            sent_by: trim(sent_by),
            branch: parameter(parameters, b"branch").unwrap_or_default(),
        })
    }
}

fn slash(value: &[u8]) -> Option<&[u8]> {
    value.get(memchr(b'/', value)? + 1..)
}

/// One value of Reason (RFC 3326).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reason<'a> {
    /// `Q.850`, `SIP`, …
    pub protocol: &'a [u8],
    /// Cause, when one is given.
    pub cause: Option<u16>,
    /// Text without its quotes.
    pub text: &'a [u8],
}

impl<'a> Reason<'a> {
    /// All reasons of a header field.
    pub fn list(value: &'a [u8]) -> impl Iterator<Item = Self> {
        list(value).map(|item| {
            let end = memchr(b';', item).unwrap_or(item.len());
            let (protocol, parameters) = item.split_at_checked(end).unwrap_or((item, &[]));
            Self {
                protocol: trim(protocol),
                cause: parameter(parameters, b"cause")
                    .and_then(number)
                    .and_then(|cause| cause.try_into().ok()),
                text: parameter(parameters, b"text").unwrap_or_default(),
            }
        })
    }

    /// Whether the cause is one of Q.850, under any of the names in use.
    pub fn is_q850(&self) -> bool {
        self.protocol.eq_ignore_ascii_case(b"q.850") || self.protocol.eq_ignore_ascii_case(b"q850")
    }
}

/// The caller's half of a Session-ID (RFC 7989): 32 hexadecimal digits that are not all zero.
pub fn session_id(value: &[u8]) -> Option<&[u8]> {
    let end = memchr(b';', value).unwrap_or(value.len());
    let uuid = trim(value.get(..end)?);
    let is_one = uuid.len() == 32
        && uuid.iter().all(u8::is_ascii_hexdigit)
        && uuid.iter().any(|octet| *octet != b'0');
    is_one.then_some(uuid)
}

/// `icid-value` of P-Charging-Vector (RFC 7315, 5.6).
pub fn charging_id(value: &[u8]) -> Option<&[u8]> {
    // The first parameter has no semicolon before it.
    let (name, rest) = value.split_at_checked(memchr(b'=', value)?)?;
    if trim(name).eq_ignore_ascii_case(b"icid-value") {
        let rest = rest.get(1..)?;
        let end = memchr(b';', rest).unwrap_or(rest.len());
        let id = trim(rest.get(..end)?);
        return Some(
            id.strip_prefix(b"\"")
                .and_then(|id| id.strip_suffix(b"\""))
                .unwrap_or(id),
        );
    }
    parameters(value)
        .find(|(name, _)| name.eq_ignore_ascii_case(b"icid-value"))
        .map(|(_, id)| id)
}

/// Seconds of Session-Expires (RFC 4028).
pub fn session_expires(value: &[u8]) -> Option<u32> {
    let end = memchr(b';', value).unwrap_or(value.len());
    number(trim(value.get(..end)?))?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cseq_is_number_and_method() {
        let cseq = CSeq::parse(b"0009\r\n  INVITE").unwrap();
        assert_eq!((cseq.number, cseq.method), (9, Method::Invite));
        for wrong in [
            b"INVITE".as_slice(),
            b"-1 INVITE",
            b"1INVITE",
            b"36893488147419103232 REGISTER",
            b"2147483648 X",
            b"1",
            b"1 ",
        ] {
            assert_eq!(CSeq::parse(wrong), None, "{}", wrong.escape_ascii());
        }
    }

    #[test]
    fn via_may_hold_white_space() {
        let via =
            Via::parse(b"SIP  / 2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw, SIP/2.0/TCP x")
                .unwrap();
        assert_eq!(via.transport, b"UDP");
        assert_eq!(via.sent_by, b"192.0.2.2");
        assert_eq!(via.branch, b"390skdjuw");
    }

    #[test]
    fn reasons_of_both_kinds() {
        let reasons: Vec<_> = Reason::list(
            b"SIP;cause=200;text=\"Call completed, elsewhere\", Q.850 ;cause=17 ;text=\"busy\"",
        )
        .collect();
        assert_eq!(reasons.len(), 2);
        assert_eq!((reasons[0].cause, reasons[0].is_q850()), (Some(200), false));
        assert_eq!((reasons[1].cause, reasons[1].is_q850()), (Some(17), true));
    }

    #[test]
    fn ids_of_sessions_and_charging() {
        let id = b"ab30317f1a784dc48ff824d0d3715d86";
        assert_eq!(
            session_id(b"ab30317f1a784dc48ff824d0d3715d86;remote=0"),
            Some(id.as_slice())
        );
        assert_eq!(session_id(&[b'0'; 32]), None);
        assert_eq!(
            charging_id(b"icid-value=\"1234bc9\";icid-generated-at=x"),
            Some(b"1234bc9".as_slice())
        );
        assert_eq!(
            charging_id(b"orig-ioi=a;icid-value=77"),
            Some(b"77".as_slice())
        );
        assert_eq!(session_expires(b"1800;refresher=uac"), Some(1800));
    }
}
