//! How an SBC writes numbers into a query name: layouts, tried in order, for the labels in front of the apex.
//!
//! ```text
//! {destination:reversed}                          3.2.1.0.5.5.5.0.1.2.1               a digit a label, the last first (RFC 6116, 3.2)
//! {destination:reversed}.src.{source:reversed}    0.0.1.9….src.3.2.1.0.5.5.5.0.1.2.1
//! {destination:reversed}.s{source}                0.0.1.9….s12105550123               digits as dialled, in one label
//! {destination:reversed}.*                        0.0.1.9….trunk-7                    any label, left alone
//! {source:reversed}.from                          3.2.1.0.5.5.5.0.1.2.1.from          who calls, without whom
//! ```
//! A destination has at least one digit. A source may be empty, and in one label also a word for a withheld number such as
//! `anonymous`: an SBC that knows no caller asks all the same. In one label a number may carry its `+`.
use ringfence_numbers::is_withheld;

use super::header::HEADER;

/// Most digits kept of a number in a query name.
const DIGITS_MAX: usize = 32;
/// Longest label (RFC 1035, 2.3.4).
const LABEL_MAX: usize = 63;

/// What is used unless others are configured.
pub const DEFAULT_LAYOUTS: [&str; 3] = [
    "{destination:reversed}",
    "{destination:reversed}.src.{source:reversed}",
    "{destination:reversed}.s{source}",
];

/// Digits on the stack, in dialling order.
#[derive(Debug, Clone, Copy)]
pub struct Digits {
    octets: [u8; DIGITS_MAX],
    start: usize,
}

impl Digits {
    /// Empty; digits are put in from the end.
    fn new() -> Self {
        Self {
            octets: [0; DIGITS_MAX],
            start: DIGITS_MAX,
        }
    }

    fn put_before(&mut self, digit: u8) -> bool {
        if self.start == 0 {
            return false;
        }
        self.start -= 1;
        self.octets[self.start] = digit;
        true
    }

    /// ASCII digits.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.octets[self.start..]
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == DIGITS_MAX
    }
}

/// A number, or what stands for one.
#[derive(Debug, Clone, Copy)]
pub enum NameText<'a> {
    /// Maybe none.
    Digits(Digits),
    /// A word for a withheld number, or a source with its `+`.
    Word(&'a [u8]),
}

/// What the labels say.
#[derive(Debug, Default)]
pub struct NameNumbers<'a> {
    /// The number called, if the layout has it.
    pub destination: Option<Digits>,
    /// The caller's, if the layout has it.
    pub source: Option<NameText<'a>>,
}

/// A layout, compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Source,
    Destination,
}

/// One label, or for digits one a label as many as there are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Reversed(End),
    Label(Vec<Piece>),
    Any,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(Vec<u8>),
    Number(End),
}

impl Layout {
    /// Compiles a layout; an error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = text
            .split('.')
            .map(part_of)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|problem| format!("{text:?}: {problem}"))?;
        let layout = Self { parts };
        layout
            .check()
            .map_err(|problem| format!("{text:?}: {problem}"))?;
        Ok(layout)
    }

    fn check(&self) -> Result<(), &'static str> {
        let ends = self.parts.iter().flat_map(|part| match part {
            Part::Reversed(end) => vec![*end],
            Part::Label(pieces) => pieces.iter().filter_map(Piece::end).collect(),
            Part::Any => Vec::new(),
        });
        let (sources, destinations): (Vec<End>, Vec<End>) =
            ends.partition(|&end| end == End::Source);
        if sources.len() > 1 || destinations.len() > 1 {
            return Err("names the same number twice");
        }
        if sources.is_empty() && destinations.is_empty() {
            return Err(
                "must hold {destination:reversed}, {destination}, {source:reversed} or {source}",
            );
        }
        let is_reversed = |part: &Part| matches!(part, Part::Reversed(_));
        if self
            .parts
            .windows(2)
            .any(|pair| pair.iter().all(is_reversed))
        {
            return Err("two reversed numbers must have a label between them");
        }
        Ok(())
    }

    /// Reads whole labels, lengths and all; `None` if they are not of this layout.
    #[must_use]
    pub fn read<'a>(&self, labels: &'a [u8]) -> Option<NameNumbers<'a>> {
        let mut found = NameNumbers::default();
        let mut rest = labels;
        for part in &self.parts {
            match part {
                Part::Reversed(end) => {
                    let (digits, behind) = reversed_digits(rest);
                    found.put(*end, NameText::Digits(digits))?;
                    rest = behind;
                }
                Part::Label(pieces) => {
                    let (label, behind) = split_label(rest)?;
                    read_label(pieces, label, &mut found)?;
                    rest = behind;
                }
                Part::Any => rest = split_label(rest)?.1,
            }
        }
        rest.is_empty().then_some(found)
    }
}

impl Piece {
    fn end(&self) -> Option<End> {
        match self {
            Self::Number(end) => Some(*end),
            Self::Literal(_) => None,
        }
    }
}

impl<'a> NameNumbers<'a> {
    /// `None` if it cannot stand for this end of a call.
    fn put(&mut self, end: End, text: NameText<'a>) -> Option<()> {
        match (end, text) {
            (End::Source, text) => self.source = Some(text),
            (End::Destination, NameText::Digits(digits)) if !digits.is_empty() => {
                self.destination = Some(digits);
            }
            (End::Destination, _) => return None,
        }
        Some(())
    }
}

fn part_of(text: &str) -> Result<Part, &'static str> {
    match text {
        "*" => return Ok(Part::Any),
        "{source:reversed}" => return Ok(Part::Reversed(End::Source)),
        "{destination:reversed}" => return Ok(Part::Reversed(End::Destination)),
        _ => {}
    }
    let mut pieces: Vec<Piece> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let piece;
        (piece, rest) = match rest.strip_prefix('{') {
            None => {
                let (literal, behind) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
                (literal_piece(literal)?, behind)
            }
            Some(behind) => match behind.split_once('}') {
                Some(("source", behind)) => (Piece::Number(End::Source), behind),
                Some(("destination", behind)) => (Piece::Number(End::Destination), behind),
                _ => {
                    return Err(
                        "a place is {destination} or {source}, or with :reversed a label of its own",
                    );
                }
            },
        };
        let follows_number = pieces.last().is_some_and(|last| last.end().is_some());
        if follows_number && piece.end().is_some() {
            return Err("two numbers in one label must have text between them");
        }
        pieces.push(piece);
    }
    if pieces.is_empty() {
        return Err("has an empty label");
    }
    Ok(Part::Label(pieces))
}

fn literal_piece(text: &str) -> Result<Piece, &'static str> {
    let is_label = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    if text.len() > LABEL_MAX || !text.bytes().all(is_label) {
        return Err("a label is letters, digits, - and _, at most 63");
    }
    Ok(Piece::Literal(text.as_bytes().to_vec()))
}

fn split_label(labels: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, behind) = labels.split_first()?;
    behind.split_at_checked(usize::from(length))
}

/// The number that the question's name begins with, the last digit first; nothing is checked, as it is only for looking ahead.
#[inline]
pub(crate) fn number_in_front(packet: &[u8]) -> Option<u64> {
    let (mut number, mut scale) = (0_u64, 1_u64);
    let mut labels = packet.get(HEADER..)?;
    while let [1, digit @ b'0'..=b'9', behind @ ..] = labels {
        number = number.wrapping_add(u64::from(digit - b'0').wrapping_mul(scale));
        scale = scale.wrapping_mul(10);
        labels = behind;
    }
    (scale > 1).then_some(number)
}

/// One-digit labels in front, and what is behind them.
fn reversed_digits(mut labels: &[u8]) -> (Digits, &[u8]) {
    let mut digits = Digits::new();
    while let [1, digit, behind @ ..] = labels {
        if !digit.is_ascii_digit() || !digits.put_before(*digit) {
            break;
        }
        labels = behind;
    }
    (digits, labels)
}

fn read_label<'a>(pieces: &[Piece], label: &'a [u8], found: &mut NameNumbers<'a>) -> Option<()> {
    let mut rest = label;
    for (index, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Literal(literal) => {
                let (head, behind) = rest.split_at_checked(literal.len())?;
                if !head.eq_ignore_ascii_case(literal) {
                    return None;
                }
                rest = behind;
            }
            Piece::Number(end) => {
                let length = match pieces.get(index + 1) {
                    Some(Piece::Literal(literal)) => rest
                        .windows(literal.len())
                        .position(|window| window.eq_ignore_ascii_case(literal))?,
                    _ => rest.len(),
                };
                let (text, behind) = rest.split_at(length);
                found.put(*end, name_text(*end, text)?)?;
                rest = behind;
            }
        }
    }
    rest.is_empty().then_some(())
}

fn name_text(end: End, text: &[u8]) -> Option<NameText<'_>> {
    if is_withheld(text) {
        return Some(NameText::Word(text));
    }
    let global = text.strip_prefix(b"+");
    let mut digits = Digits::new();
    let fits = global
        .unwrap_or(text)
        .iter()
        .rev()
        .all(|&digit| digit.is_ascii_digit() && digits.put_before(digit));
    // The `+` makes a difference to a source, which may be national; a destination never is.
    fits.then_some(if global.is_some() && end == End::Source {
        NameText::Word(text)
    } else {
        NameText::Digits(digits)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// (destination, source) as text; "-" where the layout has none.
    fn read(layout: &str, name: &str) -> Option<(String, String)> {
        let labels = name.split('.').filter(|label| !label.is_empty());
        let wire: Vec<u8> = labels
            .flat_map(|label| std::iter::once(label.len() as u8).chain(label.bytes()))
            .collect();
        let layout = Layout::parse(layout).unwrap();
        let found = layout.read(&wire)?;
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let destination = found.destination.map(|digits| text(digits.as_bytes()));
        let source = found.source.map(|source| match source {
            NameText::Digits(digits) => text(digits.as_bytes()),
            NameText::Word(word) => text(word),
        });
        Some((
            destination.unwrap_or("-".into()),
            source.unwrap_or("-".into()),
        ))
    }

    #[test]
    fn reads_names_of_its_layout_and_no_others() {
        for (layout, name, expected) in [
            ("{destination:reversed}", "3.2.1", Some(("123", "-"))),
            ("{destination:reversed}", "3.2.1.x", None),
            ("{destination:reversed}", "x", None),
            ("{destination:reversed}", "32.1", None),
            (
                "{destination:reversed}.src.{source:reversed}",
                "3.2.1.SRC.6.5",
                Some(("123", "56")),
            ),
            (
                "{destination:reversed}.src.{source:reversed}",
                "3.2.1.src",
                Some(("123", "")),
            ),
            (
                "{destination:reversed}.src.{source:reversed}",
                "src.6.5",
                None,
            ),
            (
                "{destination:reversed}.s{source}",
                "3.2.1.s56",
                Some(("123", "56")),
            ),
            (
                "{destination:reversed}.s{source}",
                "3.2.1.S",
                Some(("123", "")),
            ),
            (
                "{destination:reversed}.s{source}",
                "3.2.1.sAnonymous",
                Some(("123", "Anonymous")),
            ),
            (
                "{destination:reversed}.s{source}",
                "3.2.1.s+56",
                Some(("123", "+56")),
            ),
            ("{destination:reversed}.s{source}", "3.2.1.salice", None),
            (
                "{destination:reversed}.{source}",
                "3.2.1.56",
                Some(("123", "56")),
            ),
            ("d{destination}-s{source}", "d123-s56", Some(("123", "56"))),
            ("d{destination}-s{source}", "d+123-s56", Some(("123", "56"))),
            ("d{destination}-s{source}", "d-s56", None),
            ("d{destination}-s{source}", "danonymous-s56", None),
            ("{source}-to-{destination}", "-to-123", Some(("123", ""))),
            (
                "{destination:reversed}.*",
                "3.2.1.trunk-7",
                Some(("123", "-")),
            ),
            ("{destination:reversed}.*", "3.2.1", None),
            (
                "*.{destination}.{source:reversed}",
                "realm.123.6.5",
                Some(("123", "56")),
            ),
            ("{source:reversed}.from", "6.5.from", Some(("-", "56"))),
        ] {
            let expected = expected.map(|(d, s): (&str, &str)| (d.to_owned(), s.to_owned()));
            assert_eq!(read(layout, name), expected, "{layout} {name}");
        }
        let many = format!("{}1", "1.".repeat(32));
        assert_eq!(read("{destination:reversed}", &many), None, "33 digits");
    }

    #[test]
    fn finds_the_number_in_front_of_a_name() {
        let front = |labels: &[u8]| number_in_front(&[&[0; HEADER], labels].concat());
        assert_eq!(front(b"\x013\x012\x011\x04e164\0"), Some(123));
        assert_eq!(front(b"\x010\x011"), Some(10), "cut short");
        assert_eq!(
            front(&b"\x019".repeat(40)),
            front(&b"\x019".repeat(40)),
            "wraps"
        );
        for labels in [&b"\x06health"[..], b"", b"\x01", b"\x01x"] {
            assert_eq!(front(labels), None);
        }
    }

    #[test]
    fn refuses_what_cannot_be_told_apart() {
        for (layout, problem) in [
            ("", "empty label"),
            ("{destination}..x", "empty label"),
            ("src", "must hold"),
            ("*", "must hold"),
            ("{destination}.{destination:reversed}", "twice"),
            ("{destination:reversed}.{source:reversed}", "between"),
            ("{destination}{source}", "between"),
            ("x{destination:reversed}", "a place is"),
            ("{caller}", "a place is"),
            ("{destination", "a place is"),
            ("{destination} x", "a label is"),
            ("{destination}ä", "a label is"),
        ] {
            let error = Layout::parse(layout).unwrap_err();
            assert!(error.contains(problem), "{layout}: {error}");
        }
        for layout in DEFAULT_LAYOUTS {
            assert!(Layout::parse(layout).is_ok());
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_left(labels in prop::collection::vec(any::<u8>(), 0..80), layout in 0..4usize) {
            let layout = ["d{destination}-s{source}", "*.{destination}.{source:reversed}", "{source}-to-{destination}", "{destination:reversed}.s{source}"][layout];
            let _ = Layout::parse(layout).unwrap().read(&labels);
        }

        #[test]
        fn numbers_written_are_read_again(destination in "[0-9]{1,15}", source in "[0-9]{0,15}") {
            let backwards = |digits: &str| digits.chars().rev().map(|c| format!("{c}.")).collect::<String>();
            let expected = Some((destination.clone(), source.clone()));
            let name = format!("{}src.{}", backwards(&destination), backwards(&source));
            prop_assert_eq!(read(DEFAULT_LAYOUTS[1], &name), expected.clone());
            prop_assert_eq!(read("d{destination}-s{source}", &format!("d{destination}-s{source}")), expected);
        }
    }
}
