//! Enumerated words of a record; their numbers travel in events.
use serde::Serialize;

/// One of the two sides of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Side {
    /// Who called.
    Source = 1,
    /// Who was called.
    Destination = 2,
}

impl Side {
    /// The other side.
    pub const fn other(self) -> Self {
        match self {
            Self::Source => Self::Destination,
            Self::Destination => Self::Source,
        }
    }

    /// Index in [`CallRecord::media`].
    pub const fn index(self) -> usize {
        self as usize - 1
    }
}

/// How SIP messages travelled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Transport {
    /// UDP.
    #[default]
    Udp = 0,
    /// TCP.
    Tcp = 1,
    /// TLS, as HEP and decrypting sources tell it.
    Tls = 2,
    /// WebSocket (RFC 7118).
    Ws = 3,
    /// WebSocket over TLS.
    Wss = 4,
    /// SCTP.
    Sctp = 5,
}

/// Header that the source's number was taken from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum SourceOrigin {
    /// None had a user part.
    #[default]
    None = 0,
    /// P-Asserted-Identity.
    Asserted = 1,
    /// P-Preferred-Identity.
    Preferred = 2,
    /// Remote-Party-ID.
    RemoteParty = 3,
    /// From.
    From = 4,
}

/// Where the destination's number was taken from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum DestinationOrigin {
    /// Neither had a user part.
    #[default]
    None = 0,
    /// Request-URI of the first INVITE.
    RequestUri = 1,
    /// To.
    To = 2,
}

/// Why two legs are one call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum CorrelatedBy {
    /// No other leg was found.
    #[default]
    None = 0,
    /// Session-ID (RFC 7989).
    SessionId = 1,
    /// P-Charging-Vector icid-value, or a vendor's header naming the other Call-ID.
    Header = 2,
    /// Same numbers, one leg's destination address is the other's source, within two seconds.
    Numbers = 3,
}

/// How a call came out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum CallResult {
    /// No final response was seen.
    #[default]
    Unfinished = 0,
    /// 2xx.
    Answered = 1,
    /// 486, 600.
    Busy = 2,
    /// 408, 480, 487 without a CANCEL seen.
    NoAnswer = 3,
    /// 487 after the caller's CANCEL.
    Cancelled = 4,
    /// 404, 410, 416, 484, 485, 604: no such destination.
    NotFound = 5,
    /// 403, 433, 603, 607, 608 and other refusals.
    Rejected = 6,
    /// 3xx without a further try.
    Redirected = 7,
    /// 401 or 407, and the caller gave up.
    Unauthorized = 8,
    /// 5xx and other failures of the network (RFC 6076: ineffective attempts among them).
    Failed = 9,
}

impl CallResult {
    /// The word for a final status of the first INVITE.
    pub const fn of_status(status: u16, was_cancelled: bool) -> Self {
        match status {
            200..=299 => Self::Answered,
            300..=399 => Self::Redirected,
            401 | 407 => Self::Unauthorized,
            486 | 600 => Self::Busy,
            487 if was_cancelled => Self::Cancelled,
            408 | 480 | 487 => Self::NoAnswer,
            404 | 410 | 416 | 484 | 485 | 604 => Self::NotFound,
            500..=599 | 606 | 420 | 421 | 481..=483 => Self::Failed,
            400..=499 | 601..=699 => Self::Rejected,
            _ => Self::Unfinished,
        }
    }

    /// The word, as in JSON and on the console.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unfinished => "unfinished",
            Self::Answered => "answered",
            Self::Busy => "busy",
            Self::NoAnswer => "no_answer",
            Self::Cancelled => "cancelled",
            Self::NotFound => "not_found",
            Self::Rejected => "rejected",
            Self::Redirected => "redirected",
            Self::Unauthorized => "unauthorized",
            Self::Failed => "failed",
        }
    }
}

/// Whether a status counts as an ineffective session attempt (RFC 6076, 4.8).
pub const fn is_ineffective(status: u16) -> bool {
    matches!(status, 408 | 500 | 503 | 504)
}
