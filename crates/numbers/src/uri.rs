//! The user part of the URI that names a caller: sip, sips (RFC 3261, 19.1) and tel (RFC 3966).
//!
//! Tolerant by intent: SBCs send what they have. Bare numbers and words pass through as the user.

/// What a source text says, before the dial plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UriUser<'a> {
    /// User part without password and parameters; may hold percent escapes and visual separators.
    pub user: &'a [u8],
    /// Value of `phone-context` when it is a global prefix: the digits to put before a local number.
    pub context: Option<&'a [u8]>,
    /// Host part without port, empty for tel and bare text.
    pub host: &'a [u8],
    /// Parameters of the user part, without the first `;`.
    parameters: &'a [u8],
}

/// What says which trunk a call came by and how it is routed: trunk group and its context (RFC 4904), routing number and carrier
/// (RFC 4694). In a sip URI they stand in the user part, before `@`.
pub const ROUTING_PARAMETERS: [&str; 4] = ["tgrp", "trunk-context", "rn", "cic"];

impl<'a> UriUser<'a> {
    /// Value of a parameter of the user part, percent escapes as they stand; empty if it has none. The first counts.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&'a [u8]> {
        self.parameters.split(|&c| c == b';').find_map(|parameter| {
            let rest = without_scheme(parameter, name.as_bytes())?;
            match rest {
                [] => Some(rest),
                [b'=', value @ ..] => Some(value),
                _ => None,
            }
        })
    }
}

/// The octets of a source text that are kept where there is room for `out.len()`: all of it, or when it is longer a shorter URI
/// of its scheme, user, routing parameters and host, parameters whole or not at all and what is last cut.
#[must_use]
pub fn shortened<'o>(text: &'o [u8], out: &'o mut [u8]) -> &'o [u8] {
    if text.len() <= out.len() {
        return text;
    }
    let found = uri_user(text);
    let inside = inside_angle_brackets(text).trim_ascii();
    let scheme = [&b"tel:"[..], b"sips:", b"sip:"]
        .into_iter()
        .find(|scheme| without_scheme(inside, scheme).is_some())
        .unwrap_or(b"");
    let mut length = 0;
    append(out, &mut length, &[scheme]);
    let user = &found.user[..found.user.len().min(USER_KEPT)];
    append(out, &mut length, &[user]);
    for name in ROUTING_PARAMETERS {
        let Some(value) = found.parameter(name) else {
            continue;
        };
        let parts = [b";", name.as_bytes(), b"=", value];
        if out.len() - length >= parts.iter().map(|part| part.len()).sum() {
            append(out, &mut length, &parts);
        }
    }
    if !found.host.is_empty() {
        append(out, &mut length, &[b"@", found.host]);
    }
    &out[..length]
}

/// Most octets of a user part that a shortened URI has.
const USER_KEPT: usize = 64;

/// Puts parts behind `length`, cut where `out` ends.
fn append(out: &mut [u8], length: &mut usize, parts: &[&[u8]]) {
    for part in parts {
        let room = &mut out[*length..];
        let count = part.len().min(room.len());
        room[..count].copy_from_slice(&part[..count]);
        *length += count;
    }
}

/// Text with its percent escapes taken out (RFC 3986, 2.1); what is no escape stays.
#[must_use]
pub fn without_escapes(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        let escaped = match (first, behind) {
            (b'%', [high, low, after @ ..]) => hexadecimal(*high)
                .zip(hexadecimal(*low))
                .map(|(high, low)| (high << 4 | low, after)),
            _ => None,
        };
        let (octet, after) = escaped.unwrap_or((*first, behind));
        plain.push(octet);
        rest = after;
    }
    plain
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// Takes a source text apart. Never fails: what is no URI is all user.
#[must_use]
pub fn uri_user(text: &[u8]) -> UriUser<'_> {
    let text = inside_angle_brackets(text).trim_ascii();
    if let Some(rest) = without_scheme(text, b"tel:") {
        return with_parameters(rest, &[]);
    }
    let (rest, is_sip) =
        match without_scheme(text, b"sip:").or_else(|| without_scheme(text, b"sips:")) {
            Some(rest) => (rest, true),
            None => (text, false),
        };
    match rest.iter().rposition(|&c| c == b'@') {
        Some(at) => {
            let host = until(&rest[at + 1..], b";:?>");
            with_parameters(until(&rest[..at], b":"), host)
        }
        // `sip:host` has no user; `sip:+1210…` is a number all the same.
        None if is_sip && rest.first() != Some(&b'+') => with_parameters(&[], until(rest, b";:?>")),
        None => with_parameters(rest, &[]),
    }
}

fn with_parameters<'a>(user: &'a [u8], host: &'a [u8]) -> UriUser<'a> {
    let end = user.iter().position(|&c| c == b';');
    let (user, parameters) = match end {
        Some(end) => (&user[..end], &user[end + 1..]),
        None => (user, &user[user.len()..]),
    };
    let mut found = UriUser {
        user,
        context: None,
        host,
        parameters,
    };
    found.context = found
        .parameter("phone-context")
        .and_then(|value| value.strip_prefix(b"+"));
    found
}

fn inside_angle_brackets(text: &[u8]) -> &[u8] {
    match text.iter().position(|&c| c == b'<') {
        Some(open) => until(&text[open + 1..], b">"),
        None => text,
    }
}

fn until<'a>(text: &'a [u8], stops: &[u8]) -> &'a [u8] {
    let end = text
        .iter()
        .position(|c| stops.contains(c))
        .unwrap_or(text.len());
    &text[..end]
}

fn without_scheme<'a>(text: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = text.split_at_checked(scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_user() {
        for (text, user, host) in [
            (
                "sip:+17818675309@ssp.example.com;user=phone",
                "+17818675309",
                "ssp.example.com",
            ),
            (
                "sip:+17818675309;tgrp=tg1;trunk-context=ssp.example.com@orig.example.com",
                "+17818675309",
                "orig.example.com",
            ),
            ("SIPS:+1781:secret@host:5061?Subject=x", "+1781", "host"),
            ("tel:+1-781-867-5309;tgrp=tg1-pri", "+1-781-867-5309", ""),
            ("\"Ann\" <sip:1001@pbx>;tag=1", "1001", "pbx"),
            ("sip:pbx.example", "", "pbx.example"),
            ("sip:+12105550123", "+12105550123", ""),
            ("2105550123", "2105550123", ""),
            ("", "", ""),
        ] {
            let found = uri_user(text.as_bytes());
            assert_eq!(
                (found.user, found.host),
                (user.as_bytes(), host.as_bytes()),
                "{text}"
            );
        }
    }

    #[test]
    fn finds_what_says_which_trunk_a_call_came_by() {
        for (text, expected) in [
            (
                "sip:+17818675309;tgrp=tg1-pri;trunk-context=ssp.example.com@orig.example.com;user=phone",
                [Some("tg1-pri"), Some("ssp.example.com"), None, None],
            ),
            (
                "tel:+17818675309;RN=+12105550000;cic=+1-6789;npdi",
                [None, None, Some("+12105550000"), Some("+1-6789")],
            ),
            (
                "sip:1001;tgrp;tgrp=2;tgrpx=3@pbx;rn=4",
                [Some(""), None, None, None],
            ),
            ("+12105550123", [None; 4]),
            ("sip:pbx;tgrp=1", [None; 4]),
        ] {
            let found = uri_user(text.as_bytes());
            let values = ROUTING_PARAMETERS.map(|name| found.parameter(name));
            assert_eq!(
                values,
                expected.map(|value| value.map(str::as_bytes)),
                "{text}"
            );
        }
        assert_eq!(without_escapes(b"tg%201%2f%zz%2"), b"tg 1/%zz%2");
    }

    #[test]
    fn a_long_source_is_shortened_to_what_says_who_calls_and_by_which_trunk() {
        let filler = format!("x={}", "f".repeat(300));
        for (text, expected) in [
            (
                format!(
                    "sip:+17818675309;{filler};tgrp=tg%201;trunk-context=ssp.example.com;CIC=+16789@orig.example.com;user=phone"
                ),
                "sip:+17818675309;tgrp=tg%201;trunk-context=ssp.example.com;cic=+16789@orig.example.com",
            ),
            (
                format!("\"{filler}\" <tel:+17818675309;tgrp=tg1>"),
                "tel:+17818675309;tgrp=tg1",
            ),
            (
                format!("sip:1001;tgrp={filler};rn=+1210@h"),
                "sip:1001;rn=+1210@h",
            ),
            (
                format!("sip:{}@h", "u".repeat(300)),
                &*format!("sip:{}@h", "u".repeat(64)),
            ),
            ("+12105550123".to_owned(), "+12105550123"),
        ] {
            let mut out = [0; 200];
            let kept = shortened(text.as_bytes(), &mut out);
            assert_eq!(String::from_utf8_lossy(kept), expected, "{text}");
            let (before, after) = (uri_user(text.as_bytes()), uri_user(kept));
            assert_eq!(before.parameter("rn"), after.parameter("rn"));
        }
        let host = format!("sip:1@{}", "h".repeat(300));
        assert_eq!(shortened(host.as_bytes(), &mut [0; 255]).len(), 255);
        assert_eq!(shortened(b"sip:1@h", &mut [0; 3]), b"sip");
    }

    #[test]
    fn knows_a_global_phone_context() {
        assert_eq!(
            uri_user(b"tel:5550123;phone-context=+1210").context,
            Some(&b"1210"[..])
        );
        assert_eq!(
            uri_user(b"tel:5550123;phone-context=pbx.example").context,
            None
        );
    }
}
