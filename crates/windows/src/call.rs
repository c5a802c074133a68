//! One call as windows see it: integers alone.

use serde::Deserialize;

/// What a call is of. The numbers are those of `ringfence.vocabulary`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dataset {
    /// A query to an ENUM server.
    Enum,
    /// A call that a probe saw.
    Sip,
}

/// One call. Words are the numbers of `ringfence.vocabulary`; a number is E.164 digits, 0 for none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Call {
    /// When it counts, microseconds since 1970: the query; the end of a SIP call, for then it is known.
    pub time_us: i64,
    /// When it began; that of a query is its time.
    pub start_us: i64,
    /// Caller.
    pub source: u64,
    /// Called number.
    pub destination: u64,
    /// Answer to end, milliseconds; below 0: it was not answered.
    pub duration_ms: i32,
    /// Who recorded it.
    pub device: i16,
    /// Country of the far party.
    pub country: i16,
    /// `Direction`.
    pub direction: u8,
    /// `CallType`.
    pub call_type: u8,
    /// `Action` of a query, `CallResult` of a SIP call.
    pub outcome: u8,
    /// `TrunkSide`.
    pub trunk_side: u8,
    /// `NumberClass` of the caller.
    pub source_class: u8,
    /// `NumberClass` of the called number.
    pub destination_class: u8,
}
