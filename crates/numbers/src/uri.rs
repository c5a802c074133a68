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
    let mut parts = user.split(|&c| c == b';');
    let user = parts.next().unwrap_or_default();
    let context = parts.find_map(|parameter| without_scheme(parameter, b"phone-context="));
    UriUser {
        user,
        context: context.and_then(|value| value.strip_prefix(b"+")),
        host,
    }
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
