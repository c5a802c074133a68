//! What a source or destination turned out to be, and which way a call goes.
//!
//! The numbers travel in events and rows (docs/contracts.md 1): never renumber.

/// What a source or destination turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum NumberClass {
    /// Nothing was given.
    Absent = 0,
    /// A full E.164 number.
    Number = 1,
    /// An extension of the site.
    Extension = 2,
    /// The caller withheld the number.
    Anonymous = 3,
    /// Text that is no number under the site's dial plan.
    Invalid = 4,
    /// A protected (emergency) number.
    Emergency = 5,
    /// A short national service number.
    ShortCode = 6,
}

impl NumberClass {
    /// How many classes there are.
    pub const COUNT: usize = 7;

    /// The class with this number in events and rows.
    #[must_use]
    pub const fn from_code(code: i16) -> Option<Self> {
        Some(match code {
            0 => Self::Absent,
            1 => Self::Number,
            2 => Self::Extension,
            3 => Self::Anonymous,
            4 => Self::Invalid,
            5 => Self::Emergency,
            6 => Self::ShortCode,
            _ => return None,
        })
    }

    /// The word people see, as in `vocabulary.py`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Number => "number",
            Self::Extension => "extension",
            Self::Anonymous => "anonymous",
            Self::Invalid => "invalid",
            Self::Emergency => "emergency",
            Self::ShortCode => "short_code",
        }
    }
}

/// Call direction as seen from the site's own number ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Direction {
    /// The ranges do not tell.
    Unknown = 0,
    /// From outside to an own number.
    Inbound = 1,
    /// From an own number to outside.
    Outbound = 2,
    /// Both ends are own numbers.
    Internal = 3,
    /// Neither end is an own number.
    Transit = 4,
}

impl Direction {
    /// How many directions there are.
    pub const COUNT: usize = 5;

    /// The direction with this number in events and rows.
    #[must_use]
    pub const fn from_code(code: i16) -> Option<Self> {
        Some(match code {
            0 => Self::Unknown,
            1 => Self::Inbound,
            2 => Self::Outbound,
            3 => Self::Internal,
            4 => Self::Transit,
            _ => return None,
        })
    }

    /// The word people see, as in `vocabulary.py`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
            Self::Internal => "internal",
            Self::Transit => "transit",
        }
    }
}
