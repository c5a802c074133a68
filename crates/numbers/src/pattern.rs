//! Patterns over numbers as operators write them (docs/contracts.md 4).
//!
//! | kind     | text                        | matches |
//! |----------|-----------------------------|---------|
//! | any      | `*`                         | every number |
//! | exact    | `+12105550100`              | that number |
//! | prefix   | `+1900*`                    | numbers that begin so, of any length |
//! | range    | `+12105550000-+12105559999` | numbers between, ends included, of one length |
//! | wildcard | `+1210555????`              | numbers of that length; `?` is any digit |
use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer};
use thiserror::Error;

use crate::number::{DIGITS_MAX, E164, POWERS_OF_TEN};

/// Why a text is not a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PatternError {
    /// Nothing there.
    #[error("a pattern must not be empty")]
    Empty,
    /// No leading `+`.
    #[error("must start with + and the country code, or be * for any number")]
    NoPlus,
    /// A character that has no meaning here.
    #[error("unexpected character {0:?}: digits, one * at the end, ? for any digit, or +LOW-+HIGH")]
    Character(char),
    /// Too many or too few digits.
    #[error("must have 1 to {DIGITS_MAX} digits")]
    Length,
    /// Begins with 0 or `?`.
    #[error("must start with a country code, which begins with 1 to 9")]
    FirstDigit,
    /// Range ends of different lengths.
    #[error("both ends of a range must have the same number of digits")]
    RangeLengths,
    /// High below low.
    #[error("the range is empty: its end is below its start")]
    RangeOrder,
}

/// A set of numbers, as one pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// `*`
    Any,
    /// One number.
    Exact(E164),
    /// Every number that begins with these digits.
    Prefix(E164),
    /// From low to high, both included, of one length.
    Range(E164, E164),
    /// Digits and `?`.
    Wildcard(Wildcard),
}

/// A pattern with `?` in it: a number matches if its fixed digits are these and its length is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Wildcard {
    /// The fixed digits in the key's encoding, 0 where `?` stands.
    pub(crate) fixed: u64,
    /// Ones over the fixed digits.
    pub(crate) mask: u64,
    /// How many digits.
    pub(crate) length: u8,
}

impl Pattern {
    /// Whether the number is in the set.
    #[must_use]
    pub fn matches(&self, number: E164) -> bool {
        match *self {
            Self::Any => true,
            Self::Exact(exact) => number == exact,
            Self::Prefix(prefix) => {
                let (have, want) = (number.len(), prefix.len());
                have >= want && number.get() / POWERS_OF_TEN[have - want] == prefix.get()
            }
            Self::Range(low, high) => low <= number && number <= high,
            Self::Wildcard(wildcard) => {
                number.len() == usize::from(wildcard.length)
                    && number.key() & wildcard.mask == wildcard.fixed
            }
        }
    }

    fn parse_wildcard(body: &[u8]) -> Result<Self, PatternError> {
        let fixed_front = body.iter().position(|&c| c == b'?').unwrap_or(body.len());
        if body[fixed_front..].iter().all(|&c| c == b'?') {
            // `?` only at the end is a range of one length: one interval rather than a mask.
            let span = POWERS_OF_TEN[body.len() - fixed_front];
            let low = E164::from_digits(&body[..fixed_front])
                .ok_or(PatternError::Length)?
                .get()
                * span;
            return match (E164::new(low), E164::new(low + span - 1)) {
                (Some(low), Some(high)) => Ok(Self::Range(low, high)),
                _ => Err(PatternError::Length),
            };
        }
        let (mut fixed, mut mask) = (0, 0);
        for (index, &c) in body.iter().enumerate() {
            if c != b'?' {
                let shift = 56 - 4 * index;
                fixed |= u64::from(c - b'0' + 1) << shift;
                mask |= 0xF << shift;
            }
        }
        Ok(Self::Wildcard(Wildcard {
            fixed,
            mask,
            length: body.len() as u8,
        }))
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if let Some((low, high)) = text.split_once('-') {
            let (low, high) = (parse_number(low)?, parse_number(high)?);
            return match (low.len() == high.len(), low <= high) {
                (false, _) => Err(PatternError::RangeLengths),
                (_, false) => Err(PatternError::RangeOrder),
                _ => Ok(Self::Range(low, high)),
            };
        }
        if let Some(prefix) = text.strip_suffix('*') {
            return parse_number(prefix).map(Self::Prefix);
        }
        if !text.contains('?') {
            return parse_number(text).map(Self::Exact);
        }
        let body = body_of(text, |c| c.is_ascii_digit() || c == '?')?;
        Self::parse_wildcard(body)
    }
}

fn parse_number(text: &str) -> Result<E164, PatternError> {
    let digits = body_of(text, |c| c.is_ascii_digit())?;
    E164::from_digits(digits).ok_or(PatternError::Length)
}

/// What stands after `+`, checked for characters, length and first digit.
fn body_of(text: &str, allowed: impl Fn(char) -> bool) -> Result<&[u8], PatternError> {
    if text.is_empty() {
        return Err(PatternError::Empty);
    }
    let body = text.strip_prefix('+').ok_or(PatternError::NoPlus)?;
    if let Some(other) = body.chars().find(|&c| !allowed(c)) {
        return Err(PatternError::Character(other));
    }
    let body = body.as_bytes();
    match body.first() {
        None => Err(PatternError::Length),
        Some(b'0' | b'?') => Err(PatternError::FirstDigit),
        Some(_) if body.len() > DIGITS_MAX => Err(PatternError::Length),
        Some(_) => Ok(body),
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(number) => write!(f, "{number}"),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
            Self::Range(low, high) => write!(f, "{low}-{high}"),
            Self::Wildcard(wildcard) => {
                f.write_str("+")?;
                for index in 0..usize::from(wildcard.length) {
                    match wildcard.fixed >> (56 - 4 * index) & 0xF {
                        0 => f.write_str("?")?,
                        digit => write!(f, "{}", digit - 1)?,
                    }
                }
                Ok(())
            }
        }
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Pattern;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number pattern such as \"+1900*\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Pattern, E> {
                text.parse()
                    .map_err(|error| E::custom(format_args!("{text:?}: {error}")))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> E164 {
        E164::from_digits(text.as_bytes()).unwrap()
    }

    #[test]
    fn matches_what_its_kind_says() {
        for (pattern, inside, outside) in [
            ("*", "12105550100", None),
            ("+12105550100", "12105550100", Some("121055501000")),
            ("+1900*", "19005550100", Some("190")),
            ("+1900*", "1900", Some("12900")),
            (
                "+12105550000-+12105559999",
                "12105559999",
                Some("121055500001"),
            ),
            ("+1210555????", "12105550000", Some("1210555000")),
            ("+1???5550100", "12105550100", Some("12105550101")),
            ("+1???5550100", "19995550100", Some("199955501000")),
        ] {
            let parsed: Pattern = pattern.parse().unwrap();
            assert!(parsed.matches(number(inside)), "{pattern} {inside}");
            if let Some(outside) = outside {
                assert!(!parsed.matches(number(outside)), "{pattern} {outside}");
            }
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, error) in [
            ("", PatternError::Empty),
            ("12105550100", PatternError::NoPlus),
            ("+1 210", PatternError::Character(' ')),
            ("+1*9", PatternError::Character('*')),
            ("+", PatternError::Length),
            ("+0441", PatternError::FirstDigit),
            ("+?210", PatternError::FirstDigit),
            ("+1234567890123456", PatternError::Length),
            ("+1234567890123???", PatternError::Length),
            ("+1210-+12105", PatternError::RangeLengths),
            ("+1219-+1210", PatternError::RangeOrder),
            ("+1210-1219", PatternError::NoPlus),
        ] {
            assert_eq!(text.parse::<Pattern>(), Err(error), "{text}");
        }
    }

    #[test]
    fn prints_as_written() {
        for text in [
            "*",
            "+12105550100",
            "+1900*",
            "+12105550000-+12105559999",
            "+1???5550100",
        ] {
            assert_eq!(text.parse::<Pattern>().unwrap().to_string(), text);
        }
    }
}
