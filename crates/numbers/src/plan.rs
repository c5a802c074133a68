//! A site's dial plan: raw text → E.164 number and class, and the direction of a call.
//!
//! The edge applies it before matching and ingest applies it again, so both must be this code.
//! For digits without `+` the order is: protected, international prefix, national prefix, extension,
//! number with the country code but no `+` (an ENUM name), national, local, other E.164, short code.
use serde::Deserialize;
use thiserror::Error;

use crate::number::{DIGITS_MAX, DIGITS_MIN};
use crate::{Direction, E164, NumberClass, NumberSet, Pattern, Reading, uri_user};

/// A site's numbering as the policy document has it (docs/contracts.md 4, `site`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Site {
    /// ISO 3166 code of the country; informative here.
    pub country: String,
    /// Country code, digits.
    pub country_code: String,
    /// Dialled before a national number; may be empty.
    pub national_prefix: String,
    /// Dialled before a number of another country.
    pub international_prefixes: Vec<String>,
    /// Lengths of national numbers without prefix.
    pub national_lengths: Vec<u8>,
    /// What a local number lacks to be national, such as an area code.
    pub local_prefix: String,
    /// Lengths of local numbers.
    pub local_lengths: Vec<u8>,
    /// Lengths of extensions.
    pub extension_lengths: Vec<u8>,
    /// Numbers that are the site's own.
    pub own_ranges: Vec<Pattern>,
}

/// Why a site is not a dial plan; the message names the field.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {problem}")]
pub struct PlanError {
    /// Dotted name of the field.
    pub field: String,
    /// What was wrong and what would be right.
    pub problem: String,
}

/// One end of a call after normalisation. There is a number if the class is [`NumberClass::Number`], and for a
/// protected number that was given in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Party {
    /// The number.
    pub number: Option<E164>,
    /// What it turned out to be.
    pub class: NumberClass,
}

impl Party {
    /// Nothing was given.
    pub const ABSENT: Self = Self::without_number(NumberClass::Absent);

    /// A party of this class that has no number.
    #[must_use]
    pub const fn without_number(class: NumberClass) -> Self {
        Self {
            number: None,
            class,
        }
    }

    /// A full number.
    #[must_use]
    pub const fn number(number: E164) -> Self {
        Self {
            number: Some(number),
            class: NumberClass::Number,
        }
    }

    /// E.164 digits as an integer, 0 when there is no number.
    #[must_use]
    pub fn digits(&self) -> u64 {
        self.number.map_or(0, E164::get)
    }
}

/// A compiled [`Site`]. The default knows no country: only numbers given in full are numbers.
#[derive(Debug, Default)]
pub struct DialPlan {
    country_code: Vec<u8>,
    national_prefix: Vec<u8>,
    international_prefixes: Vec<Vec<u8>>,
    local_prefix: Vec<u8>,
    national_lengths: Lengths,
    local_lengths: Lengths,
    extension_lengths: Lengths,
    own: NumberSet,
    protected_codes: Vec<Vec<u8>>,
    protected_code_lengths: Lengths,
    protected_numbers: NumberSet,
}

/// Longest digit string looked at; what is longer is no number in any plan.
const DIGITS_READ: usize = 32;
/// Fewest and most digits of a short code.
const SHORT_CODE_DIGITS: std::ops::RangeInclusive<usize> = 2..=6;
/// Users that stand for a withheld number (RFC 3323, 4.1, and common practice).
const ANONYMOUS_USERS: [&[u8]; 5] = [
    b"anonymous",
    b"restricted",
    b"unavailable",
    b"unknown",
    b"private",
];
/// Fewer digits may be an extension or a short code even in an ENUM name; more are no E.164 number.
const E164_WHOLE_DIGITS: std::ops::RangeInclusive<usize> = 8..=15;
const ANONYMOUS_HOST: &[u8] = b"anonymous.invalid";

/// Whether a user part is a word for a number that is withheld, such as `anonymous`.
#[must_use]
pub fn is_withheld(user: &[u8]) -> bool {
    ANONYMOUS_USERS
        .iter()
        .any(|word| user.eq_ignore_ascii_case(word))
}

impl DialPlan {
    /// Compiles a site. `protected` are numbers that must always be reachable: short digits, or patterns with `+`.
    pub fn compile(site: &Site, protected: &[String]) -> Result<Self, PlanError> {
        let country_code = digits_field("site.country_code", &site.country_code)?;
        if country_code.is_empty() || country_code.len() > 3 || country_code[0] == b'0' {
            return Err(fault(
                "site.country_code",
                "must be 1 to 3 digits, the first not 0, such as \"1\"",
            ));
        }
        let mut plan = Self {
            national_prefix: digits_field("site.national_prefix", &site.national_prefix)?,
            international_prefixes: Vec::with_capacity(site.international_prefixes.len()),
            local_prefix: digits_field("site.local_prefix", &site.local_prefix)?,
            national_lengths: Lengths::of("site.national_lengths", &site.national_lengths)?,
            local_lengths: Lengths::of("site.local_lengths", &site.local_lengths)?,
            extension_lengths: Lengths::of("site.extension_lengths", &site.extension_lengths)?,
            own: site.own_ranges.iter().copied().collect(),
            protected_codes: Vec::new(),
            protected_code_lengths: Lengths(0),
            protected_numbers: NumberSet::default(),
            country_code,
        };
        for (index, prefix) in site.international_prefixes.iter().enumerate() {
            let field = format!("site.international_prefixes[{index}]");
            let digits = digits_field(&field, prefix)?;
            if digits.is_empty() {
                return Err(fault(&field, "must not be empty"));
            }
            plan.international_prefixes.push(digits);
        }
        plan.protect(protected)?;
        Ok(plan)
    }

    fn protect(&mut self, protected: &[String]) -> Result<(), PlanError> {
        let mut numbers: Vec<Pattern> = Vec::new();
        for (index, text) in protected.iter().enumerate() {
            let field = format!("protected[{index}]");
            if text.starts_with('+') {
                numbers.push(
                    text.parse()
                        .map_err(|error| fault(&field, &format!("{text:?}: {error}")))?,
                );
                continue;
            }
            let code = digits_field(&field, text)?;
            if code.is_empty() || code.len() > DIGITS_MAX {
                return Err(fault(
                    &field,
                    "must be digits such as \"911\", or a pattern such as \"+1900*\"",
                ));
            }
            // An SBC that makes every number international asks for 1911 where 911 was dialled.
            if !self.national_lengths.has(code.len()) {
                self.protect_code([&self.country_code[..], &code].concat());
                self.protect_code([&self.national_prefix[..], &code].concat());
            }
            self.protect_code(code);
        }
        self.protected_numbers = numbers.into_iter().collect();
        Ok(())
    }

    fn protect_code(&mut self, code: Vec<u8>) {
        self.protected_code_lengths.add(code.len());
        if !self.protected_codes.contains(&code) {
            self.protected_codes.push(code);
        }
    }

    /// Raw text of a source or destination: a sip, sips or tel URI, or digits as dialled.
    #[must_use]
    pub fn normalise(&self, text: &[u8]) -> Party {
        self.read(text).0
    }

    /// As [`normalise`](Self::normalise), with the rule that applied.
    #[must_use]
    pub fn read(&self, text: &[u8]) -> (Party, Reading) {
        let uri = uri_user(text);
        if uri.host.eq_ignore_ascii_case(ANONYMOUS_HOST) || is_withheld(uri.user) {
            let withheld = Party::without_number(NumberClass::Anonymous);
            return (withheld, Reading::Withheld);
        }
        let invalid = Party::without_number(NumberClass::Invalid);
        let mut digits = Digits::default();
        match digits.read(uri.user) {
            Read::Empty => (Party::ABSENT, Reading::Absent),
            Read::Other => (invalid, Reading::NotDigits),
            Read::Global => self.read_global(digits.as_bytes()),
            Read::Local => match uri.context {
                Some(context) => digits
                    .put_before(context)
                    .map_or((invalid, Reading::Global), |whole| {
                        self.read_global(whole.as_bytes())
                    }),
                None => self.read_digits(digits.as_bytes()),
            },
        }
    }

    /// ASCII digits that carried a `+`.
    #[must_use]
    pub fn normalise_global(&self, digits: &[u8]) -> Party {
        self.read_global(digits).0
    }

    fn read_global(&self, digits: &[u8]) -> (Party, Reading) {
        if self.is_protected_code(digits) {
            let code = Party::without_number(NumberClass::Emergency);
            return (code, Reading::Protected);
        }
        (
            self.number_or(digits, NumberClass::Invalid),
            Reading::Global,
        )
    }

    /// Digits of an ENUM name: a whole E.164 number without its `+` (RFC 6116, 3.2). Ten digits are Singapore's
    /// +65 6123 4567 there, never a national number of the site. What cannot be E.164 is read as dialled.
    #[must_use]
    pub fn normalise_enum_name(&self, digits: &[u8]) -> Party {
        let is_whole = E164_WHOLE_DIGITS.contains(&digits.len())
            && digits.first() != Some(&b'0')
            && !self.is_protected_code(digits);
        if is_whole {
            self.number_or(digits, NumberClass::Invalid)
        } else {
            self.normalise_digits(digits)
        }
    }

    /// ASCII digits without `+`, as dialled.
    #[must_use]
    pub fn normalise_digits(&self, digits: &[u8]) -> Party {
        self.read_digits(digits).0
    }

    fn read_digits(&self, digits: &[u8]) -> (Party, Reading) {
        if digits.is_empty() {
            return (Party::ABSENT, Reading::Absent);
        }
        if self.is_protected_code(digits) {
            let code = Party::without_number(NumberClass::Emergency);
            return (code, Reading::Protected);
        }
        for prefix in &self.international_prefixes {
            if let Some(rest) = digits.strip_prefix(&prefix[..]) {
                let party = self.number_or(rest, NumberClass::Invalid);
                return (party, Reading::InternationalPrefix);
            }
        }
        if !self.national_prefix.is_empty()
            && let Some(rest) = digits.strip_prefix(&self.national_prefix[..])
            && self.national_lengths.has(rest.len())
        {
            return (self.joined(&[], rest), Reading::NationalPrefix);
        }
        if self.extension_lengths.has(digits.len()) {
            let extension = Party::without_number(NumberClass::Extension);
            return (extension, Reading::Extension);
        }
        let has_country_code = digits
            .strip_prefix(&self.country_code[..])
            .is_some_and(|rest| self.national_lengths.has(rest.len()));
        if !has_country_code && self.national_lengths.has(digits.len()) {
            return (self.joined(&[], digits), Reading::National);
        }
        if !has_country_code && self.local_lengths.has(digits.len()) {
            return (self.joined(&self.local_prefix, digits), Reading::Local);
        }
        let is_short = SHORT_CODE_DIGITS.contains(&digits.len());
        let otherwise = if is_short {
            NumberClass::ShortCode
        } else {
            NumberClass::Invalid
        };
        let reading = match (has_country_code, is_short) {
            (true, _) => Reading::CountryCode,
            (false, true) => Reading::ShortCode,
            (false, false) => Reading::Whole,
        };
        (self.number_or(digits, otherwise), reading)
    }

    /// Whether this full number must always be reachable.
    #[must_use]
    pub fn protects(&self, number: E164) -> bool {
        self.protected_numbers.contains(number)
    }

    /// Which way a call goes, by the site's own ranges. A caller that hides is taken to be outside.
    #[must_use]
    pub fn direction(&self, source: &Party, destination: &Party) -> Direction {
        if self.own.is_empty() {
            return Direction::Unknown;
        }
        match (self.is_own(source), self.is_own(destination)) {
            (Some(true), Some(true)) => Direction::Internal,
            (Some(true), Some(false)) => Direction::Outbound,
            (Some(false) | None, Some(true)) => Direction::Inbound,
            (Some(false), Some(false)) => Direction::Transit,
            (None, Some(false)) | (_, None) => Direction::Unknown,
        }
    }

    fn is_own(&self, party: &Party) -> Option<bool> {
        match party.class {
            NumberClass::Number => party.number.map(|number| self.own.contains(number)),
            NumberClass::Extension => Some(true),
            NumberClass::Emergency | NumberClass::ShortCode => Some(false),
            NumberClass::Absent | NumberClass::Anonymous | NumberClass::Invalid => None,
        }
    }

    fn is_protected_code(&self, digits: &[u8]) -> bool {
        self.protected_code_lengths.has(digits.len())
            && self.protected_codes.iter().any(|code| code == digits)
    }

    /// Country code, then what a local number lacks, then the digits.
    fn joined(&self, area: &[u8], digits: &[u8]) -> Party {
        let mut whole = Digits::default();
        if whole.push(&self.country_code) && whole.push(area) && whole.push(digits) {
            return self.number_or(whole.as_bytes(), NumberClass::Invalid);
        }
        Party::without_number(NumberClass::Invalid)
    }

    fn number_or(&self, digits: &[u8], otherwise: NumberClass) -> Party {
        if digits.len() < DIGITS_MIN {
            return Party::without_number(otherwise);
        }
        match E164::from_digits(digits) {
            Some(number) if self.protected_numbers.contains(number) => Party {
                number: Some(number),
                class: NumberClass::Emergency,
            },
            Some(number) => Party::number(number),
            None => Party::without_number(NumberClass::Invalid),
        }
    }
}

/// Lengths as bits: bit n is set if numbers of n digits belong.
#[derive(Debug, Clone, Copy, Default)]
struct Lengths(u32);

impl Lengths {
    fn of(field: &str, lengths: &[u8]) -> Result<Self, PlanError> {
        let mut bits = Self(0);
        for (index, &length) in lengths.iter().enumerate() {
            if length == 0 || usize::from(length) > DIGITS_MAX {
                return Err(fault(
                    &format!("{field}[{index}]"),
                    "must be 1 to 15 digits",
                ));
            }
            bits.add(usize::from(length));
        }
        Ok(bits)
    }

    fn add(&mut self, length: usize) {
        if length < 32 {
            self.0 |= 1 << length;
        }
    }

    fn has(self, length: usize) -> bool {
        length < 32 && self.0 >> length & 1 == 1
    }
}

/// Digits read from text, on the stack.
#[derive(Default)]
struct Digits {
    bytes: [u8; DIGITS_READ],
    length: usize,
}

/// What a user part held.
enum Read {
    Empty,
    /// `+` and digits.
    Global,
    /// Digits only.
    Local,
    /// Anything else.
    Other,
}

impl Digits {
    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn push(&mut self, digits: &[u8]) -> bool {
        let end = self.length + digits.len();
        let Some(room) = self.bytes.get_mut(self.length..end) else {
            return false;
        };
        room.copy_from_slice(digits);
        self.length = end;
        true
    }

    fn put_before(&self, context: &[u8]) -> Option<Self> {
        let mut whole = Self::default();
        let is_number = matches!(whole.read(context), Read::Local) && whole.push(self.as_bytes());
        is_number.then_some(whole)
    }

    /// Reads a user part: percent escapes (RFC 3986, 2.1) are resolved, visual separators (RFC 3966, 5.1.1) skipped.
    fn read(&mut self, user: &[u8]) -> Read {
        let (mut has_plus, mut rest) = (false, user);
        while let Some((&first, tail)) = rest.split_first() {
            let (octet, tail) = match (first, tail) {
                (b'%', [high, low, tail @ ..]) => match (hex(*high), hex(*low)) {
                    (Some(high), Some(low)) => (high << 4 | low, tail),
                    _ => return Read::Other,
                },
                _ => (first, tail),
            };
            rest = tail;
            match octet {
                b'0'..=b'9' if self.length < DIGITS_READ => {
                    self.bytes[self.length] = octet;
                    self.length += 1;
                }
                b'+' if self.length == 0 && !has_plus => has_plus = true,
                b'-' | b'.' | b'(' | b')' | b' ' => {}
                _ => return Read::Other,
            }
        }
        match (user.is_empty(), self.length, has_plus) {
            (true, ..) => Read::Empty,
            (_, 0, _) => Read::Other,
            (.., true) => Read::Global,
            (.., false) => Read::Local,
        }
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

fn digits_field(field: &str, text: &str) -> Result<Vec<u8>, PlanError> {
    if text.len() > DIGITS_MAX || !text.bytes().all(|c| c.is_ascii_digit()) {
        return Err(fault(field, &format!("{text:?} must be at most 15 digits")));
    }
    Ok(text.as_bytes().to_vec())
}

fn fault(field: &str, problem: &str) -> PlanError {
    PlanError {
        field: field.to_owned(),
        problem: problem.to_owned(),
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
