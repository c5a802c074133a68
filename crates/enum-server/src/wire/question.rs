//! The question (RFC 1035, 4.1.2).
use super::header::HEADER;
use super::{Malformed, name, u16_at};

/// Types that have a meaning here.
pub mod qtype {
    #![allow(missing_docs)]
    pub const NS: u16 = 2;
    pub const SOA: u16 = 6;
    pub const HINFO: u16 = 13;
    pub const NAPTR: u16 = 35;
    pub const OPT: u16 = 41;
    /// TKEY, TSIG, IXFR, AXFR, MAILB, MAILA: nothing that is looked up.
    pub const META: std::ops::RangeInclusive<u16> = 249..=254;
    pub const ANY: u16 = 255;
}

/// Class IN.
pub const CLASS_IN: u16 = 1;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question<'a> {
    /// Wire octets with the root, case as asked.
    pub name: &'a [u8],
    /// QTYPE.
    pub qtype: u16,
    /// QCLASS.
    pub qclass: u16,
    /// The whole question as it stands in the query.
    pub octets: &'a [u8],
}

impl<'a> Question<'a> {
    /// Reads the question behind the header.
    pub fn parse(packet: &'a [u8]) -> Result<Self, Malformed> {
        let behind = packet.get(HEADER..).ok_or(Malformed)?;
        let length = name::name_length(behind)?;
        Ok(Self {
            name: &behind[..length],
            qtype: u16_at(behind, length)?,
            qclass: u16_at(behind, length + 2)?,
            octets: &behind[..length + 4],
        })
    }
}
