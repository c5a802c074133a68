//! The caller's URI in an EDNS0 option, in both layouts that are in use.
//!
//! ```text
//! bare (draft-kaplan-dnsext-enum-sip-source-ref-opt-code-03)    URI, UTF-8, no end mark
//! versioned (draft-kaplan-enum-source-uri-00)                   VERSION u16 = 0, URI, NUL
//! ```
//! Code 4 is also that of draft-cheshire-edns0-owner-option, so only what starts like a URI, or like a number
//! with `+`, is taken for one.

/// How the caller's number came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SourceOrigin {
    /// It did not.
    None = 0,
    /// Bare URI.
    EdnsBare = 1,
    /// With VERSION and NUL.
    EdnsVersioned = 2,
    /// In the query name.
    QueryName = 3,
}

const SCHEMES: [&[u8]; 3] = [b"sip:", b"sips:", b"tel:"];

/// The URI in an option's data; `None` if it is something else.
#[must_use]
pub fn source_uri(data: &[u8]) -> Option<(&[u8], SourceOrigin)> {
    let (uri, origin) = match data.strip_prefix(&[0, 0]) {
        Some(rest) => (rest, SourceOrigin::EdnsVersioned),
        None => (data, SourceOrigin::EdnsBare),
    };
    let uri = uri.strip_suffix(&[0]).unwrap_or(uri);
    // Not a URI, but nothing else either: what an SBC sends that puts the bare number in.
    let is_number = matches!(uri, [b'+', b'0'..=b'9', ..]);
    let starts_with = |scheme: &&[u8]| {
        uri.get(..scheme.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(scheme))
    };
    (is_number || SCHEMES.iter().any(starts_with)).then_some((uri, origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_layouts() {
        let uri = b"sip:+17818675309@ssp.example.com;user=phone";
        assert_eq!(source_uri(uri), Some((&uri[..], SourceOrigin::EdnsBare)));
        let versioned = [b"\0\0", &uri[..], b"\0"].concat();
        assert_eq!(
            source_uri(&versioned),
            Some((&uri[..], SourceOrigin::EdnsVersioned))
        );
        assert_eq!(
            source_uri(b"TEL:+1"),
            Some((&b"TEL:+1"[..], SourceOrigin::EdnsBare))
        );
        assert_eq!(
            source_uri(b"+19005552222"),
            Some((&b"+19005552222"[..], SourceOrigin::EdnsBare))
        );
        assert_eq!(
            source_uri(b"sip:a\0").map(|found| found.0),
            Some(&b"sip:a"[..])
        );
    }

    #[test]
    fn leaves_an_owner_option_alone() {
        // VERSION 0, sequence, MAC: 8 octets.
        assert_eq!(source_uri(&[0, 0, 2, 0x42, 0xac, 0x11, 0, 2]), None);
        for data in [
            &b""[..],
            b"\0",
            b"\0\0",
            b"\0\0\0",
            b"si",
            b"http://x",
            b"+",
            b"+x",
            b"12105550123",
            b"\0\x01sip:a",
        ] {
            assert_eq!(source_uri(data), None);
        }
    }
}
