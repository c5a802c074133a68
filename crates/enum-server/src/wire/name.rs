//! Domain names on the wire (RFC 1035, 3.1).
use super::Malformed;

/// Longest name with its lengths and root.
pub const NAME_MAX: usize = 255;
const LABEL_MAX: u8 = 63;
const POINTER: u8 = 0xC0;

/// Length of the uncompressed name at the front of `bytes`, root included.
pub fn name_length(bytes: &[u8]) -> Result<usize, Malformed> {
    let mut at = 0;
    loop {
        match bytes.get(at) {
            Some(0) => return Ok(at + 1),
            Some(&length) if length <= LABEL_MAX => at += 1 + usize::from(length),
            _ => return Err(Malformed),
        }
        if at >= NAME_MAX {
            return Err(Malformed);
        }
    }
}

/// Where the name at `at` ends. A pointer ends a name; it is not followed.
pub fn skip_name(packet: &[u8], mut at: usize) -> Result<usize, Malformed> {
    let start = at;
    loop {
        match packet.get(at) {
            Some(0) => return Ok(at + 1),
            Some(&length) if length <= LABEL_MAX => at += 1 + usize::from(length),
            Some(&length) if length >= POINTER && at + 2 <= packet.len() => return Ok(at + 2),
            _ => return Err(Malformed),
        }
        if at - start >= NAME_MAX {
            return Err(Malformed);
        }
    }
}

/// A dotted name as wire octets in lower case; `None` if it is none.
#[must_use]
pub fn from_text(text: &str) -> Option<Vec<u8>> {
    let mut wire = Vec::with_capacity(text.len() + 2);
    for label in text.strip_suffix('.').unwrap_or(text).split('.') {
        let is_label = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
        if label.is_empty() || label.len() > usize::from(LABEL_MAX) || !label.bytes().all(is_label)
        {
            return None;
        }
        wire.push(label.len() as u8);
        wire.extend(label.bytes().map(|c| c.to_ascii_lowercase()));
    }
    wire.push(0);
    (wire.len() <= NAME_MAX).then_some(wire)
}

/// Writes the labels of a checked name, without its root, with dots between; cut where `out` ends.
pub fn write_dotted<'o>(labels: &[u8], out: &'o mut [u8]) -> &'o [u8] {
    let (mut at, mut length) = (0, 0);
    while let Some((&size, rest)) = labels.get(at..).and_then(<[u8]>::split_first) {
        let dot: &[u8] = if at == 0 { b"" } else { b"." };
        for (slot, &octet) in out[length..]
            .iter_mut()
            .zip(dot.iter().chain(rest.iter().take(usize::from(size))))
        {
            *slot = octet;
            length += 1;
        }
        at += 1 + usize::from(size);
    }
    &out[..length]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_names_and_refuses_pointers() {
        assert_eq!(name_length(b"\x01a\x02bc\0rest"), Ok(6));
        assert_eq!(name_length(b"\0"), Ok(1));
        for bytes in [
            &b""[..],
            b"\x01a",
            b"\x01a\xc0\x0c",
            b"\x40",
            &[b'\x01'; 300],
        ] {
            assert_eq!(name_length(bytes), Err(Malformed));
        }
        let longest = [&[63; 64][..], &[63; 64], &[63; 64], &[61; 62], &[0]].concat();
        assert_eq!((longest.len(), name_length(&longest)), (255, Ok(255)));
        assert_eq!(
            name_length(&[&[63; 64][..], &[63; 64], &[63; 64], &[62; 63], &[0]].concat()),
            Err(Malformed)
        );
    }

    #[test]
    fn skips_a_pointer_without_following_it() {
        assert_eq!(
            skip_name(b"\x01a\xc0\x00", 0),
            Ok(4),
            "even one that points at itself"
        );
        assert_eq!(skip_name(b"\xc0", 0), Err(Malformed));
        assert_eq!(skip_name(b"\x80\0", 0), Err(Malformed));
    }

    #[test]
    fn makes_wire_names() {
        assert_eq!(
            from_text("E164.Internal").as_deref(),
            Some(&b"\x04e164\x08internal\0"[..])
        );
        assert_eq!(from_text("pg.local."), from_text("pg.local"));
        for text in ["", ".", "a..b", "a b", &"a".repeat(64)] {
            assert_eq!(from_text(text), None, "{text}");
        }
        assert_eq!(write_dotted(b"\x02ab\x01c", &mut [0; 9]), b"ab.c");
        assert_eq!(write_dotted(b"\x02ab\x01c", &mut [0; 3]), b"ab.");
        assert_eq!(write_dotted(b"", &mut [0; 3]), b"");
    }
}
