//! Query → subject: what is asked about, and who calls.
//!
//! A name is a number in one of the configured layouts (`wire::query_name`) in front of an apex, or `health.<apex>`.
use super::parse::Query;
use crate::installed::Service;
use crate::wire::cookie::OPTION_COOKIE;
use crate::wire::header::Rcode;
use crate::wire::query_name::{Digits, Layout, NameNumbers, NameText};
use crate::wire::question::{CLASS_IN, qtype};
use crate::wire::source_option::{SourceOrigin, source_uri};

/// Label of the health name.
const HEALTH: &[u8] = b"\x06health";

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
    /// Digits called; none if the name does not say.
    pub(crate) destination: Option<Digits>,
    /// Whether the name holds the caller's number.
    pub(crate) names_source: bool,
    /// The name before the apex, wire octets.
    pub(crate) name: &'a [u8],
    pub(crate) source: SourceText<'a>,
    pub(crate) origin: SourceOrigin,
}

/// The caller as given.
#[derive(Debug)]
pub(crate) enum SourceText<'a> {
    /// URI of an option, a word of the query name, or nothing.
    Uri(&'a [u8]),
    /// Digits in the query name.
    Digits(Digits),
}

impl SourceText<'_> {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Uri(uri) => uri,
            Self::Digits(text) => text.as_bytes(),
        }
    }
}

impl NumberAsked<'_> {
    /// Digits called; empty without.
    pub(crate) fn destination_digits(&self) -> &[u8] {
        self.destination.as_ref().map_or(b"", Digits::as_bytes)
    }

    /// Whether the name is of no layout.
    pub(crate) fn is_no_number(&self) -> bool {
        self.destination.is_none() && !self.names_source
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
    let (source, origin) = match (option, name.numbers.source) {
        (Some((uri, origin)), _) => (SourceText::Uri(uri), origin),
        (None, Some(NameText::Digits(digits))) => {
            (SourceText::Digits(digits), SourceOrigin::QueryName)
        }
        (None, Some(NameText::Word(word))) => (SourceText::Uri(word), SourceOrigin::QueryName),
        (None, None) => (SourceText::Uri(b""), SourceOrigin::None),
    };
    Subject::Number(NumberAsked {
        place,
        destination: name.numbers.destination,
        names_source: name.numbers.source.is_some(),
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
struct NameRead<'a> {
    apex_at: usize,
    is_health: bool,
    numbers: NameNumbers<'a>,
}

fn find_zone<'a>(name: &'a [u8], service: &Service) -> Option<(usize, NameRead<'a>)> {
    service
        .zones
        .iter()
        .enumerate()
        .find_map(|(zone, configured)| {
            let apex_at = name.len().checked_sub(configured.wire.len())?;
            let (labels, apex) = name.split_at(apex_at);
            if !apex.eq_ignore_ascii_case(&configured.wire) {
                return None;
            }
            read_name(labels, &service.query_names).map(|read| (zone, read))
        })
}

/// Reads the labels before the apex; `None` if the apex does not begin at a label.
fn read_name<'a>(labels: &'a [u8], layouts: &[Layout]) -> Option<NameRead<'a>> {
    let apex_at = labels.len();
    let is_health = labels.eq_ignore_ascii_case(HEALTH);
    let found = layouts.iter().find_map(|layout| layout.read(labels));
    // Some other name: all the same, the apex must begin at a label.
    if found.is_none() && !is_health {
        let mut boundary = 0;
        while boundary < apex_at {
            boundary += 1 + usize::from(labels[boundary]);
        }
        if boundary != apex_at {
            return None;
        }
    }
    Some(NameRead {
        apex_at,
        is_health,
        numbers: found.unwrap_or_default(),
    })
}
