//! Query → subject: what is asked about, and who calls.
//!
//! ```text
//! 3.2.1.0.5.5.5.0.1.2.1.<apex>                              destination +12105550123
//! <destination reversed>.src.<source reversed>.<apex>       and the source, a digit a label
//! <destination reversed>.s12105550199.<apex>                and the source, one label
//! health.<apex>                                             is the server there?
//! ```
use super::parse::Query;
use crate::installed::Service;
use crate::wire::cookie::OPTION_COOKIE;
use crate::wire::header::Rcode;
use crate::wire::question::{CLASS_IN, qtype};
use crate::wire::source_option::{SourceOrigin, source_uri};

/// Most digits kept of a number in a query name.
const DIGITS_MAX: usize = 32;

/// What is asked about.
#[derive(Debug)]
pub(crate) enum Subject<'a> {
    /// The message is at fault.
    Fault(Rcode),
    /// Not for this server, and why (RFC 8914).
    Refused(u16),
    /// The apex itself.
    Apex(Place),
    /// The health name.
    Health(Place),
    /// A name in a zone, but not NAPTR.
    OtherType(Place),
    /// NAPTR of a name in a zone: a call, or what should be one.
    Number(NumberAsked<'a>),
}

/// Which zone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// Place in the service's zones.
    pub(crate) zone: usize,
    /// Where the apex begins in the question's name.
    pub(crate) apex_at: usize,
}

/// A NAPTR question in a zone.
#[derive(Debug)]
pub(crate) struct NumberAsked<'a> {
    pub(crate) place: Place,
    /// Digits called; empty if the name is no number.
    pub(crate) destination: Digits,
    /// The name before the apex, wire octets.
    pub(crate) name: &'a [u8],
    pub(crate) source: SourceText<'a>,
    pub(crate) origin: SourceOrigin,
}

/// The caller as given.
#[derive(Debug)]
pub(crate) enum SourceText<'a> {
    /// URI of an option, or nothing.
    Uri(&'a [u8]),
    /// Digits in the query name.
    Digits(Digits),
}

/// Digits on the stack, in dialling order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Digits {
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

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.octets[self.start..]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == DIGITS_MAX
    }
}

impl SourceText<'_> {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Uri(uri) => uri,
            Self::Digits(text) => text.as_bytes(),
        }
    }
}

impl Subject<'_> {
    /// The call, if it is one.
    pub(crate) fn number(&self) -> Option<&NumberAsked<'_>> {
        match self {
            Self::Number(number) => Some(number),
            _ => None,
        }
    }
}

/// Finds out what is asked about; `unknown` gets code and data of each option that nothing is known of.
pub(crate) fn identify<'a>(
    query: &Query<'a>,
    service: &Service,
    unknown: &mut impl FnMut(u16, &[u8]),
) -> Subject<'a> {
    let (Rcode::NoError, Some(question)) = (query.fault, query.question) else {
        return Subject::Fault(query.fault);
    };
    let option = source_option(query, service, unknown);
    if question.qclass != CLASS_IN {
        return Subject::Refused(crate::wire::response::NOT_AUTHORITATIVE);
    }
    let Some((zone, name)) = find_zone(question.name, service) else {
        return Subject::Refused(crate::wire::response::NOT_AUTHORITATIVE);
    };
    let place = Place {
        zone,
        apex_at: name.apex_at,
    };
    if qtype::META.contains(&question.qtype) {
        return Subject::Refused(crate::wire::response::PROHIBITED);
    }
    if name.apex_at == 0 {
        return Subject::Apex(place);
    }
    if question.qtype != qtype::NAPTR {
        return Subject::OtherType(place);
    }
    if name.is_health {
        return Subject::Health(place);
    }
    let (source, origin) = match (option, name.source) {
        (Some((uri, origin)), _) => (SourceText::Uri(uri), origin),
        (None, Some(digits)) => (SourceText::Digits(digits), SourceOrigin::QueryName),
        (None, None) => (SourceText::Uri(b""), SourceOrigin::None),
    };
    Subject::Number(NumberAsked {
        place,
        destination: name.destination,
        name: &question.name[..name.apex_at],
        source,
        origin,
    })
}

/// The first option that holds a URI; the rest is told of and otherwise left alone (RFC 6891, 6.1.2).
fn source_option<'a>(
    query: &Query<'a>,
    service: &Service,
    unknown: &mut impl FnMut(u16, &[u8]),
) -> Option<(&'a [u8], SourceOrigin)> {
    let mut found = None;
    for (code, data) in query.edns?.options() {
        let uri = if service.source_option_codes.contains(&code) {
            source_uri(data)
        } else {
            None
        };
        match uri {
            Some(_) => found = found.or(uri),
            None if code == OPTION_COOKIE => {}
            None => unknown(code, data),
        }
    }
    found
}

/// A name below an apex, read.
struct NameRead {
    apex_at: usize,
    is_health: bool,
    destination: Digits,
    source: Option<Digits>,
}

fn find_zone(name: &[u8], service: &Service) -> Option<(usize, NameRead)> {
    service
        .zones
        .iter()
        .enumerate()
        .find_map(|(zone, configured)| {
            let apex_at = name.len().checked_sub(configured.wire.len())?;
            if !name[apex_at..].eq_ignore_ascii_case(&configured.wire) {
                return None;
            }
            read_name(name, apex_at).map(|read| (zone, read))
        })
}

/// Reads the labels before the apex; `None` if the apex does not begin at a label.
fn read_name(name: &[u8], apex_at: usize) -> Option<NameRead> {
    let (destination, mut at) = read_digits(name, 0, apex_at);
    let mut read = NameRead {
        apex_at,
        is_health: false,
        destination,
        source: None,
    };
    if at < apex_at {
        let label = name.get(at + 1..at + 1 + usize::from(name[at]))?;
        let behind = at + 1 + label.len();
        if label.eq_ignore_ascii_case(b"src") {
            let (source, end) = read_digits(name, behind, apex_at);
            (read.source, at) = (Some(source), end);
        } else if let Some(digits) = source_label(label) {
            (read.source, at) = (Some(digits), behind);
        } else if at == 0 && label.eq_ignore_ascii_case(b"health") {
            (read.is_health, at) = (true, behind);
        }
    }
    if at == apex_at && (read.is_health || !read.destination.is_empty()) {
        return Some(read);
    }
    // Some other name: all the same, the apex must begin at a label.
    let mut boundary = 0;
    while boundary < apex_at {
        boundary += 1 + usize::from(name[boundary]);
    }
    (boundary == apex_at).then_some(NameRead {
        apex_at,
        is_health: false,
        destination: Digits::new(),
        source: None,
    })
}

/// One-digit labels from `at` on, and where they end.
fn read_digits(name: &[u8], mut at: usize, end: usize) -> (Digits, usize) {
    let mut text = Digits::new();
    while let Some(&[1, digit]) = name.get(at..at + 2) {
        if at >= end || !digit.is_ascii_digit() || !text.put_before(digit) {
            break;
        }
        at += 2;
    }
    (text, at)
}

/// `s` and digits, in dialling order.
fn source_label(label: &[u8]) -> Option<Digits> {
    let digits = label
        .strip_prefix(b"s")
        .or_else(|| label.strip_prefix(b"S"))?;
    let mut text = Digits::new();
    let fits = !digits.is_empty()
        && digits
            .iter()
            .rev()
            .all(|&digit| digit.is_ascii_digit() && text.put_before(digit));
    fits.then_some(text)
}
