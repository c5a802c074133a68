//! SIP, SIPS and TEL URIs (RFC 3261, 19.1; RFC 3966).
use memchr::{memchr, memchr2, memchr3};

/// Kind of URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:`
    Tel,
    /// Any other.
    Other,
}

/// A URI taken apart; parts borrow from the text, percent-escapes are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uri<'a> {
    /// Kind.
    pub scheme: Scheme,
    /// User part without password and without parameters (`;npdi`, `;rn=`, `;phone-context=`); the number of a TEL URI.
    pub user: &'a [u8],
    /// Parameters inside the user part (those of a TEL URI too), from the first semicolon on.
    pub user_parameters: &'a [u8],
    /// Host, brackets of IPv6 taken off.
    pub host: &'a [u8],
    /// Port, when one is given that fits.
    pub port: Option<u16>,
    /// URI parameters from the first semicolon on, without headers.
    pub parameters: &'a [u8],
}

impl<'a> Uri<'a> {
    /// Takes a URI apart. `None` when there is no scheme.
    #[inline]
    pub fn parse(uri: &'a [u8]) -> Option<Self> {
        let colon = memchr(b':', uri)?;
        let (scheme, rest) = (uri.get(..colon)?, uri.get(colon + 1..)?);
        if scheme.is_empty()
            || !scheme
                .iter()
                .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'-' | b'.'))
        {
            return None;
        }
        if scheme.eq_ignore_ascii_case(b"sip") {
            Some(Self::sip(Scheme::Sip, rest))
        } else if scheme.eq_ignore_ascii_case(b"sips") {
            Some(Self::sip(Scheme::Sips, rest))
        } else if scheme.eq_ignore_ascii_case(b"tel") {
            let (user, user_parameters) = cut(rest, memchr(b';', rest));
            Some(Self {
                user,
                user_parameters,
                ..Self::empty(Scheme::Tel)
            })
        } else {
            Some(Self {
                host: rest,
                ..Self::empty(Scheme::Other)
            })
        }
    }

    const fn empty(scheme: Scheme) -> Self {
        Self {
            scheme,
            user: &[],
            user_parameters: &[],
            host: &[],
            port: None,
            parameters: &[],
        }
    }

    #[inline]
    fn sip(scheme: Scheme, rest: &'a [u8]) -> Self {
        // `@` may stand in no part but between user and host (RFC 3261, 25.1: headers escape it).
        let (userinfo, host) = match memchr(b'@', rest) {
            Some(at) => (
                rest.get(..at).unwrap_or_default(),
                rest.get(at + 1..).unwrap_or_default(),
            ),
            None => (&[] as &[u8], rest),
        };
        let (userinfo, _password) = cut(userinfo, memchr(b':', userinfo));
        let (user, user_parameters) = cut(userinfo, memchr(b';', userinfo));
        let (host_port, parameters) = cut(host, memchr2(b';', b'?', host));
        let (parameters, _headers) = cut(parameters, memchr(b'?', parameters));
        let (host, port) = split_port(host_port);
        Self {
            scheme,
            user,
            user_parameters,
            host,
            port,
            parameters,
        }
    }

    /// A parameter of the URI or of its user part; `Some` and empty when it has no value.
    pub fn parameter(&self, name: &[u8]) -> Option<&'a [u8]> {
        super::address::parameter(self.parameters, name)
            .or_else(|| super::address::parameter(self.user_parameters, name))
    }
}

fn split_port(host_port: &[u8]) -> (&[u8], Option<u16>) {
    let port = |rest: &[u8]| {
        let digits = rest.strip_prefix(b":")?;
        super::values::number(digits)?.try_into().ok()
    };
    match host_port {
        [b'[', inner @ ..] => {
            let (host, rest) = cut(inner, memchr(b']', inner));
            (host, rest.get(1..).and_then(port))
        }
        _ => {
            let (host, rest) = cut(host_port, memchr3(b':', b' ', b'\r', host_port));
            (host, port(rest))
        }
    }
}

fn cut(octets: &[u8], at: Option<usize>) -> (&[u8], &[u8]) {
    octets
        .split_at_checked(at.unwrap_or(octets.len()))
        .unwrap_or((octets, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_sip_uri() {
        let uri = Uri::parse(
            b"sips:+1212;npdi;rn=+1303:secret@[2001:db8::1]:5061;transport=tcp;lr?subject=x",
        )
        .unwrap();
        assert_eq!(uri.scheme, Scheme::Sips);
        assert_eq!(uri.user, b"+1212");
        assert_eq!(uri.host, b"2001:db8::1");
        assert_eq!(uri.port, Some(5061));
        assert_eq!(uri.parameter(b"transport"), Some(b"tcp".as_slice()));
        assert_eq!(uri.parameter(b"rn"), Some(b"+1303".as_slice()));
        assert_eq!(uri.parameter(b"subject"), None);
    }

    #[test]
    fn parts_of_a_tel_uri() {
        let uri =
            Uri::parse(b"TEL:7042;phone-context=example.com;verstat=TN-Validation-Passed").unwrap();
        assert_eq!((uri.scheme, uri.user), (Scheme::Tel, b"7042".as_slice()));
        assert_eq!(
            uri.parameter(b"verstat"),
            Some(b"TN-Validation-Passed".as_slice())
        );
    }

    #[test]
    fn a_host_alone_has_no_user() {
        let uri = Uri::parse(b"sip:example.com:5070").unwrap();
        assert_eq!(
            (uri.user, uri.host, uri.port),
            (b"".as_slice(), b"example.com".as_slice(), Some(5070))
        );
        assert_eq!(Uri::parse(b"sip:h:99999").unwrap().port, None);
        assert_eq!(Uri::parse(b"example.com"), None);
    }
}
