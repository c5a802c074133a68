//! A segment: one file of frames. Its header names the journal and the stream, its name the first sequence.
//!
//! ```text
//! offset size  little-endian; stage files have the same header
//!  0     8     magic "RFJOURNL"
//!  8     2     version (1)
//! 10     2     kind: 1 segment, 2 stage
//! 12     4     stream
//! 16     8     journal_id
//! 24     8     first sequence (stage: 0)
//! 32     4     crc32c of octets 0 to 31
//! 36     …     frames
//! ```
//! Fixed by `tests::header_bytes_never_change`. A segment ends where the next one of its stream begins.
mod walk;

pub use walk::{Step, Walk};

/// Octets of the header.
pub const HEADER: u64 = 36;
/// Version of header and frames.
pub const VERSION: u16 = 1;

const MAGIC: [u8; 8] = *b"RFJOURNL";
const SUFFIX: &str = ".segment";

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// On the disk.
    Segment,
    /// In memory.
    Stage,
}

/// The head of a segment or stage file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the file is.
    pub kind: Kind,
    /// Stream of all its frames.
    pub stream: u32,
    /// The journal it belongs to.
    pub journal_id: u64,
    /// Sequence that its name tells too; 0 in the stage.
    pub first: u64,
}

/// Why octets are not a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderError {
    /// Too short, or damaged.
    Torn,
    /// Sound, but of another version.
    Newer(u16),
}

impl Header {
    /// The header's octets.
    pub fn encode(&self) -> [u8; HEADER as usize] {
        let mut bytes = [0; HEADER as usize];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10] = if self.kind == Kind::Segment { 1 } else { 2 };
        bytes[12..16].copy_from_slice(&self.stream.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.journal_id.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.first.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..32]);
        bytes[32..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header at the start of `bytes`.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let Some(bytes) = bytes.first_chunk::<{ HEADER as usize }>() else {
            return Err(HeaderError::Torn);
        };
        let crc = u32::from_le_bytes([bytes[32], bytes[33], bytes[34], bytes[35]]);
        if bytes[..8] != MAGIC || crc32c::crc32c(&bytes[..32]) != crc {
            return Err(HeaderError::Torn);
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version != VERSION {
            return Err(HeaderError::Newer(version));
        }
        let kind = match bytes[10] {
            1 => Kind::Segment,
            2 => Kind::Stage,
            _ => return Err(HeaderError::Torn),
        };
        let double = |at: usize| {
            let octets = bytes[at..].first_chunk().copied();
            u64::from_le_bytes(octets.unwrap_or_default())
        };
        let stream = u32::from_le_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]);
        Ok(Self {
            kind,
            stream,
            journal_id: double(16),
            first: double(24),
        })
    }
}

/// The file name of the segment that starts with `first`.
pub fn file_name(first: u64) -> String {
    format!("{first:020}{SUFFIX}")
}

/// The first sequence that a file name tells; `None` for any other file.
pub fn first_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    (digits.len() == 20 && digits.bytes().all(|octet| octet.is_ascii_digit()))
        .then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER_1: Header = Header {
        kind: Kind::Segment,
        stream: 3,
        journal_id: 0x0102_0304,
        first: 77,
    };

    #[test]
    fn header_bytes_never_change() {
        let bytes = HEADER_1.encode();
        let fixed =
            b"RFJOURNL\x01\x00\x01\x00\x03\x00\x00\x00\x04\x03\x02\x01\0\0\0\0\x4d\0\0\0\0\0\0\0";
        assert_eq!(&bytes[..32], fixed);
        assert_eq!(bytes[32..], crc32c::crc32c(fixed).to_le_bytes());
        assert_eq!(Header::decode(&bytes), Ok(HEADER_1));
    }

    #[test]
    fn damage_and_newer_versions_are_told_apart() {
        let mut bytes = HEADER_1.encode();
        assert_eq!(Header::decode(&bytes[..35]), Err(HeaderError::Torn));
        bytes[8] = 2;
        assert_eq!(Header::decode(&bytes), Err(HeaderError::Torn));
        let crc = crc32c::crc32c(&bytes[..32]);
        bytes[32..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Header::decode(&bytes), Err(HeaderError::Newer(2)));
    }

    #[test]
    fn names_tell_the_first_sequence_and_nothing_else_is_a_segment() {
        assert_eq!(first_of(&file_name(41)), Some(41));
        for other in [
            "41.segment",
            "0000000000000000004x.segment",
            "00000000000000000041.damaged",
            "",
        ] {
            assert_eq!(first_of(other), None, "{other}");
        }
    }
}
