//! Names of header fields and methods that the probe knows.

/// A header field that is looked for; all others are only walked over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)] // the names say it
pub enum Header {
    Via,
    From,
    To,
    CallId,
    CSeq,
    Contact,
    ContentLength,
    ContentType,
    MaxForwards,
    UserAgent,
    Server,
    Reason,
    AssertedIdentity,
    PreferredIdentity,
    RemotePartyId,
    Privacy,
    Diversion,
    HistoryInfo,
    ChargeInfo,
    ChargingVector,
    CalledPartyId,
    SessionId,
    SessionExpires,
    Identity,
    Authorization,
    ProxyAuthorization,
    ReferTo,
    Replaces,
    Require,
    OtherCallId,
    Warning,
    Date,
}

impl Header {
    /// How many there are.
    pub const COUNT: usize = Self::Date as usize + 1;

    /// Index in a message's table.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The header of a name without its colon, letters of any case, compact forms too.
    pub fn of_name(name: &[u8]) -> Option<Self> {
        NAMES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|&(_, header)| header)
    }
}

/// Names in lower case, the compact form where RFC 3261 (7.3.3) or its own RFC gives one.
const NAMES: [(&[u8], Header); 47] = [
    (b"via", Header::Via),
    (b"v", Header::Via),
    (b"from", Header::From),
    (b"f", Header::From),
    (b"to", Header::To),
    (b"t", Header::To),
    (b"call-id", Header::CallId),
    (b"i", Header::CallId),
    (b"cseq", Header::CSeq),
    (b"contact", Header::Contact),
    (b"m", Header::Contact),
    (b"content-length", Header::ContentLength),
    (b"l", Header::ContentLength),
    (b"content-type", Header::ContentType),
    (b"c", Header::ContentType),
    (b"max-forwards", Header::MaxForwards),
    (b"user-agent", Header::UserAgent),
    (b"server", Header::Server),
    (b"reason", Header::Reason),
    (b"p-asserted-identity", Header::AssertedIdentity),
    (b"p-preferred-identity", Header::PreferredIdentity),
    (b"remote-party-id", Header::RemotePartyId),
    (b"privacy", Header::Privacy),
    (b"diversion", Header::Diversion),
    (b"history-info", Header::HistoryInfo),
    (b"p-charge-info", Header::ChargeInfo),
    (b"p-charging-vector", Header::ChargingVector),
    (b"p-called-party-id", Header::CalledPartyId),
    (b"session-id", Header::SessionId),
    (b"session-expires", Header::SessionExpires),
    (b"x", Header::SessionExpires),
    (b"identity", Header::Identity),
    (b"y", Header::Identity),
    (b"authorization", Header::Authorization),
    (b"proxy-authorization", Header::ProxyAuthorization),
    (b"refer-to", Header::ReferTo),
    (b"r", Header::ReferTo),
    (b"replaces", Header::Replaces),
    (b"require", Header::Require),
    (b"x-cid", Header::OtherCallId),
    (b"x-call-id", Header::OtherCallId),
    (b"x-original-call-id", Header::OtherCallId),
    (b"x-inbound-call-id", Header::OtherCallId),
    (b"x-leg-call-id", Header::OtherCallId),
    (b"x-b2bua-call-id", Header::OtherCallId),
    (b"warning", Header::Warning),
    (b"date", Header::Date),
];

/// First eight octets of a name, in lower case, compared at once; names of one first letter stand together.
#[derive(Clone, Copy)]
struct Candidate {
    word: u64,
    mask: u64,
    name: &'static [u8],
    header: Header,
}

const NONE: Candidate = Candidate {
    word: 1,
    mask: 0,
    name: b"",
    header: Header::Via,
};

const CANDIDATES: [Candidate; NAMES.len()] = sorted_candidates();
/// For each letter where its candidates begin and end.
const LETTERS: [(u8, u8); 26] = letter_ranges();

const fn sorted_candidates() -> [Candidate; NAMES.len()] {
    let mut all = [NONE; NAMES.len()];
    let mut filled = 0;
    let mut letter = b'a';
    while letter <= b'z' {
        let mut index = 0;
        while index < NAMES.len() {
            let (name, header) = NAMES[index];
            if name[0] == letter {
                all[filled] = candidate(name, header);
                filled += 1;
            }
            index += 1;
        }
        letter += 1;
    }
    all
}

const fn candidate(name: &'static [u8], header: Header) -> Candidate {
    let (mut word, mut mask, mut index) = (0u64, 0u64, 0);
    while index < name.len() && index < 8 {
        word |= (name[index] as u64) << (8 * index);
        mask |= 0xff << (8 * index);
        index += 1;
    }
    Candidate {
        word,
        mask,
        name,
        header,
    }
}

const fn letter_ranges() -> [(u8, u8); 26] {
    let mut ranges = [(0, 0); 26];
    let mut index = 0;
    while index < CANDIDATES.len() {
        let letter = (CANDIDATES[index].name[0] - b'a') as usize;
        if ranges[letter].1 == 0 {
            ranges[letter].0 = index as u8;
        }
        ranges[letter].1 = index as u8 + 1;
        index += 1;
    }
    ranges
}

/// Reads the name at the start of a line: the header and where its value starts, behind the colon.
///
/// White space before the colon is allowed (RFC 3261, 7.3.1). `None`: not a header that is looked for.
#[inline]
pub(super) fn known_header(line: &[u8]) -> Option<(Header, usize)> {
    let letter = (line.first()? | 0x20).wrapping_sub(b'a');
    let &(begin, end) = LETTERS.get(usize::from(letter))?;
    let word = first_word(line) | 0x2020_2020_2020_2020;
    for candidate in CANDIDATES.get(usize::from(begin)..usize::from(end))? {
        if word & candidate.mask != candidate.word {
            continue;
        }
        let length = candidate.name.len();
        if length > 8 {
            let rest = line.get(8..length)?;
            if !candidate.name.get(8..)?.eq_ignore_ascii_case(rest) {
                continue;
            }
        }
        match line.get(length) {
            Some(b':') => return Some((candidate.header, length + 1)),
            Some(b' ' | b'\t') => {
                let gap = line.get(length..)?;
                let colon = gap
                    .iter()
                    .position(|octet| !matches!(octet, b' ' | b'\t'))?;
                if gap.get(colon) == Some(&b':') {
                    return Some((candidate.header, length + colon + 1));
                }
            }
            _ => {}
        }
    }
    None
}

#[inline]
fn first_word(line: &[u8]) -> u64 {
    match line.first_chunk::<8>() {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => line
            .iter()
            .rev()
            .fold(0, |word, &octet| word << 8 | u64::from(octet)),
    }
}

/// A request's method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names say it
pub enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Options,
    Register,
    Prack,
    Update,
    Refer,
    Info,
    Subscribe,
    Notify,
    Publish,
    Message,
    /// An extension that is not known.
    Other,
}

impl Method {
    /// The method of a token; methods are case-sensitive (RFC 3261, 7.1).
    #[inline]
    pub fn of_token(token: &[u8]) -> Self {
        match token {
            b"INVITE" => Self::Invite,
            b"ACK" => Self::Ack,
            b"BYE" => Self::Bye,
            b"CANCEL" => Self::Cancel,
            b"OPTIONS" => Self::Options,
            b"REGISTER" => Self::Register,
            b"PRACK" => Self::Prack,
            b"UPDATE" => Self::Update,
            b"REFER" => Self::Refer,
            b"INFO" => Self::Info,
            b"SUBSCRIBE" => Self::Subscribe,
            b"NOTIFY" => Self::Notify,
            b"PUBLISH" => Self::Publish,
            b"MESSAGE" => Self::Message,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case_and_with_space_before_the_colon() {
        for (name, header) in NAMES {
            for line in [
                [name, b": x"].concat(),
                [&name.to_ascii_uppercase(), b" \t: x".as_slice()].concat(),
            ] {
                let (found, value) = known_header(&line).unwrap();
                assert_eq!(found, header, "{}", line.escape_ascii());
                assert_eq!(&line[value..], b" x");
            }
            assert_eq!(Header::of_name(name), Some(header));
        }
    }

    #[test]
    fn names_that_only_begin_alike_are_not_taken() {
        for line in [
            b"Fromage: x".as_slice(),
            b"Call-IDX: x",
            b"X-Call-IDs: x",
            b"Vi",
            b"Via",
            b"Via ",
            b"",
            b":",
            b"Content-Lengths: 5",
            b"Conte",
        ] {
            assert_eq!(known_header(line), None, "{}", line.escape_ascii());
        }
    }
}
