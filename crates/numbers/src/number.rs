//! A telephone number as the integer of its E.164 digits.
use std::fmt;
use std::num::NonZeroU64;

/// Most digits of an E.164 number (ITU-T E.164, 6.2.1).
pub const DIGITS_MAX: usize = 15;
/// Fewest digits taken for a full number; the shortest in service have seven (+683 Niue, +290 Saint Helena).
pub const DIGITS_MIN: usize = 7;

pub(crate) const POWERS_OF_TEN: [u64; DIGITS_MAX + 1] = {
    let mut powers = [1; DIGITS_MAX + 1];
    let mut index = 1;
    while index <= DIGITS_MAX {
        powers[index] = powers[index - 1] * 10;
        index += 1;
    }
    powers
};

/// The digits of a number with its country code, 1 to 15 of them.
///
/// No country code starts with 0, so the integer holds every digit. Below 10¹⁵, hence in 50 bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct E164(NonZeroU64);

impl E164 {
    /// The number with these digits; `None` for 0 and for more than fifteen digits.
    #[must_use]
    pub const fn new(digits: u64) -> Option<Self> {
        if digits >= POWERS_OF_TEN[DIGITS_MAX] {
            return None;
        }
        match NonZeroU64::new(digits) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// From ASCII digits: 1 to 15, the first not 0.
    #[must_use]
    pub fn from_digits(digits: &[u8]) -> Option<Self> {
        if digits.is_empty() || digits.len() > DIGITS_MAX || digits[0] == b'0' {
            return None;
        }
        let mut value = 0;
        for &digit in digits {
            if !digit.is_ascii_digit() {
                return None;
            }
            value = value * 10 + u64::from(digit - b'0');
        }
        Self::new(value)
    }

    /// The digits as an integer.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// How many digits it has.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.ilog10() as usize + 1
    }

    /// Never: a number has at least one digit.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        false
    }

    /// Writes the ASCII digits to the front of `out` and returns them.
    pub fn write_digits(self, out: &mut [u8; DIGITS_MAX]) -> &[u8] {
        let length = self.len();
        let mut rest = self.get();
        for slot in out[..length].iter_mut().rev() {
            *slot = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        &out[..length]
    }

    /// Left-aligned digits, four bits each, digit + 1 (0 pads): sorts a number directly before those it begins.
    ///
    /// In this order a prefix is one interval, whatever the lengths of the numbers under it.
    pub(crate) fn key(self) -> u64 {
        let mut rest = self.get();
        let length = self.len();
        let mut key = 0;
        let mut shift = 60 - 4 * length;
        while rest > 0 {
            key |= (rest % 10 + 1) << shift;
            rest /= 10;
            shift += 4;
        }
        key
    }
}

impl fmt::Display for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{}", self.get())
    }
}

impl fmt::Debug for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_every_digit() {
        for text in ["1", "12105550123", "999999999999999", "100000000000000"] {
            let number = E164::from_digits(text.as_bytes()).unwrap();
            assert_eq!(number.to_string(), format!("+{text}"));
            assert_eq!(number.len(), text.len());
            assert_eq!(number.write_digits(&mut [0; DIGITS_MAX]), text.as_bytes());
        }
    }

    #[test]
    fn refuses_what_is_no_number() {
        for text in ["", "0", "0123", "1234567890123456", "12a", "+12"] {
            assert_eq!(E164::from_digits(text.as_bytes()), None, "{text}");
        }
        assert_eq!(E164::new(0), None);
        assert_eq!(E164::new(1_000_000_000_000_000), None);
    }

    #[test]
    fn key_sorts_a_number_before_its_extensions() {
        let key = |text: &str| E164::from_digits(text.as_bytes()).unwrap().key();
        assert!(key("19") < key("190") && key("190") < key("1900") && key("1909") < key("191"));
        assert!(key("999999999999999") < 1 << 60);
    }
}
