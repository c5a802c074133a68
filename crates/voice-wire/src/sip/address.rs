//! Addresses of header fields (`From`, `To`, `Contact`, PAI, …; RFC 3261, 20.10 and 25.1) and the lists they stand in.
use memchr::memchr;

use super::message::trim;
use super::uri::Uri;

/// `"display name" <uri>;parameters` or `uri;parameters`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address<'a> {
    /// Display name without its quotes, escapes kept; empty when there is none.
    pub name: &'a [u8],
    /// The URI as written, without brackets.
    pub uri: &'a [u8],
    /// Parameters of the header field, from the first semicolon on.
    pub parameters: &'a [u8],
}

impl<'a> Address<'a> {
    /// Reads the first address of a value; more may follow behind a comma (see [`list`]).
    #[inline]
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let value = trim(value);
        // A quoted display name may hold brackets, commas and semicolons: it is stepped over before anything is looked for.
        let (quoted, rest) = match value.first()? {
            b'"' => {
                let end = quoted_end(value)?;
                (value.get(1..end - 1)?, value.get(end..)?)
            }
            _ => (&[] as &[u8], value),
        };
        let Some(open) = memchr(b'<', rest) else {
            return (rest.len() == value.len()).then(|| Self::bare(value));
        };
        let name = if rest.len() == value.len() {
            trim(rest.get(..open)?)
        } else {
            quoted
        };
        let inside = rest.get(open + 1..)?;
        let close = memchr(b'>', inside)?;
        Some(Self {
            name,
            uri: trim(inside.get(..close)?),
            parameters: trim(inside.get(close + 1..)?),
        })
    }

    /// Without brackets what follows the first semicolon belongs to the header field, not to the URI (RFC 3261, 20).
    fn bare(value: &'a [u8]) -> Self {
        let end = memchr::memchr2(b';', b',', value).unwrap_or(value.len());
        let (uri, parameters) = value.split_at_checked(end).unwrap_or((value, &[]));
        Self {
            name: &[],
            uri: trim(uri),
            parameters,
        }
    }

    /// The value of a parameter; `Some` and empty when it has none.
    #[inline]
    pub fn parameter(&self, name: &[u8]) -> Option<&'a [u8]> {
        parameter(self.parameters, name)
    }

    /// The tag of From and To; empty when there is none.
    #[inline]
    pub fn tag(&self) -> &'a [u8] {
        // Almost always the first and only parameter.
        if let Some(tag) = self.parameters.strip_prefix(b";tag=")
            && !tag
                .iter()
                .any(|octet| matches!(octet, b';' | b',' | b' ' | b'\t' | b'"' | b'\r'))
        {
            return tag;
        }
        self.parameter(b"tag").unwrap_or_default()
    }

    /// The parsed URI.
    #[inline]
    pub fn uri(&self) -> Option<Uri<'a>> {
        Uri::parse(self.uri)
    }
}

/// The value of a parameter in `;name=value;name`; names of any case, quotes taken off, white space allowed around `;` and `=`.
pub fn parameter<'a>(parameters: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    self::parameters(parameters)
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// All parameters as (name, value), up to a comma outside quotes.
pub fn parameters(parameters: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = parameters;
    core::iter::from_fn(move || {
        let start = rest.iter().position(|octet| *octet == b';')?;
        if rest.get(..start)?.contains(&b',') {
            return None;
        }
        let item = rest.get(start + 1..)?;
        let end = item_end(item, |octet| matches!(octet, b';' | b','));
        rest = item.get(end..)?;
        let item = item.get(..end)?;
        let (name, value) = match memchr(b'=', item) {
            Some(equals) => (item.get(..equals)?, item.get(equals + 1..)?),
            None => (item, &[] as &[u8]),
        };
        Some((trim(name), unquote(trim(value))))
    })
}

/// The values of a comma-separated header field; commas in quotes and brackets do not count.
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    core::iter::from_fn(move || {
        let value = rest?;
        let end = list_item_end(value);
        rest = value.get(end + 1..);
        Some(trim(value.get(..end)?))
    })
    .filter(|item| !item.is_empty())
}

fn list_item_end(value: &[u8]) -> usize {
    let mut at = 0;
    let mut is_bracketed = false;
    while let Some(octet) = value.get(at) {
        match octet {
            b'"' if !is_bracketed => {
                at += quoted_end(value.get(at..).unwrap_or_default()).unwrap_or(1);
                continue;
            }
            b'<' => is_bracketed = true,
            b'>' => is_bracketed = false,
            b',' if !is_bracketed => return at,
            _ => {}
        }
        at += 1;
    }
    value.len()
}

fn item_end(item: &[u8], is_end: impl Fn(u8) -> bool) -> usize {
    let mut at = 0;
    while let Some(&octet) = item.get(at) {
        if octet == b'"' {
            at += quoted_end(item.get(at..).unwrap_or_default()).unwrap_or(1);
            continue;
        }
        if is_end(octet) {
            return at;
        }
        at += 1;
    }
    item.len()
}

/// Length of the quoted string at the start, both quotes included; `None` when it does not end.
pub(super) fn quoted_end(value: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', value.get(at..)?)?;
        if value.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        at += 2;
    }
}

fn unquote(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_name_full_of_traps_is_only_a_name() {
        let value = br#""Evil <sip:fake@bad> \"q\" , ;tag=zz" <sip:+34600@x>;tag=f1"#;
        let address = Address::parse(value).unwrap();
        assert_eq!(address.uri, b"sip:+34600@x");
        assert_eq!(address.tag(), b"f1");
        assert_eq!(address.name, br#"Evil <sip:fake@bad> \"q\" , ;tag=zz"#);
    }

    #[test]
    fn a_bare_uri_leaves_its_parameters_to_the_header_field() {
        let address = Address::parse(b"sip:a@b;tag=1;x").unwrap();
        assert_eq!(
            (address.uri, address.tag()),
            (b"sip:a@b".as_slice(), b"1".as_slice())
        );
    }

    #[test]
    fn parameters_may_stand_in_white_space_quotes_and_any_case() {
        let address =
            Address::parse(b"Bob <sip:b@c> ; x=\"a;tag=no\" ;\r\n TAG = 77 , <sip:d@e>;y").unwrap();
        assert_eq!(address.tag(), b"77");
        assert_eq!(address.parameter(b"x"), Some(b"a;tag=no".as_slice()));
        assert_eq!(address.parameter(b"y"), None);
    }

    #[test]
    fn an_unterminated_quote_or_bracket_is_no_address() {
        for value in [
            b"\"Alice <sip:a@b>".as_slice(),
            b"<sip:a@b",
            b"\"x\" sip:a@b",
            b"",
        ] {
            assert_eq!(Address::parse(value), None, "{}", value.escape_ascii());
        }
    }

    #[test]
    fn lists_are_cut_at_commas_that_count() {
        let items: Vec<_> = list(br#""a, b" <sip:x,y@z>;p="1,2", tel:+1 ,, <sip:q@r>"#).collect();
        assert_eq!(
            items,
            [
                br#""a, b" <sip:x,y@z>;p="1,2""#.as_slice(),
                b"tel:+1",
                b"<sip:q@r>"
            ]
        );
    }
}
