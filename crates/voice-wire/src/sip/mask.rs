//! Takes secrets out of a message before it is kept: credentials, SRTP keys, DTMF digits.
//!
//! Lengths do not change, so that a masked message still fits the packet it came in. Works line by line and does not
//! depend on the message being well-formed.
use memchr::{memchr, memmem};

/// Header fields whose value is masked behind its scheme (`Digest ****`).
const SECRET: [&[u8]; 5] = [
    b"authorization",
    b"proxy-authorization",
    b"www-authenticate",
    b"proxy-authenticate",
    b"authentication-info",
];

/// Overwrites with `*`: values of authentication headers, keys of `a=crypto` and `k=` in SDP, bodies of DTMF relay.
pub fn mask(message: &mut [u8]) {
    let mut at = 0;
    let mut is_first_line = true;
    let mut is_secret = false;
    let mut is_dtmf = false;
    while let Some(rest) = message.get_mut(at..).filter(|rest| !rest.is_empty()) {
        let end = memchr(b'\n', rest).map_or(rest.len(), |line| line + 1);
        let Some(line) = rest.get_mut(..end) else {
            return;
        };
        at += end;
        if line.trim_ascii().is_empty() {
            if is_first_line {
                continue; // leading line ends
            }
            if line.iter().all(|octet| matches!(octet, b'\r' | b'\n')) {
                break;
            }
        }
        is_first_line = false;
        if matches!(line.first(), Some(b' ' | b'\t')) {
            if is_secret {
                cover(line);
            }
            continue;
        }
        let Some(colon) = memchr(b':', line) else {
            is_secret = false;
            continue;
        };
        let (name, value) = line.split_at_mut(colon + 1);
        let name = name
            .trim_ascii_end()
            .strip_suffix(b":")
            .unwrap_or_default()
            .trim_ascii();
        is_secret = SECRET
            .iter()
            .any(|secret| secret.eq_ignore_ascii_case(name));
        if is_secret {
            let scheme = value.len() - value.trim_ascii_start().len();
            let scheme = scheme
                + value
                    .get(scheme..)
                    .and_then(|rest| memchr(b' ', rest))
                    .unwrap_or(0);
            cover(value.get_mut(scheme..).unwrap_or_default());
        } else if name.eq_ignore_ascii_case(b"content-type") || name.eq_ignore_ascii_case(b"c") {
            is_dtmf |= memmem::find(&value.to_ascii_lowercase(), b"dtmf").is_some();
        }
    }
    mask_body(message.get_mut(at..).unwrap_or_default(), is_dtmf);
}

fn mask_body(body: &mut [u8], is_dtmf: bool) {
    for line in body.split_inclusive_mut(|octet| *octet == b'\n') {
        if is_dtmf {
            cover(line);
        } else if line.starts_with(b"k=") {
            cover(line.get_mut(2..).unwrap_or_default());
        } else if line.starts_with(b"a=crypto:")
            && let Some(key) = memmem::find(line, b"inline:")
        {
            cover(line.get_mut(key + 7..).unwrap_or_default());
        }
    }
}

fn cover(octets: &mut [u8]) {
    for octet in octets {
        if !matches!(octet, b'\r' | b'\n' | b' ' | b'\t') {
            *octet = b'*';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(message: &str) -> String {
        let mut octets = message.as_bytes().to_vec();
        mask(&mut octets);
        String::from_utf8(octets).unwrap()
    }

    #[test]
    fn credentials_are_covered_in_any_form_and_the_rest_is_not() {
        let shown = masked(
            "\r\nINVITE sip:a@b SIP/2.0\r\nFrom: <sip:a@b>\r\nproxy-AUTHORIZATION : Digest username=\"joe\",\r\n response=\"abc\"\r\nTo: x\r\nAuthorization:Basic am9l\r\n\r\nk",
        );
        assert!(
            !shown.contains("joe") && !shown.contains("abc") && !shown.contains("am9l"),
            "{shown}"
        );
        assert!(
            shown.contains("AUTHORIZATION : Digest ****") && shown.contains("To: x"),
            "{shown}"
        );
    }

    #[test]
    fn keys_and_digits_of_bodies_are_covered() {
        let shown = masked(
            "INVITE x SIP/2.0\r\n\r\nv=0\r\nk=clear:pw\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0|2^20\r\n",
        );
        assert!(!shown.contains("c2Vj") && !shown.contains("pw"), "{shown}");
        assert!(
            shown.contains("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:***"),
            "{shown}"
        );
        let shown = masked(
            "INFO x SIP/2.0\r\nc: application/dtmf-relay\r\n\r\nSignal=5\r\nDuration=160\r\n",
        );
        assert!(!shown.contains('5'), "{shown}");
    }
}
