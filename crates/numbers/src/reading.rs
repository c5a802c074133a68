//! How a dial plan read a text: the rule that applied, for people who ask why.

/// The rule by which [`DialPlan`](crate::DialPlan) read a source or destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Nothing was given.
    Absent,
    /// A word or host that stands for a withheld number (RFC 3323, 4.1).
    Withheld,
    /// Neither digits nor a word that is known.
    NotDigits,
    /// Must always be reachable.
    Protected,
    /// Given in full, with `+` or a phone context (RFC 3966, 5.1.5).
    Global,
    /// Behind an international prefix.
    InternationalPrefix,
    /// Behind the national prefix.
    NationalPrefix,
    /// As long as the site's extensions.
    Extension,
    /// As long as a national number.
    National,
    /// As long as a local number.
    Local,
    /// Country code and all, without `+`.
    CountryCode,
    /// Few digits that are no number.
    ShortCode,
    /// Digits that no rule knows, taken as a whole number.
    Whole,
}

impl Reading {
    /// One word, lower case, as APIs show it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Withheld => "withheld",
            Self::NotDigits => "not_digits",
            Self::Protected => "protected",
            Self::Global => "global",
            Self::InternationalPrefix => "international_prefix",
            Self::NationalPrefix => "national_prefix",
            Self::Extension => "extension",
            Self::National => "national",
            Self::Local => "local",
            Self::CountryCode => "country_code",
            Self::ShortCode => "short_code",
            Self::Whole => "whole",
        }
    }
}
