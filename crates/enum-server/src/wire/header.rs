//! The twelve octets in front (RFC 1035, 4.1.1).

/// Length of a header.
pub const HEADER: usize = 12;

/// RCODEs that are answered (RFC 1035, 4.1.1; RFC 6891, 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Rcode {
    /// Fine.
    NoError = 0,
    /// The query breaks the format.
    FormErr = 1,
    /// There is no such name.
    NxDomain = 3,
    /// The kind of query is not offered.
    NotImp = 4,
    /// Not for this server.
    Refused = 5,
    /// The EDNS version is not offered. In the extended part.
    BadVers = 16,
}

/// The header of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Chosen by the client.
    pub id: u16,
    flags: u16,
    /// QDCOUNT.
    pub questions: u16,
    /// ANCOUNT.
    pub answers: u16,
    /// NSCOUNT.
    pub authorities: u16,
    /// ARCOUNT.
    pub additionals: u16,
}

const RESPONSE: u16 = 0x8000;
const OPCODE: u16 = 0x7800;
const AUTHORITATIVE: u16 = 0x0400;
const TRUNCATED: u16 = 0x0200;
const RECURSION_DESIRED: u16 = 0x0100;

impl Header {
    /// Reads a header; `None` if there are fewer octets.
    #[must_use]
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let octets: &[u8; HEADER] = packet.first_chunk()?;
        let word = |at: usize| u16::from_be_bytes([octets[at], octets[at + 1]]);
        Some(Self {
            id: word(0),
            flags: word(2),
            questions: word(4),
            answers: word(6),
            authorities: word(8),
            additionals: word(10),
        })
    }

    /// QR: a response, not a query.
    #[must_use]
    pub fn is_response(&self) -> bool {
        self.flags & RESPONSE != 0
    }

    /// Whether OPCODE is QUERY.
    #[must_use]
    pub fn is_standard_query(&self) -> bool {
        self.flags & OPCODE == 0
    }

    /// Flags of an answer to this query: opcode and RD copied, RA 0.
    #[must_use]
    pub fn answer_flags(&self, is_authoritative: bool, is_truncated: bool, rcode: Rcode) -> u16 {
        let mut flags = RESPONSE | self.flags & (OPCODE | RECURSION_DESIRED) | rcode as u16 & 0xF;
        if is_authoritative {
            flags |= AUTHORITATIVE;
        }
        if is_truncated {
            flags |= TRUNCATED;
        }
        flags
    }
}
