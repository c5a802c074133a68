//! Writing an answer: question copied, records whose owner is the question, OPT if there was one.
//!
//! Every TTL is 0: an SBC that kept an answer would give one caller's decision to the next, and a source option
//! forbids it (draft-kaplan-enum-source-uri-00, 6).
use super::cookie::{COOKIE, OPTION_COOKIE};
use super::edns::Edns;
use super::header::{HEADER, Header, Rcode};
use super::question::{CLASS_IN, Question, qtype};

/// Our own limit over UDP: no fragments anywhere (DNS Flag Day 2020).
pub const UDP_MAX: usize = 1232;
/// What every client takes (RFC 1035, 4.2.1).
pub const UDP_MIN: usize = 512;
/// Room that any answer fits in.
pub const ANSWER_MAX: usize = UDP_MAX;

/// ORDER that RFC 6116, 5.1 recommends.
const NAPTR_ORDER: u16 = 100;
const NAPTR_PREFERENCE: u16 = 10;
/// Owner of a record: a pointer to the question's name, which stands behind the header.
const QUESTION_NAME: u16 = 0xC000 | HEADER as u16;
/// Extended DNS error "Prohibited" (RFC 8914, 4.19).
pub const PROHIBITED: u16 = 18;
/// Extended DNS error "Not Authoritative" (RFC 8914, 4.21).
pub const NOT_AUTHORITATIVE: u16 = 20;
const OPTION_EXTENDED_ERROR: u16 = 15;

/// An answer in the making.
#[derive(Debug)]
pub struct Response<'b> {
    out: &'b mut [u8],
    length: usize,
    /// Octets that records may take, OPT kept free.
    limit: usize,
    answers: u16,
    authorities: u16,
    has_question: bool,
    is_authoritative: bool,
    is_truncated: bool,
    extended_error: Option<u16>,
    cookie: Option<[u8; COOKIE]>,
}

/// Octets of an OPT record with an extended error.
const OPT_ROOM: usize = 11 + OPTION_HEAD + 2;
/// OPTION-CODE and OPTION-LENGTH.
const OPTION_HEAD: usize = 4;

/// How large an answer may be that goes over UDP.
#[must_use]
pub fn udp_limit(edns: Option<&Edns<'_>>) -> usize {
    edns.map_or(UDP_MIN, |edns| {
        usize::from(edns.payload).clamp(UDP_MIN, UDP_MAX)
    })
}

impl<'b> Response<'b> {
    /// Starts with the question, if it could be read. `out` has [`ANSWER_MAX`] octets or more.
    #[must_use]
    pub fn new(out: &'b mut [u8], question: Option<&Question<'_>>, limit: usize) -> Self {
        let limit = limit.min(out.len()).saturating_sub(OPT_ROOM);
        let mut response = Self {
            out,
            length: HEADER,
            limit,
            answers: 0,
            authorities: 0,
            has_question: question.is_some(),
            is_authoritative: false,
            is_truncated: false,
            extended_error: None,
            cookie: None,
        };
        if let Some(question) = question {
            response.put(question.octets);
        }
        response
    }

    /// AA: the name is in a zone of ours.
    pub fn set_authoritative(&mut self) {
        self.is_authoritative = true;
    }

    /// Adds a COOKIE option (RFC 7873, 5.2). Before any record: these take what room is left.
    pub fn set_cookie(&mut self, cookie: [u8; COOKIE]) {
        self.limit = self.limit.saturating_sub(OPTION_HEAD + COOKIE);
        self.cookie = Some(cookie);
    }

    /// Says more than the RCODE to a client that speaks EDNS (RFC 8914).
    pub fn set_extended_error(&mut self, code: u16) {
        self.extended_error = Some(code);
    }

    /// One terminal NAPTR (RFC 3403, 4.1) with the regexp that `write` puts down. What does not fit sets TC.
    pub fn naptr(&mut self, service: &[u8], write: impl FnOnce(&mut [u8]) -> Option<usize>) {
        // Owner to TTL 10, RDLENGTH 2, then ORDER 2, PREFERENCE 2, flags 2, service, regexp, root 1.
        let start = self.length;
        let data = start + 12;
        let regexp = data + 6 + 1 + service.len() + 1;
        let room = self.limit.saturating_sub(1).min(regexp + 255);
        let written = self.out.get_mut(regexp..room).and_then(write);
        let Some(written) = written else {
            self.is_truncated = true;
            return;
        };
        let end = regexp + written + 1;
        self.record_head(QUESTION_NAME, qtype::NAPTR, (end - data) as u16);
        self.put(&NAPTR_ORDER.to_be_bytes());
        self.put(&NAPTR_PREFERENCE.to_be_bytes());
        self.put(b"\x01u");
        self.put(&[service.len() as u8]);
        self.put(service);
        self.put(&[written as u8]);
        self.length += written;
        self.put(&[0]);
        self.answers += 1;
    }

    /// HINFO that stands for ANY (RFC 8482, 4.2).
    pub fn any_is_refused(&mut self) {
        self.record_head(QUESTION_NAME, qtype::HINFO, 9);
        self.put(b"\x07RFC8482\0");
        self.answers += 1;
    }

    /// SOA as the answer, for the apex itself.
    pub fn soa_answer(&mut self, serial: u32) {
        self.soa(0, serial);
        self.answers += 1;
    }

    /// SOA in the authority section: NODATA (RFC 2308, 2.2). `apex_at`: where the apex begins in the question's name.
    pub fn no_data(&mut self, apex_at: usize, serial: u32) {
        self.soa(apex_at, serial);
        self.authorities += 1;
    }

    /// NS of the apex.
    pub fn ns_answer(&mut self) {
        self.record_head(QUESTION_NAME, qtype::NS, 5);
        self.put(b"\x02ns");
        self.put(&QUESTION_NAME.to_be_bytes());
        self.answers += 1;
    }

    /// Whether a record did not fit.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.is_truncated
    }

    /// Closes with header and OPT; gives the length. `header` is the query's.
    #[must_use]
    pub fn finish(mut self, header: &Header, edns: Option<&Edns<'_>>, rcode: Rcode) -> usize {
        if let Some(edns) = edns {
            self.opt(edns, rcode);
        }
        let flags = header.answer_flags(self.is_authoritative, self.is_truncated, rcode);
        let counts = [
            header.id,
            flags,
            u16::from(self.has_question),
            self.answers,
            self.authorities,
            u16::from(edns.is_some()),
        ];
        for (slot, word) in self.out.chunks_exact_mut(2).zip(counts) {
            slot.copy_from_slice(&word.to_be_bytes());
        }
        self.length
    }

    fn soa(&mut self, apex_at: usize, serial: u32) {
        let apex = (QUESTION_NAME + apex_at as u16).to_be_bytes();
        self.record_head(u16::from_be_bytes(apex), qtype::SOA, 38);
        self.put(b"\x02ns");
        self.put(&apex);
        self.put(b"\x0ahostmaster");
        self.put(&apex);
        // REFRESH, RETRY, EXPIRE mean nothing here; MINIMUM 0 keeps "no opinion" out of caches.
        for number in [serial, 3600, 600, 86_400, 0] {
            self.put(&number.to_be_bytes());
        }
    }

    fn record_head(&mut self, owner: u16, rtype: u16, length: u16) {
        let mut head = [0; 12];
        head[..2].copy_from_slice(&owner.to_be_bytes());
        head[2..4].copy_from_slice(&rtype.to_be_bytes());
        head[4..6].copy_from_slice(&CLASS_IN.to_be_bytes());
        head[10..].copy_from_slice(&length.to_be_bytes());
        self.put(&head);
    }

    fn opt(&mut self, edns: &Edns<'_>, rcode: Rcode) {
        let mut record = [0; 11];
        record[2] = qtype::OPT as u8;
        record[3..5].copy_from_slice(&(UDP_MAX as u16).to_be_bytes());
        record[5] = rcode as u8 >> 4;
        record[7] = u8::from(edns.dnssec_ok) << 7;
        if self.extended_error.is_some() {
            record[10] += (OPTION_HEAD + 2) as u8;
        }
        if self.cookie.is_some() {
            record[10] += (OPTION_HEAD + COOKIE) as u8;
        }
        self.put(&record);
        if let Some(code) = self.extended_error {
            for word in [OPTION_EXTENDED_ERROR, 2, code] {
                self.put(&word.to_be_bytes());
            }
        }
        if let Some(cookie) = self.cookie {
            for word in [OPTION_COOKIE, COOKIE as u16] {
                self.put(&word.to_be_bytes());
            }
            self.put(&cookie);
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        match self.out.get_mut(self.length..end) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.length = end;
            }
            // Cannot be with a buffer of ANSWER_MAX; an answer that is cut short is at least marked.
            None => self.is_truncated = true,
        }
    }
}
