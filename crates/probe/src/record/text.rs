//! Texts of a record.
use core::fmt;

use serde::{Serialize, Serializer};

/// Octets of a peer, shown as text: not UTF-8 is shown lossily.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Text<'a>(pub &'a [u8]);

impl Text<'_> {
    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.utf8_chunks().try_for_each(|chunk| {
            formatter.write_str(chunk.valid())?;
            match chunk.invalid() {
                [] => Ok(()),
                _ => formatter.write_str("\u{fffd}"),
            }
        })
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{}\"", self.0.escape_ascii())
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match core::str::from_utf8(self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => serializer.collect_str(self),
        }
    }
}

/// Name of a codec as SDP writes it (`PCMA`, `G729`, `opus`), at most 15 octets of printable ASCII, kept in place.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct CodecName {
    length: u8,
    octets: [u8; 15],
}

impl CodecName {
    /// The name, cut at 15 octets or where it stops being printable ASCII.
    pub fn new(name: &[u8]) -> Self {
        let mut octets = [0; 15];
        let mut length = 0;
        let graphic = name.iter().take_while(|octet| octet.is_ascii_graphic());
        for (place, &octet) in octets.iter_mut().zip(graphic) {
            *place = octet;
            length += 1;
        }
        Self { length, octets }
    }

    /// The name; empty when none is known.
    pub fn as_str(&self) -> &str {
        let octets = self
            .octets
            .get(..usize::from(self.length))
            .unwrap_or_default();
        core::str::from_utf8(octets).unwrap_or_default()
    }
}

impl fmt::Debug for CodecName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), formatter)
    }
}

impl Serialize for CodecName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
