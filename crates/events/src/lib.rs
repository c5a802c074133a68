#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
//! Event types, their bytes and their Arrow schemas: the one contract between edge and mediation.
//!
//! Stands at the start of "facts up": the ENUM server makes an [`EnumEvent`] per query, the probe a [`SipEvent`] per
//! call; the journal stores them as bytes ([`JournalEvent::encode`]), the uplink sends them as Arrow
//! ([`records_to_arrow`]), the mediation's database takes them as COPY ([`copy::arrow_to_copy`]).
//!
//! ```text
//! enum server ── EnumEvent ─┐                         ┌► EnumBatch ─┐
//!                           ├► encode ──► journal ──► ┤             ├► Arrow IPC ──► mediation ── COPY ──► database
//! probe ──────── SipEvent ──┘                         └► SipBatch ──┘
//! ```
mod arrow;
pub mod copy;
mod encoding;
mod records;
mod sip;
mod sip_arrow;

use std::net::SocketAddr;

pub use arrow::{EnumBatch, SCHEMA_KEY, SCHEMA_NAME, enum_schema};
pub use encoding::{DecodeError, ENCODED_MAX, FORMAT_ENUM_1, StoredEvent};
pub use records::{RecordsError, records_to_arrow};
pub use sip::{CODEC_MAX, DETAILS_MAX, FORMAT_SIP_1, MediaSide, NEVER, SIP_TEXT_MAX, SipEvent};
pub use sip_arrow::{SIP_SCHEMA_NAME, SipBatch, sip_schema};

/// What the journal can store: bytes whose first octet names kind and version.
pub trait JournalEvent {
    /// When it happened, microseconds since 1970-01-01 UTC.
    fn time_us(&self) -> i64;
    /// Append its bytes to `out`, at most 65,535.
    fn encode(&self, out: &mut Vec<u8>);
}

/// One ENUM query and what was decided: one row of dataset `ENUM`.
///
/// Raw text is cut by the maker to [`RAW_MAX`] octets; it is the peer's text and may be hostile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnumEvent<'a> {
    /// Arrival of the query, microseconds since 1970-01-01 UTC.
    pub time_us: i64,
    /// The SBC's address and port.
    pub peer: SocketAddr,
    /// 0 UDP, 1 TCP.
    pub transport: u8,
    /// Source as E.164 digits, 0 when it is not a number (see `source_class`).
    pub source: u64,
    /// Destination as E.164 digits, 0 when it is not a number.
    pub destination: u64,
    /// Redirect target as E.164 digits, 0 for none.
    pub target: u64,
    /// Number class of the source (`ringfence_numbers::NumberClass` as u8).
    pub source_class: u8,
    /// Number class of the destination.
    pub destination_class: u8,
    /// How the source reached us: 0 none, 1 EDNS0 bare URI, 2 EDNS0 with version, 3 query name.
    pub source_origin: u8,
    /// Call direction: 0 unknown, 1 inbound, 2 outbound, 3 internal, 4 transit.
    pub direction: u8,
    /// 0 none (no opinion), 1 allow, 2 terminate, 3 redirect.
    pub action: u8,
    /// Why: `ringfence_policy::Reason` as u8.
    pub reason: u8,
    /// DNS RCODE of the answer.
    pub rcode: u8,
    /// Stable id of the deciding rule, 0 for none.
    pub rule_id: u32,
    /// Number of the policy version that decided, 0 for none.
    pub policy_version: u32,
    /// From receipt to the answer being ready, nanoseconds.
    pub latency_ns: u32,
    /// The source as received (URI or digits), at most [`RAW_MAX`] octets; the maker shortens a longer one so that what
    /// says which trunk the call came by stays in it (`ringfence_numbers::shortened`).
    pub source_raw: &'a [u8],
    /// The destination as asked (digits or name), at most [`RAW_MAX`] octets.
    pub destination_raw: &'a [u8],
    /// Ids of monitored rules that matched, at most [`MONITORED_MAX`].
    pub monitored: &'a [u32],
}

/// Longest raw text kept in an event, octets.
pub const RAW_MAX: usize = 255;
/// Most monitored matches kept in an event.
pub const MONITORED_MAX: usize = 8;
