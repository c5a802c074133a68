//! The bytes of an event as the journal stores them. Fixed by `tests/forms/encoding.rs` (version test).
//!
//! Little-endian, no padding. Format 1 is an ENUM event, version 1:
//! ```text
//! offset size                          offset size
//!  0     1  format (1)                  13    2  peer port
//!  1     1  address family, 4 or 6      15    8  time, µs since 1970 (signed)
//!  2     1  transport                   23    8  source
//!  3     1  source class                31    8  destination
//!  4     1  destination class           39    8  target
//!  5     1  source origin               47    4  rule id
//!  6     1  direction                   51    4  policy version
//!  7     1  action                      55    4  latency, ns
//!  8     1  reason                      59    4 or 16  peer address, network order
//!  9     1  rcode                        …    n  source raw
//! 10     1  octets of source raw         …    n  destination raw
//! 11     1  octets of destination raw    …  4·n  monitored rule ids
//! 12     1  number of monitored ids
//! ```
//! An IPv6 flow label and scope id are not kept. Every field has one encoding, so bytes → event → bytes
//! is the identity.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::{EnumEvent, JournalEvent, MONITORED_MAX, RAW_MAX};

/// First byte of an ENUM event, version 1.
pub const FORMAT_ENUM_1: u8 = 1;
/// Longest encoding of one event, octets.
pub const ENCODED_MAX: usize = FIXED + 16 + 2 * RAW_MAX + 4 * MONITORED_MAX;

const FIXED: usize = 59;
const FAMILY_4: u8 = 4;
const FAMILY_6: u8 = 6;

/// Bytes that are not an event this version can read; the bytes are at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Shorter or longer than its own lengths say.
    #[error("an event of {actual} octets should have {expected}")]
    Length {
        /// Octets the fields ask for.
        expected: usize,
        /// Octets that are there.
        actual: usize,
    },
    /// Written by a newer version, or not an event.
    #[error("event format {0} is not known to this version")]
    Format(u8),
    /// An address family other than 4 and 6.
    #[error("event names address family {0}, not 4 or 6")]
    Family(u8),
    /// Longer text or more monitored ids than any maker writes.
    #[error("event is beyond the limits that its maker keeps to")]
    Limit,
}

impl EnumEvent<'_> {
    /// Append the event's bytes to `out`; at most [`ENCODED_MAX`].
    ///
    /// Raw text beyond [`RAW_MAX`] and monitored ids beyond [`MONITORED_MAX`] are cut here too, so that
    /// what is written can always be read.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let source_raw = &self.source_raw[..self.source_raw.len().min(RAW_MAX)];
        let destination_raw = &self.destination_raw[..self.destination_raw.len().min(RAW_MAX)];
        let monitored = &self.monitored[..self.monitored.len().min(MONITORED_MAX)];
        let mut fixed = [0u8; FIXED];
        fixed[..13].copy_from_slice(&[
            FORMAT_ENUM_1,
            if self.peer.is_ipv4() {
                FAMILY_4
            } else {
                FAMILY_6
            },
            self.transport,
            self.source_class,
            self.destination_class,
            self.source_origin,
            self.direction,
            self.action,
            self.reason,
            self.rcode,
            source_raw.len() as u8,
            destination_raw.len() as u8,
            monitored.len() as u8,
        ]);
        fixed[13..15].copy_from_slice(&self.peer.port().to_le_bytes());
        fixed[15..23].copy_from_slice(&self.time_us.to_le_bytes());
        fixed[23..31].copy_from_slice(&self.source.to_le_bytes());
        fixed[31..39].copy_from_slice(&self.destination.to_le_bytes());
        fixed[39..47].copy_from_slice(&self.target.to_le_bytes());
        fixed[47..51].copy_from_slice(&self.rule_id.to_le_bytes());
        fixed[51..55].copy_from_slice(&self.policy_version.to_le_bytes());
        fixed[55..59].copy_from_slice(&self.latency_ns.to_le_bytes());
        out.extend_from_slice(&fixed);
        match self.peer.ip() {
            IpAddr::V4(address) => out.extend_from_slice(&address.octets()),
            IpAddr::V6(address) => out.extend_from_slice(&address.octets()),
        }
        out.extend_from_slice(source_raw);
        out.extend_from_slice(destination_raw);
        for id in monitored {
            out.extend_from_slice(&id.to_le_bytes());
        }
    }
}

impl JournalEvent for EnumEvent<'_> {
    fn time_us(&self) -> i64 {
        self.time_us
    }

    fn encode(&self, out: &mut Vec<u8>) {
        Self::encode(self, out);
    }
}

/// A decoded event that owns what cannot be borrowed from the bytes (the monitored ids).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredEvent<'a> {
    event: EnumEvent<'a>,
    monitored: [u32; MONITORED_MAX],
    monitored_count: usize,
}

impl<'a> StoredEvent<'a> {
    /// Read exactly one event from `bytes`.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        match bytes.first() {
            Some(&FORMAT_ENUM_1) => {}
            Some(&other) => return Err(DecodeError::Format(other)),
            None => {
                return Err(DecodeError::Length {
                    expected: FIXED,
                    actual: 0,
                });
            }
        }
        let Some((fixed, variable)) = bytes.split_first_chunk::<FIXED>() else {
            return Err(DecodeError::Length {
                expected: FIXED,
                actual: bytes.len(),
            });
        };
        let (source_octets, destination_octets) = (usize::from(fixed[10]), usize::from(fixed[11]));
        let monitored_count = usize::from(fixed[12]);
        if source_octets > RAW_MAX
            || destination_octets > RAW_MAX
            || monitored_count > MONITORED_MAX
        {
            return Err(DecodeError::Limit);
        }
        let address_octets = match fixed[1] {
            FAMILY_4 => 4,
            FAMILY_6 => 16,
            other => return Err(DecodeError::Family(other)),
        };
        let expected = address_octets + source_octets + destination_octets + 4 * monitored_count;
        if variable.len() != expected {
            return Err(DecodeError::Length {
                expected: FIXED + expected,
                actual: bytes.len(),
            });
        }
        let (address, variable) = variable.split_at(address_octets);
        let (source_raw, variable) = variable.split_at(source_octets);
        let (destination_raw, ids) = variable.split_at(destination_octets);
        let mut monitored = [0; MONITORED_MAX];
        for (id, octets) in monitored.iter_mut().zip(ids.chunks_exact(4)) {
            *id = u32::from_le_bytes(take(octets, 0));
        }
        let ip = if address_octets == 4 {
            IpAddr::V4(Ipv4Addr::from(take::<4>(address, 0)))
        } else {
            IpAddr::V6(Ipv6Addr::from(take::<16>(address, 0)))
        };
        let event = EnumEvent {
            time_us: i64::from_le_bytes(take(fixed, 15)),
            peer: SocketAddr::new(ip, u16::from_le_bytes(take(fixed, 13))),
            transport: fixed[2],
            source: u64::from_le_bytes(take(fixed, 23)),
            destination: u64::from_le_bytes(take(fixed, 31)),
            target: u64::from_le_bytes(take(fixed, 39)),
            source_class: fixed[3],
            destination_class: fixed[4],
            source_origin: fixed[5],
            direction: fixed[6],
            action: fixed[7],
            reason: fixed[8],
            rcode: fixed[9],
            rule_id: u32::from_le_bytes(take(fixed, 47)),
            policy_version: u32::from_le_bytes(take(fixed, 51)),
            latency_ns: u32::from_le_bytes(take(fixed, 55)),
            source_raw,
            destination_raw,
            monitored: &[],
        };
        Ok(Self {
            event,
            monitored,
            monitored_count,
        })
    }

    /// The event itself.
    pub fn event(&self) -> EnumEvent<'_> {
        EnumEvent {
            monitored: &self.monitored[..self.monitored_count],
            ..self.event
        }
    }
}

/// `N` octets at `offset`; the caller has checked the length, and a shorter slice reads as zeros.
fn take<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    bytes
        .get(offset..)
        .and_then(|rest| rest.first_chunk::<N>())
        .copied()
        .unwrap_or([0; N])
}
