//! DNS messages as bytes, as far as an ENUM server needs them. Pure; nothing is allocated per packet.
//!
//! Reading never follows a compression pointer: a question needs none, and records are only skipped. So no
//! message can make it loop.
pub mod cookie;
pub mod edns;
pub mod header;
pub mod name;
pub mod query_name;
pub mod question;
pub mod response;
pub mod source_option;

/// A message that breaks the rules of its format; answered with FORMERR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Reads two octets at a place.
pub(crate) fn u16_at(packet: &[u8], at: usize) -> Result<u16, Malformed> {
    match packet.get(at..at + 2) {
        Some(&[high, low]) => Ok(u16::from_be_bytes([high, low])),
        _ => Err(Malformed),
    }
}
